#include "services/s3/errors.h"

#include "object_store/object_store.h"

namespace millwright::s3 {
namespace {

namespace reason = object_store::reason;

struct Mapping {
    ErrorKind kind;
    std::string_view detail;
    int status;
    std::string_view code;
};

constexpr Mapping kMappings[] = {
    {ErrorKind::NotFound, reason::kBucket, 404, "NoSuchBucket"},
    {ErrorKind::NotFound, reason::kKey, 404, "NoSuchKey"},
    {ErrorKind::NotFound, reason::kVersion, 404, "NoSuchVersion"},
    {ErrorKind::NotFound, reason::kDeleteMarker, 404, "NoSuchKey"},
    {ErrorKind::Conflict, reason::kDeleteMarker, 405, "MethodNotAllowed"},
    {ErrorKind::InvalidInput, reason::kVersion, 400, "InvalidArgument"},
    {ErrorKind::NotFound, reason::kUpload, 404, "NoSuchUpload"},
    {ErrorKind::AlreadyExists, reason::kBucket, 409, "BucketAlreadyExists"},
    {ErrorKind::AlreadyExists, reason::kCondition, 412, "PreconditionFailed"},
    {ErrorKind::Conflict, reason::kCondition, 412, "PreconditionFailed"},
    {ErrorKind::Conflict, reason::kBucket, 409, "BucketNotEmpty"},
    {ErrorKind::InvalidInput, reason::kBucket, 400, "InvalidBucketName"},
    {ErrorKind::InvalidInput, reason::kKey, 400, "InvalidURI"},
    {ErrorKind::InvalidInput, reason::kKeyTooLong, 400, "KeyTooLongError"},
    {ErrorKind::InvalidInput, reason::kPart, 400, "InvalidPart"},
    {ErrorKind::InvalidInput, reason::kPartOrder, 400, "InvalidPartOrder"},
    {ErrorKind::InvalidInput, reason::kPartNumber, 400, "InvalidArgument"},
    {ErrorKind::InvalidInput, reason::kPartTooSmall, 400, "EntityTooSmall"},
    {ErrorKind::InvalidInput, reason::kMd5, 400, "BadDigest"},
    {ErrorKind::InvalidInput, reason::kChecksum, 400, "BadDigest"},
    {ErrorKind::InvalidInput, reason::kChecksumName, 400, "InvalidRequest"},
    {ErrorKind::InvalidInput, reason::kSize, 400, "EntityTooLarge"},
    {ErrorKind::InvalidInput, reason::kLength, 400, "InvalidRequest"},
    {ErrorKind::Unavailable, reason::kChanged, 409, "OperationAborted"},
};

aws::ApiError named(const Error& failure) {
    if (failure.detail.starts_with(kBody)) {
        if (failure.kind == ErrorKind::Unavailable)
            return {
                400, "RequestTimeout",
                "Your socket connection to the server was not read from or written to within the timeout period. Idle "
                "connections will be closed."};
        return {400, "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header"};
    }
    for (const auto& mapping : kMappings)
        if (mapping.kind == failure.kind && mapping.detail == failure.detail)
            return {mapping.status, std::string(mapping.code), failure.message};
    if (failure.kind == ErrorKind::LimitExceeded)
        return {507, "InsufficientStorage", "The disk of the server is full. Nothing was stored."};
    if (failure.kind == ErrorKind::Unavailable) return {503, "SlowDown", "Please reduce your request rate."};
    return {500, "InternalError", "We encountered an internal error. Please try again."};
}

}  // namespace

aws::ApiError s3_error(const Error& failure) {
    aws::ApiError error = named(failure);
    error.detail = failure.message + (failure.detail.empty() ? "" : " (" + failure.detail + ")");
    return error;
}

}  // namespace millwright::s3
