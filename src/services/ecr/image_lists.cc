#include <algorithm>

#include "oci/image.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using registry::Image;
using registry::RepositoryName;
using registry::StoredImage;

namespace {

constexpr int64_t kDefaultPage = 100, kDefaultReferrers = 50;
constexpr size_t kScanPage = 500;

bool fits_filter(const Json& filter, const Image& image) {
    // There is no archive.
    const std::string status = filter["imageStatus"].string_or("ACTIVE");
    if (status != "ACTIVE" && status != "ANY") return false;
    const std::string tagged = filter["tagStatus"].string_or("ANY");
    return tagged == "ANY" || (tagged == "UNTAGGED") == image.tags.empty();
}

// As ECR says of an index: the size of the largest image it names.
uint64_t size_of(const EcrParts& parts, const RepositoryName& repository, const Image& image) {
    if (!oci::is_index(image.media_type)) return image.image_bytes;
    const auto stored = parts.registry.find_image(repository, {"", image.digest});
    const auto index = stored ? oci::parse_index(stored->text) : Result<oci::Index>(stored.error());
    uint64_t largest = 0;
    if (!index) return largest;
    for (const oci::Descriptor& child : index->manifests)
        if (const auto found = parts.registry.find_image(repository, {"", child.digest}))
            largest = std::max(largest, found->image.image_bytes);
    return largest;
}

Json image_detail(const EcrParts& parts, const RepositoryName& repository, const Image& image) {
    Json detail = Json::object({{"registryId", repository.account},
                                {"repositoryName", repository.name},
                                {"imageDigest", image.digest},
                                {"imageSizeInBytes", size_of(parts, repository, image)},
                                {"imagePushedAt", to_epoch_seconds(image.pushed)},
                                {"imageManifestMediaType", image.media_type},
                                {"imageStatus", "ACTIVE"}});
    Json tags = Json::array();
    for (const std::string& tag : image.tags) tags.push_back(tag);
    if (!image.tags.empty()) detail.set("imageTags", std::move(tags));
    if (!image.artifact_type.empty()) detail.set("artifactMediaType", image.artifact_type);
    if (!image.subject.empty()) detail.set("subjectManifestDigest", image.subject);
    if (image.pulled) detail.set("lastRecordedPullTime", to_epoch_seconds(*image.pulled));
    return detail;
}

ApiResult<Json> describe_named(const EcrParts& parts, const RepositoryName& repository, const Json& input) {
    if (input.has("nextToken") || input.has("maxResults"))
        return ecr_invalid_parameter("imageIds", "must not be given with nextToken or maxResults");
    Json details = Json::array();
    for (const Json& image_id : input["imageIds"].items()) {
        const auto name = image_name_of(image_id);
        if (name.tag.empty() && name.digest.empty())
            return ecr_invalid_parameter("imageIds", "must have an imageDigest or an imageTag each");
        const auto found = parts.registry.find_image(repository, name);
        if (!found && found.error().kind == ErrorKind::NotFound &&
            found.error().detail != registry::reason::kRepository)
            return image_not_found(image_id, repository);
        if (!found) return ecr_error(found.error(), repository);
        if (fits_filter(input["filter"], found->image))
            details.push_back(image_detail(parts, repository, found->image));
    }
    return Json::object({{"imageDetails", std::move(details)}});
}

// The images behind `after` that fit, at most `limit` and one more, which tells that there are more.
Result<std::vector<Image>> fitting_images(const EcrParts& parts, const RepositoryName& repository, const Json& filter,
                                          std::string after, size_t limit) {
    std::vector<Image> fitting;
    for (;;) {
        const auto page = TRY(parts.registry.list_images(repository, {after, kScanPage}));
        for (const Image& image : page) {
            if (!fits_filter(filter, image)) continue;
            fitting.push_back(image);
            if (fitting.size() > limit) return fitting;
        }
        if (page.size() < kScanPage) return fitting;
        after = page.back().digest;
    }
}

}  // namespace

