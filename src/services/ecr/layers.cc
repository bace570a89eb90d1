#include <algorithm>
#include <cstring>

#include "base/encoding.h"
#include "base/strings.h"
#include "oci/reference.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using registry::RepositoryName;
namespace reason = registry::reason;

namespace {

constexpr int64_t kPartBytes = int64_t{10} << 20;
constexpr std::chrono::hours kDownloadLife{1};
constexpr std::string_view kDownloadScope = "ecr layer";

// The registry's ids are 32 hexadecimal digits; ECR's are grouped as in a UUID.
constexpr size_t kGroups[] = {8, 4, 4, 4, 12};

std::string to_uuid(const std::string& id) {
    std::string out;
    size_t at = 0;
    for (const size_t group : kGroups) {
        out += (at == 0 ? "" : "-") + id.substr(at, group);
        at += group;
    }
    return out;
}

std::string upload_in(const Json& input) { return to_lower(replace_all(input["uploadId"].string_or(""), "-", "")); }

registry::Source source_of(std::string bytes) {
    return [bytes = std::move(bytes), at = size_t{0}](std::span<char> buffer) mutable -> Result<size_t> {
        const size_t count = std::min(buffer.size(), bytes.size() - at);
        std::memcpy(buffer.data(), bytes.data() + at, count);
        at += count;
        return count;
    };
}

ApiError no_upload(const Json& input, const RepositoryName& repository) {
    return {400, "UploadNotFoundException",
            "The upload with id '" + input["uploadId"].string_or("") + "' does not exist in " + place_of(repository)};
}

Json answer_of(const RepositoryName& repository, const Json& input) {
    return Json::object({{"registryId", repository.account},
                         {"repositoryName", repository.name},
                         {"uploadId", input["uploadId"].string_or("")}});
}

}  // namespace

ApiResult<Json> batch_check_layer_availability(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const auto exists = parts.registry.find_repository(repository);
    if (!exists) return ecr_error(exists.error(), repository);
    Json layers = Json::array(), failures = Json::array();
    for (const Json& item : input["layerDigests"].items()) {
        const std::string digest = item.string_or("");
        if (!oci::is_digest(digest)) {
            failures.push_back(
                Json::object({{"layerDigest", digest},
                              {"failureCode", digest.empty() ? "MissingLayerDigest" : "InvalidLayerDigest"},
                              {"failureReason",
                               digest.empty() ? "The digest of the layer is missing" : "Not a digest of a layer"}}));
            continue;
        }
        const auto blob = parts.registry.find_blob(repository, digest);
        const bool missing = !blob && blob.error().detail == reason::kBlob;
        if (!blob && !missing) return ecr_error(blob.error(), repository);
        Json layer =
            Json::object({{"layerDigest", digest}, {"layerAvailability", missing ? "UNAVAILABLE" : "AVAILABLE"}});
        if (blob) layer.set("layerSize", blob->size);
        layers.push_back(std::move(layer));
    }
    return Json::object({{"layers", std::move(layers)}, {"failures", std::move(failures)}});
}

ApiResult<Json> initiate_layer_upload(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const auto upload = parts.registry.begin_upload(repository);
    if (!upload) return ecr_error(upload.error(), repository);
    return Json::object({{"uploadId", to_uuid(upload->id)}, {"partSize", kPartBytes}});
}

ApiResult<Json> upload_layer_part(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    auto bytes = from_base64(input["layerPartBlob"].string_or(""));
    if (!bytes) return ecr_invalid_parameter("layerPartBlob", "must be base64");
    const int64_t first = input["partFirstByte"].int_or(0), last = input["partLastByte"].int_or(0);
    const auto wrong_part = [&](std::string text, int64_t valid) {
        ApiError error{400, "InvalidLayerPartException", std::move(text)};
        error.members = answer_of(repository, input);
        error.members.set("lastValidByteReceived", valid);
        return error;
    };
    const auto known = parts.registry.find_upload(repository, upload_in(input));
    if (!known && known.error().detail == reason::kUpload) return no_upload(input, repository);
    if (!known) return ecr_error(known.error(), repository);
    const auto before = std::max(int64_t{0}, static_cast<int64_t>(known->offset) - 1);
    if (last - first + 1 != static_cast<int64_t>(bytes->size()))
        return wrong_part("The part has " + std::to_string(bytes->size()) + " bytes, not those from " +
                              std::to_string(first) + " to " + std::to_string(last) + ".",
                          before);
    const registry::Registry::Piece piece{static_cast<uint64_t>(first), bytes->size()};
    const auto appended = parts.registry.append(repository, known->id, piece, source_of(std::move(*bytes)));
    if (!appended &&
        (appended.error().detail == reason::kUploadPosition || appended.error().detail == reason::kUploadBusy))
        return wrong_part(appended.error().message, before);
    if (!appended) return ecr_error(appended.error(), repository);
    Json answer = answer_of(repository, input);
    answer.set("lastByteReceived", last);
    return answer;
}

