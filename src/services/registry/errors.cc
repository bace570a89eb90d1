#include "services/registry/errors.h"

#include "registry/registry.h"

namespace millwright::services {
namespace {

using aws::ApiError;
namespace reason = registry::reason;

struct Row {
    ErrorKind kind;
    std::string_view why;
    int status;
    const char* code;
};
constexpr Row kRows[] = {
    {ErrorKind::NotFound, reason::kRepository, 404, "NAME_UNKNOWN"},
    {ErrorKind::InvalidInput, reason::kRepositoryName, 400, "NAME_INVALID"},
    {ErrorKind::NotFound, reason::kManifest, 404, "MANIFEST_UNKNOWN"},
    {ErrorKind::InvalidInput, reason::kManifest, 400, "MANIFEST_INVALID"},
    {ErrorKind::LimitExceeded, reason::kManifestSize, 413, "MANIFEST_INVALID"},
    {ErrorKind::NotFound, reason::kTag, 404, "MANIFEST_UNKNOWN"},
    {ErrorKind::InvalidInput, reason::kTag, 400, "TAG_INVALID"},
    {ErrorKind::Conflict, reason::kImmutable, 400, "TAG_INVALID"},
    {ErrorKind::InvalidInput, reason::kMissingBlob, 400, "MANIFEST_BLOB_UNKNOWN"},
    {ErrorKind::InvalidInput, reason::kMissingChild, 400, "MANIFEST_BLOB_UNKNOWN"},
    {ErrorKind::NotFound, reason::kBlob, 404, "BLOB_UNKNOWN"},
    // As of a registry that deletes no blobs: an image still needs this one.
    {ErrorKind::Conflict, reason::kBlobInUse, 405, "UNSUPPORTED"},
    {ErrorKind::InvalidInput, reason::kDigest, 400, "DIGEST_INVALID"},
    {ErrorKind::NotFound, reason::kUpload, 404, "BLOB_UPLOAD_UNKNOWN"},
    {ErrorKind::Conflict, reason::kUploadBusy, 409, "BLOB_UPLOAD_INVALID"},
    {ErrorKind::InvalidInput, reason::kUploadPosition, 416, "RANGE_INVALID"},
    {ErrorKind::InvalidInput, reason::kUploadLength, 400, "SIZE_INVALID"},
    {ErrorKind::LimitExceeded, reason::kBlobSize, 413, "SIZE_INVALID"},
    {ErrorKind::LimitExceeded, reason::kManyUploads, 429, "TOOMANYREQUESTS"},
};

}  // namespace

ApiError registry_error(const Error& failure) {
    for (const Row& row : kRows)
        if (row.kind == failure.kind && row.why == failure.detail) return {row.status, row.code, failure.message};
    switch (failure.kind) {
        case ErrorKind::InvalidInput:
            return {400, "BLOB_UPLOAD_INVALID", failure.message};
        case ErrorKind::NotFound:
            return {404, "UNSUPPORTED", failure.message};
        case ErrorKind::LimitExceeded:
            return {507, "UNKNOWN", failure.message};
        case ErrorKind::Unavailable:
            return {503, "UNAVAILABLE", failure.message};
        default:
            break;
    }
    ApiError error{500, "UNKNOWN", "The request could not be served because of an internal failure"};
    error.detail = failure.message + " (" + failure.detail + ")";
    return error;
}

std::string registry_error_body(const ApiError& error) {
    Json entry = Json::object({{"code", error.code}, {"message", error.message}});
    if (!error.members.is_null()) entry.set("detail", error.members);
    return Json::object({{"errors", Json::array({std::move(entry)})}}).dump();
}

}  // namespace millwright::services
