#include <algorithm>

#include "oci/reference.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using registry::Registry;
using registry::RepositoryName;
namespace reason = registry::reason;

namespace {

Json image_failure(const Json& image_id, std::string_view code, std::string_view text) {
    return Json::object({{"imageId", image_id}, {"failureCode", code}, {"failureReason", text}});
}

// What is wrong with the way an image is named; null when nothing is.
Json naming_failure(const Json& image_id) {
    const auto name = image_name_of(image_id);
    if (name.tag.empty() && name.digest.empty())
        return image_failure(image_id, "MissingDigestAndTag",
                             "Invalid request parameters: both tag and digest cannot be null");
    if (!name.digest.empty() && !oci::is_digest(name.digest))
        return image_failure(image_id, "InvalidImageDigest", "Invalid request parameters: not an image digest");
    if (!name.tag.empty() && !oci::is_tag(name.tag))
        return image_failure(image_id, "InvalidImageTag", "Invalid request parameters: not an image tag");
    return {};
}

Json missing(const Json& image_id) { return image_failure(image_id, "ImageNotFound", "Requested image not found"); }

Json tag_of_another(const Json& image_id) {
    return image_failure(image_id, "ImageTagDoesNotMatchDigest", "Image tag does not match the image digest");
}

Json image_document(const RepositoryName& repository, const registry::StoredImage& stored, std::string_view tag) {
    return Json::object({{"registryId", repository.account},
                         {"repositoryName", repository.name},
                         {"imageId", image_id_of(stored.image.digest, tag)},
                         {"imageManifest", stored.text},
                         {"imageManifestMediaType", stored.image.media_type}});
}

// Images found and failures of one request.
struct Outcome {
    Json done = Json::array(), failures = Json::array();
};

// Only what is wrong with the whole request is an error.
ApiResult<void> get_one(const EcrParts& parts, const RepositoryName& repository, const Json& input,
                        const Json& image_id, Outcome& out) {
    if (Json failure = naming_failure(image_id); !failure.is_null()) {
        out.failures.push_back(std::move(failure));
        return {};
    }
    const auto name = image_name_of(image_id);
    const auto found = parts.registry.find_image(repository, {name.tag, name.tag.empty() ? name.digest : ""});
    if (!found && found.error().kind == ErrorKind::NotFound && found.error().detail != reason::kRepository) {
        out.failures.push_back(missing(image_id));
        return {};
    }
    if (!found) return ecr_error(found.error(), repository);
    const auto& accepted = input["acceptedMediaTypes"].items();
    const bool takes = accepted.empty() ||
                       std::find(accepted.begin(), accepted.end(), Json(found->image.media_type)) != accepted.end();
    if (!name.digest.empty() && found->image.digest != name.digest)
        out.failures.push_back(tag_of_another(image_id));
    else if (!takes)
        out.failures.push_back(
            image_failure(image_id, "ImageNotFound", "Requested image has the media type " + found->image.media_type));
    else {
        out.done.push_back(image_document(repository, *found, name.tag));
        parts.registry.note_pull(repository, found->image);
    }
    return {};
}

ApiError put_error(const Error& failure, const RepositoryName& repository, const Json& input) {
    if (failure.detail == reason::kDigest)
        return {400, "ImageDigestDoesNotMatchException",
                "Provided imageDigest '" + input["imageDigest"].string_or("") + "' does not match: " + failure.message};
    if (failure.detail == reason::kManifest) return ecr_invalid_parameter("ImageManifest", failure.message);
    if (failure.detail == reason::kTag) return ecr_invalid_parameter("imageTag", failure.message);
    return ecr_error(failure, repository);
}

}  // namespace

ApiResult<Json> put_image(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string text = input["imageManifest"].string_or(""), tag = input["imageTag"].string_or("");
    const auto put = parts.registry.put_image(repository, text,
                                              {.media_type = input["imageManifestMediaType"].string_or(""),
                                               .tag = tag,
                                               .digest = input["imageDigest"].string_or(""),
                                               .refuse_same = true});
    if (!put) return put_error(put.error(), repository, input);
    return Json::object({{"image", image_document(repository, {put->image, text}, tag)}});
}

ApiResult<Json> batch_get_image(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    Outcome out;
    const auto exists = parts.registry.find_repository(repository);
    if (!exists) return ecr_error(exists.error(), repository);
    for (const Json& image_id : input["imageIds"].items()) TRY(get_one(parts, repository, input, image_id, out));
    return Json::object({{"images", std::move(out.done)}, {"failures", std::move(out.failures)}});
}

namespace {

// Removes a tag, and its image with the last one; or an image with all tags. What went is added to `done`.
Result<void> remove_named(Registry& images, const RepositoryName& repository, const registry::ImageName& name,
                          Json& done) {
    if (!name.tag.empty()) {
        const auto digest = TRY(images.remove_tag(repository, name.tag, Registry::LastTag::RemovesImage));
        done.push_back(image_id_of(digest, name.tag));
        return {};
    }
    const auto found = TRY(images.find_image(repository, name));
    TRY(images.remove_image(repository, name.digest, Registry::Referenced::Refuse));
    for (const std::string& tag : found.image.tags) done.push_back(image_id_of(name.digest, tag));
    if (found.image.tags.empty()) done.push_back(image_id_of(name.digest, ""));
    return {};
}

ApiResult<void> delete_one(const EcrParts& parts, const RepositoryName& repository, const Json& image_id,
                           Outcome& out) {
    if (Json failure = naming_failure(image_id); !failure.is_null()) {
        out.failures.push_back(std::move(failure));
        return {};
    }
    const auto name = image_name_of(image_id);
    if (!name.tag.empty() && !name.digest.empty()) {
        const auto found = parts.registry.find_image(repository, {name.tag, ""});
        if (found && found->image.digest != name.digest) {
            out.failures.push_back(tag_of_another(image_id));
            return {};
        }
    }
    const auto removed = remove_named(parts.registry, repository, name, out.done);
    if (removed) return {};
    const Error& why = removed.error();
    if (why.detail == reason::kReferenced)
        out.failures.push_back(image_failure(image_id, "ImageReferencedByManifestList", why.message));
    else if (why.kind == ErrorKind::NotFound && why.detail != reason::kRepository)
        out.failures.push_back(missing(image_id));
    else
        return ecr_error(why, repository);
    return {};
}

}  // namespace

ApiResult<Json> batch_delete_image(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const auto exists = parts.registry.find_repository(repository);
    if (!exists) return ecr_error(exists.error(), repository);
    Outcome out;
    for (const Json& image_id : input["imageIds"].items()) TRY(delete_one(parts, repository, image_id, out));
    return Json::object({{"imageIds", std::move(out.done)}, {"failures", std::move(out.failures)}});
}

}  // namespace millwright::services
