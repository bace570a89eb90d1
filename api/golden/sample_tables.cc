// Made by api/tables.py from the service model; not for editing.
#include "aws/model.h"

namespace millwright::aws::tables {
namespace {

constexpr char kPool[] =
    "Count\000"
    "Name\000"
    "Kind\000"
    "Labels\000"
    "CreateThingRequest\000"
    "Message\000"
    "InUse\000"
    "Thing.InUse\000"
    "small\000"
    "\042quoted\042\077\000"
    "gr\303\266\303\237er\000"
    "Label\000"
    "^[\134w\134\077]*$\000"
    "\000"
    "NextToken\000"
    "next\000"
    "MaxResults\000"
    "ListThingsRequest\000"
    "Names\000"
    "Since\000"
    "ListThingsResponse\000"
    "item\000"
    "Secret\000"
    "String\000"
    "Time\000"
    "CreateThing\000"
    "POST\000"
    "/\000"
    "ListThings\000"
    "ListThingsResult\000"
    "GET\000"
    "/things\000";
constexpr ShapeRow kShapes[] = {
    {0, ShapeType::Integer, 16, TimestampFormat::Default, 0, kNoRow, 0, 0, kNoRow, kNoRow, kNoRow},
    {23, ShapeType::Structure, 0, TimestampFormat::Default, 0, 0, 3, kNoRow, kNoRow, kNoRow, kNoRow},
    {50, ShapeType::Structure, 2, TimestampFormat::Default, 0, 3, 1, kNoRow, kNoRow, 0, kNoRow},
    {11, ShapeType::String, 0, TimestampFormat::Default, 0, 0, 3, kNoRow, kNoRow, kNoRow, kNoRow},
    {93, ShapeType::String, 0, TimestampFormat::Default, 0, kNoRow, 0, 1, 99, kNoRow, kNoRow},
    {16, ShapeType::Map, 0, TimestampFormat::Default, 0, 4, 0, 2, kNoRow, kNoRow, kNoRow},
    {136, ShapeType::Structure, 0, TimestampFormat::Default, 0, 6, 2, kNoRow, kNoRow, kNoRow, kNoRow},
    {166, ShapeType::Structure, 0, TimestampFormat::Default, 0, 8, 3, kNoRow, kNoRow, kNoRow, kNoRow},
    {6, ShapeType::String, 0, TimestampFormat::Default, 0, kNoRow, 0, 3, kNoRow, kNoRow, kNoRow},
    {154, ShapeType::List, 8, TimestampFormat::Default, 0, 11, 0, kNoRow, kNoRow, kNoRow, kNoRow},
    {190, ShapeType::Blob, 1, TimestampFormat::Default, 0, kNoRow, 0, kNoRow, kNoRow, kNoRow, kNoRow},
    {197, ShapeType::String, 0, TimestampFormat::Default, 0, kNoRow, 0, kNoRow, kNoRow, kNoRow, kNoRow},
    {204, ShapeType::Timestamp, 0, TimestampFormat::Default, 0, kNoRow, 0, kNoRow, kNoRow, kNoRow, kNoRow}};
constexpr MemberRow kMembers[] = {
    {6, kNoRow, 8, 1, Location::Body, TimestampFormat::Default, 0},
    {11, kNoRow, 3, 0, Location::Body, TimestampFormat::Default, 0},
    {16, kNoRow, 5, 0, Location::Body, TimestampFormat::Default, 0},
    {42, kNoRow, 11, 0, Location::Body, TimestampFormat::Default, 0},
    {109, kNoRow, 4, 0, Location::Body, TimestampFormat::Default, 0},
    {109, kNoRow, 11, 0, Location::Body, TimestampFormat::Default, 0},
    {110, 120, 11, 0, Location::Query, TimestampFormat::Default, 0},
    {125, kNoRow, 0, 0, Location::Body, TimestampFormat::Default, 0},
    {154, kNoRow, 9, 0, Location::Body, TimestampFormat::Default, 0},
    {160, kNoRow, 12, 0, Location::Body, TimestampFormat::Iso8601, 0},
    {110, kNoRow, 11, 0, Location::Body, TimestampFormat::Default, 0},
    {109, 185, 8, 0, Location::Body, TimestampFormat::Default, 0}};
constexpr uint32_t kEnumValues[] = {
    68,
    74,
    84};
constexpr LimitRow kLimits[] = {
    {1.0, 100.0},
    {-__builtin_inf(), 8.0},
    {-__builtin_inf(), 2.0},
    {1.0, 40.0}};
constexpr ErrorRow kErrors[] = {
    {56, 409, 1}};
constexpr OperationRow kOperations[] = {
    {209, 1, kNoRow, kNoRow, 221, 226, 200, 0, 1, kNoRow},
    {228, 6, 7, 239, 256, 260, 202, 1, 0, 0}};
constexpr uint32_t kOperationErrors[] = {
    2};
constexpr PaginationRow kPaginations[] = {
    {110, 110, 125, 154}};

}  // namespace

extern const ServiceTable kSample;
const ServiceTable kSample = {
    "sample", "2020-01-02", "sample", "Sample", "1.1", "", "json", "Sample",
    false, kPool, kShapes, 13, kMembers,
    kEnumValues, kLimits, kErrors, kOperations, 2,
    kOperationErrors, kPaginations};

}  // namespace millwright::aws::tables
