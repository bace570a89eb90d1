// The AWS service models as read-only tables: names, types, constraints, bindings. Generated at build time from
// api/models by api/tables.py; nothing is built at run time, and views are two words to copy.
//
//   const Operation operation = find_service("sagemaker")->find_operation("CreateTrainingJob");
//   for (const Member& member : operation.input()->members()) …
//
// (Operation here is ModelOperation: `Operation` is an entry of a Service in aws/service.h.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millwright::aws {

enum class ShapeType : uint8_t { String, Integer, Long, Float, Double, Boolean, Blob, Timestamp, List, Map, Structure };
enum class TimestampFormat : uint8_t { Default, EpochSeconds, Iso8601, Rfc822 };
enum class Location : uint8_t { Body, Header, HeaderPrefix, Uri, Query, StatusCode };

// Rows of the generated tables. Text is an offset into one pool of zero-terminated strings, so that the tables need no
// relocation and stay shared, read-only pages. kNoRow stands for "none".
namespace tables {

inline constexpr uint32_t kNoRow = 0xffffffff;

struct ShapeRow {
    uint32_t name;
    ShapeType type;
    uint8_t flags;
    TimestampFormat timestamp_format;
    uint8_t unused;
    uint32_t first;   // structure: first member; list: element member; map: key member (value follows); string: first
                      // enum value
    uint32_t count;   // structure: members; string: enum values
    uint32_t limits;  // row of LimitRow
    uint32_t pattern;
    uint32_t error;    // row of ErrorRow
    uint32_t payload;  // name of the payload member
};
struct MemberRow {
    uint32_t name;
    uint32_t location_name;
    uint32_t shape;
    uint8_t flags;
    Location location;
    TimestampFormat timestamp_format;
    uint8_t unused;
};
struct LimitRow {
    double min, max;  // exact: the models' limits are below 2^53; infinities stand for "none"
};
struct ErrorRow {
    uint32_t code;
    uint32_t status;
    uint32_t sender_fault;
};
struct OperationRow {
    uint32_t name, input, output, result_wrapper;
    uint32_t method, uri, status;
    uint32_t first_error, error_count;
    uint32_t pagination;  // row of PaginationRow
};
struct PaginationRow {
    uint32_t input_token, output_token, limit_key, result_key;
};
struct ServiceTable {
    std::string_view name;
    std::string_view api_version, signing_name, target_prefix, json_version, xml_namespace, protocol, service_id;
    bool query_compatible;
    const char* pool;
    const ShapeRow* shapes;
    uint32_t shape_count;
    const MemberRow* members;
    const uint32_t* enum_values;
    const LimitRow* limits;
    const ErrorRow* errors;
    const OperationRow* operations;  // sorted by name
    uint32_t operation_count;
    const uint32_t* operation_errors;  // shape rows
    const PaginationRow* paginations;
};

inline constexpr uint8_t kRequired = 1, kFlattened = 2, kIdempotencyToken = 4, kStreaming = 8,
                         kXmlAttribute = 16;  // members
inline constexpr uint8_t kSensitive = 1, kException = 2, kUnion = 4, kFlattenedShape = 8, kBoxed = 16,
                         kDocument = 32;  // shapes

}  // namespace tables

// Iterates over views made on the fly from an index.
template <typename View, typename Owner>
class ViewRange {
  public:
    class Iterator {
      public:
        Iterator(const Owner& owner, uint32_t at) : owner_(owner), at_(at) {}
        View operator*() const { return owner_.view_at(at_, static_cast<View*>(nullptr)); }
        Iterator& operator++() { return ++at_, *this; }
        bool operator!=(const Iterator& other) const { return at_ != other.at_; }

      private:
        Owner owner_;
        uint32_t at_;
    };
    ViewRange(const Owner& owner, uint32_t count) : owner_(owner), count_(count) {}
    Iterator begin() const { return {owner_, 0}; }
    Iterator end() const { return {owner_, count_}; }
    uint32_t size() const { return count_; }
    bool empty() const { return count_ == 0; }

  private:
    Owner owner_;
    uint32_t count_;
};

class Shape;

// A member of a structure, or the element of a list, or the key or value of a map.
class Member {
  public:
    Member(const tables::ServiceTable* table, uint32_t row) : table_(table), row_(row) {}
    std::string_view name() const { return text(row().name); }  // "" for elements, keys and values
    std::string_view location_name() const;                     // the wire name; name() when the model gives none
    bool has_location_name() const { return row().location_name != tables::kNoRow; }
    Shape shape() const;
    bool required() const { return (row().flags & tables::kRequired) != 0; }
    bool flattened() const { return (row().flags & tables::kFlattened) != 0; }
    bool streaming() const { return (row().flags & tables::kStreaming) != 0; }
    bool idempotency_token() const { return (row().flags & tables::kIdempotencyToken) != 0; }
    bool xml_attribute() const { return (row().flags & tables::kXmlAttribute) != 0; }
    Location location() const { return row().location; }
    TimestampFormat timestamp_format() const;  // the member's own, else the shape's

  private:
    const tables::MemberRow& row() const { return table_->members[row_]; }
    std::string_view text(uint32_t offset) const {
        return offset == tables::kNoRow ? std::string_view() : std::string_view(table_->pool + offset);
    }
    const tables::ServiceTable* table_;
    uint32_t row_;
};

