#include "services/ecr/answers.h"

#include "base/strings.h"
#include "oci/reference.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using registry::RepositoryName;
namespace reason = registry::reason;

namespace {

// What the registry says, and what ECR calls it.
struct Row {
    std::string_view reason;
    ErrorKind kind;
    std::string_view code;
};

constexpr Row kRows[] = {
    {reason::kRepository, ErrorKind::NotFound, "RepositoryNotFoundException"},
    {reason::kRepository, ErrorKind::AlreadyExists, "RepositoryAlreadyExistsException"},
    {reason::kRepository, ErrorKind::Conflict, "RepositoryNotEmptyException"},
    {reason::kSameImage, ErrorKind::AlreadyExists, "ImageAlreadyExistsException"},
    {reason::kImmutable, ErrorKind::Conflict, "ImageTagAlreadyExistsException"},
    {reason::kMissingBlob, ErrorKind::InvalidInput, "LayersNotFoundException"},
    {reason::kMissingChild, ErrorKind::InvalidInput, "ReferencedImagesNotFoundException"},
    {reason::kManifest, ErrorKind::NotFound, "ImageNotFoundException"},
    {reason::kTag, ErrorKind::NotFound, "ImageNotFoundException"},
    {reason::kBlob, ErrorKind::NotFound, "LayersNotFoundException"},
    {reason::kUpload, ErrorKind::NotFound, "UploadNotFoundException"},
    {reason::kManyUploads, ErrorKind::LimitExceeded, "LimitExceededException"},
    {reason::kBlobSize, ErrorKind::LimitExceeded, "LimitExceededException"},
    {reason::kUploadBusy, ErrorKind::Conflict, "InvalidLayerPartException"},
};

}  // namespace

std::string registry_in(const aws::Call& call, const Json& input) {
    return input["registryId"].string_or(call.caller.account);
}

RepositoryName repository_in(const aws::Call& call, const Json& input) {
    return {registry_in(call, input), call.caller.region, input["repositoryName"].string_or("")};
}

ApiResult<RepositoryName> repository_of_arn(std::string_view arn) {
    constexpr std::string_view kKind = "repository/";
    const auto parts = split(arn, ':');
    if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "ecr" || !parts[5].starts_with(kKind) ||
        parts[5].size() == kKind.size())
        return ecr_invalid_parameter("resourceArn", "must be the ARN of a repository");
    return RepositoryName{std::string(parts[4]), std::string(parts[3]), std::string(parts[5].substr(kKind.size()))};
}

ApiError ecr_invalid_parameter(std::string_view member, std::string_view constraint) {
    return {400, "InvalidParameterException",
            "Invalid parameter at '" + std::string(member) + "' failed to satisfy constraint: '" +
                std::string(constraint) + "'"};
}

ApiError ecr_not_supported(std::string_view what) {
    return {400, "InvalidParameterException",
            "Millwright does not support " + std::string(what) + " yet. See docs/reference/ecr.md."};
}

std::string place_of(const RepositoryName& repository) {
    return "the repository with name '" + repository.name + "' in the registry with id '" + repository.account + "'";
}

ApiError ecr_error(const Error& failure, const RepositoryName& repository) {
    if (failure.detail == reason::kRepository && failure.kind == ErrorKind::NotFound)
        return {400, "RepositoryNotFoundException",
                "The repository with name '" + repository.name + "' does not exist in the registry with id '" +
                    repository.account + "'"};
    for (const Row& row : kRows)
        if (row.reason == failure.detail && row.kind == failure.kind)
            return {400, std::string(row.code), failure.message};
    if (failure.detail.empty() && failure.kind == ErrorKind::LimitExceeded)
        return {400, "LimitExceededException", "The disk of the server is full. Nothing was stored."};
    if (failure.kind == ErrorKind::InvalidInput || failure.kind == ErrorKind::LimitExceeded)
        return {400, "InvalidParameterException", failure.message};
    return failure;
}

std::string text_of_image_id(const Json& image_id) {
    return "{imageDigest:'" + image_id["imageDigest"].string_or("null") + "', imageTag:'" +
           image_id["imageTag"].string_or("null") + "'}";
}

ApiError image_not_found(const Json& image_id, const RepositoryName& repository) {
    return {400, "ImageNotFoundException",
            "The image with imageId " + text_of_image_id(image_id) + " does not exist within " + place_of(repository)};
}

registry::ImageName image_name_of(const Json& image_id) {
    return {image_id["imageTag"].string_or(""), image_id["imageDigest"].string_or("")};
}

Json image_id_of(std::string_view digest, std::string_view tag) {
    Json id = Json::object({{"imageDigest", digest}});
    if (!tag.empty()) id.set("imageTag", tag);
    return id;
}

ApiResult<std::vector<std::string>> page_position(const aws::PageTokens& tokens, std::string_view scope,
                                                  const Json& input, size_t size) {
    if (!input.has("nextToken")) return std::vector<std::string>(size);
    auto position = tokens.decode(scope, input["nextToken"].string_or(""));
    if (!position || position->size() != size)
        return ecr_invalid_parameter("nextToken", "must be a token of an earlier answer to the same request");
    return std::move(*position);
}

std::string scope_of(std::string_view operation, const RepositoryName& repository, const Json& filter) {
    return "ecr " + std::string(operation) + "\n" + registry::arn_of(repository) + "\n" + filter.dump();
}

}  // namespace millwright::services