ApiResult<Json> complete_layer_upload(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const auto& digests = input["layerDigests"].items();
    if (digests.size() != 1) return ecr_invalid_parameter("layerDigests", "must have exactly one value");
    const std::string digest = digests[0].string_or("");
    const auto upload = parts.registry.find_upload(repository, upload_in(input));
    if (!upload && upload.error().detail == reason::kUpload) return no_upload(input, repository);
    if (!upload) return ecr_error(upload.error(), repository);
    if (upload->offset == 0)
        return ApiError{400, "EmptyUploadException",
                        "The upload with id '" + input["uploadId"].string_or("") + "' has no parts"};
    if (parts.registry.find_blob(repository, digest)) {
        // What was sent is not needed; nobody is going to ask for it.
        const auto dropped = parts.registry.abort_upload(repository, upload->id);
        if (!dropped && dropped.error().detail != reason::kUpload) return ecr_error(dropped.error(), repository);
        return ApiError{400, "LayerAlreadyExistsException",
                        "The layer with digest '" + digest + "' already exists in " + place_of(repository)};
    }
    const auto done = parts.registry.complete_upload(repository, upload->id, digest, {}, source_of(""));
    if (!done && done.error().detail == reason::kDigest)
        return ApiError{400, "InvalidLayerException", done.error().message};
    if (!done) return ecr_error(done.error(), repository);
    Json answer = answer_of(repository, input);
    answer.set("layerDigest", digest);
    return answer;
}

ApiResult<Json> get_download_url_for_layer(const EcrParts& parts, const Call& call, const Json& input) {
    const RepositoryName repository = repository_in(call, input);
    const std::string digest = input["layerDigest"].string_or("");
    const auto blob = parts.registry.find_blob(repository, digest);
    if (!blob && (blob.error().detail == reason::kBlob || blob.error().detail == reason::kDigest))
        return ApiError{400, "LayersNotFoundException",
                        "Layers with digests '[" + digest + "]' don't exist in " + place_of(repository)};
    if (!blob) return ecr_error(blob.error(), repository);
    const std::string expires = std::to_string(to_epoch_milliseconds(parts.clock.now() + kDownloadLife));
    const std::string token =
        parts.tokens.encode(kDownloadScope, {repository.account, repository.region, repository.name, digest, expires});
    const std::string url =
        std::string(call.secure ? "https://" : "http://") + call.host + std::string(kLayerDownloads) + token;
    return Json::object({{"downloadUrl", url}, {"layerDigest", digest}});
}

namespace {

std::string send_layer(const EcrParts& parts, net::Request& request, net::ResponseWriter& response) {
    const auto refuse = [&](int status, const char* text) {
        static_cast<void>(response.send(status, {{"Content-Type", "text/plain"}}, text).has_value());
        return std::to_string(status);
    };
    const bool head = request.method == "HEAD";
    if (!head && request.method != "GET") return refuse(405, "only GET and HEAD\n");
    const auto place = parts.tokens.decode(kDownloadScope, request.raw_path().substr(std::strlen(kLayerDownloads)));
    if (!place || place->size() != 5) return refuse(403, "not an address of a layer\n");
    const auto expires = parse_int((*place)[4]);
    if (!expires || *expires < to_epoch_milliseconds(parts.clock.now()))
        return refuse(403, "the address has expired\n");
    const auto blob = parts.registry.open_blob_file({(*place)[0], (*place)[1], (*place)[2]}, (*place)[3]);
    if (!blob) return refuse(404, "the layer is gone\n");
    const net::Headers headers = {{"Content-Type", "application/octet-stream"},
                                  {"Docker-Content-Digest", blob->info.digest}};
    const auto sent = head ? response.send_headers_only(200, headers, blob->info.size)
                           : response.send_file(200, headers, blob->fd.get(), 0, blob->info.size);
    static_cast<void>(sent.has_value());
    return "";
}

}  // namespace

aws::GuestRoute ecr_layer_downloads(const EcrParts& parts) {
    return {kLayerDownloads, "ecr", [parts](Call& call, net::Request& request, net::ResponseWriter& response) {
                if (call.gate != nullptr) call.gate->name_operation("DownloadLayer");
                return send_layer(parts, request, response);
            }};
}

}  // namespace millwright::services