ApiResult<Json> describe_images(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    if (input.has("imageIds")) return describe_named(parts, repository, input);
    const std::string scope = scope_of("DescribeImages", repository, input["filter"]);
    const auto position = TRY(page_position(parts.tokens, scope, input, 1));
    const auto limit = static_cast<size_t>(input["maxResults"].int_or(kDefaultPage));
    const auto images = fitting_images(parts, repository, input["filter"], position[0], limit);
    if (!images) return ecr_error(images.error(), repository);
    Json details = Json::array();
    for (size_t i = 0; i < std::min(limit, images->size()); ++i)
        details.push_back(image_detail(parts, repository, (*images)[i]));
    Json answer = Json::object({{"imageDetails", std::move(details)}});
    if (images->size() > limit) answer.set("nextToken", parts.tokens.encode(scope, {(*images)[limit - 1].digest}));
    return answer;
}

// One entry for each tag; a page may end between two tags of an image. Position: the last image that is done, and the
// last tag of the next one.
ApiResult<Json> list_images(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string scope = scope_of("ListImages", repository, input["filter"]);
    const auto position = TRY(page_position(parts.tokens, scope, input, 2));
    const auto limit = static_cast<size_t>(input["maxResults"].int_or(kDefaultPage));
    const auto images = fitting_images(parts, repository, input["filter"], position[0], limit);
    if (!images) return ecr_error(images.error(), repository);
    Json ids = Json::array();
    std::string done = position[0], last_tag = position[1];
    for (const Image& image : *images) {
        std::vector<std::string> tags = image.tags;
        if (tags.empty()) tags.emplace_back();
        for (const std::string& tag : tags) {
            if (!last_tag.empty() && tag <= last_tag) continue;
            if (ids.size() == limit)
                return Json::object(
                    {{"imageIds", std::move(ids)}, {"nextToken", parts.tokens.encode(scope, {done, last_tag})}});
            ids.push_back(image_id_of(image.digest, tag));
            last_tag = tag;
        }
        done = image.digest;
        last_tag.clear();
    }
    return Json::object({{"imageIds", std::move(ids)}});
}

ApiResult<Json> list_image_referrers(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const Json& filter = input["filter"];
    const auto& types = filter["artifactTypes"].items();
    const std::string subject = input["subjectId"]["imageDigest"].string_or("");
    const std::string scope = scope_of("ListImageReferrers", repository, Json::array({subject, filter}));
    const auto position = TRY(page_position(parts.tokens, scope, input, 1));
    const auto limit = static_cast<size_t>(input["maxResults"].int_or(kDefaultReferrers));
    const std::string status = filter["artifactStatus"].string_or("ACTIVE");
    Json found = Json::array();
    std::string after = position[0];
    for (;;) {
        const auto page = parts.registry.referrers(repository, subject, "", {after, 1});
        if (!page) return ecr_error(page.error(), repository);
        if (page->empty() || (status != "ACTIVE" && status != "ANY"))
            return Json::object({{"referrers", std::move(found)}});
        const registry::Referrer& referrer = page->front();
        const bool wanted =
            types.empty() || std::find(types.begin(), types.end(), Json(referrer.artifact_type)) != types.end();
        if (wanted && found.size() == limit)
            return Json::object({{"referrers", std::move(found)}, {"nextToken", parts.tokens.encode(scope, {after})}});
        after = referrer.digest;
        if (!wanted) continue;
        Json document = Json::object({{"digest", referrer.digest},
                                      {"mediaType", referrer.media_type},
                                      {"artifactType", referrer.artifact_type},
                                      {"size", referrer.size},
                                      {"artifactStatus", "ACTIVE"}});
        if (referrer.annotations.is_object()) document.set("annotations", referrer.annotations);
        found.push_back(std::move(document));
    }
}

}  // namespace millwright::services