class Shape {
  public:
    Shape(const tables::ServiceTable* table, uint32_t row) : table_(table), row_(row) {}
    std::string_view name() const { return text(row().name); }
    ShapeType type() const { return row().type; }
    bool sensitive() const { return (row().flags & tables::kSensitive) != 0; }
    bool is_exception() const { return (row().flags & tables::kException) != 0; }
    bool is_union() const { return (row().flags & tables::kUnion) != 0; }
    bool flattened() const { return (row().flags & tables::kFlattenedShape) != 0; }
    bool is_document() const { return (row().flags & tables::kDocument) != 0; }  // any JSON, not described further

    // Structures.
    ViewRange<Member, Shape> members() const { return {*this, type() == ShapeType::Structure ? row().count : 0}; }
    std::optional<Member> find_member(std::string_view name) const;
    std::string_view payload() const { return text(row().payload); }  // "" when the body is the document
    // Lists and maps.
    Member element() const { return {table_, row().first}; }
    Member key() const { return {table_, row().first}; }
    Member value() const { return {table_, row().first + 1}; }
    // Strings: values of an enum.
    ViewRange<std::string_view, Shape> enum_values() const {
        return {*this, type() == ShapeType::String ? row().count : 0};
    }
    // Length of text (code points), blobs (bytes), lists and maps; value of numbers.
    std::optional<double> min() const;
    std::optional<double> max() const;
    std::string_view pattern() const { return text(row().pattern); }
    TimestampFormat timestamp_format() const { return row().timestamp_format; }
    // Exceptions: the code on the wire (the shape name unless the model gives one) and the HTTP status (400 likewise).
    std::string_view error_code() const;
    int error_status() const;

    // Identity within the service, for caches.
    uint32_t index() const { return row_; }
    const tables::ServiceTable* table() const { return table_; }

    Member view_at(uint32_t i, Member*) const { return {table_, row().first + i}; }
    std::string_view view_at(uint32_t i, std::string_view*) const { return text(table_->enum_values[row().first + i]); }

  private:
    const tables::ShapeRow& row() const { return table_->shapes[row_]; }
    std::string_view text(uint32_t offset) const {
        return offset == tables::kNoRow ? std::string_view() : std::string_view(table_->pool + offset);
    }
    const tables::ServiceTable* table_;
    uint32_t row_;
};

struct Pagination {
    std::string_view input_token, output_token, limit_key, result_key;  // result keys joined by ','
};

class ModelOperation {
  public:
    ModelOperation(const tables::ServiceTable* table, uint32_t row) : table_(table), row_(row) {}
    std::string_view name() const { return text(row().name); }
    std::optional<Shape> input() const;
    std::optional<Shape> output() const;
    std::string_view result_wrapper() const { return text(row().result_wrapper); }
    std::string_view method() const { return text(row().method); }
    std::string_view uri() const { return text(row().uri); }  // "/endpoints/{EndpointName}/invocations"
    int status() const { return static_cast<int>(row().status); }
    ViewRange<Shape, ModelOperation> errors() const { return {*this, row().error_count}; }
    std::optional<Pagination> pagination() const;

    Shape view_at(uint32_t i, Shape*) const { return {table_, table_->operation_errors[row().first_error + i]}; }

  private:
    const tables::OperationRow& row() const { return table_->operations[row_]; }
    std::string_view text(uint32_t offset) const {
        return offset == tables::kNoRow ? std::string_view() : std::string_view(table_->pool + offset);
    }
    const tables::ServiceTable* table_;
    uint32_t row_;
};

class ServiceModel {
  public:
    explicit ServiceModel(const tables::ServiceTable* table) : table_(table) {}
    std::string_view name() const { return table_->name; }  // "sagemaker-runtime"
    std::string_view api_version() const { return table_->api_version; }
    std::string_view signing_name() const { return table_->signing_name; }
    std::string_view service_id() const { return table_->service_id; }  // "SageMaker Runtime"
    std::string_view target_prefix() const { return table_->target_prefix; }
    std::string_view json_version() const { return table_->json_version; }  // "1.1"
    std::string_view xml_namespace() const { return table_->xml_namespace; }
    std::string_view protocol() const { return table_->protocol; }
    bool query_compatible() const { return table_->query_compatible; }

    ViewRange<ModelOperation, ServiceModel> operations() const { return {*this, table_->operation_count}; }  // by name
    std::optional<ModelOperation> find_operation(std::string_view name) const;
    ViewRange<Shape, ServiceModel> shapes() const { return {*this, table_->shape_count}; }
    std::optional<Shape> find_shape(std::string_view name) const;  // linear; for tests and start-up

    ModelOperation view_at(uint32_t i, ModelOperation*) const { return {table_, i}; }
    Shape view_at(uint32_t i, Shape*) const { return {table_, i}; }
    const tables::ServiceTable* table() const { return table_; }

  private:
    const tables::ServiceTable* table_;
};

// By botocore's service name: sagemaker, sagemaker-runtime, logs, cloudwatch, iam, sts, s3 (operation names only).
std::optional<ServiceModel> find_service(std::string_view name);

}  // namespace millwright::aws
