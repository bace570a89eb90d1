#include "services/iam/answers.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;

ApiError iam_error(const Error& failure) {
    switch (failure.kind) {
        case ErrorKind::NotFound:
            return {404, "NoSuchEntity", failure.message};
        case ErrorKind::AlreadyExists:
            return {409, "EntityAlreadyExists", failure.message};
        case ErrorKind::Conflict:
            return {409, "DeleteConflict", failure.message};
        case ErrorKind::Denied:
            return {400, "UnmodifiableEntity", failure.message};
        case ErrorKind::LimitExceeded:
            return {409, "LimitExceeded", failure.message};
        case ErrorKind::InvalidInput:
            return {400, "MalformedPolicyDocument", failure.message};
        default:
            return failure;
    }
}

std::vector<std::pair<std::string, std::string>> tags_of(const Json& tags) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const Json& tag : tags.items()) out.emplace_back(tag["Key"].string_or(""), tag["Value"].string_or(""));
    return out;
}

Json tags_document(const std::vector<std::pair<std::string, std::string>>& tags) {
    Json out = Json::array();
    for (const auto& [key, value] : tags) out.push_back(Json::object({{"Key", key}, {"Value", value}}));
    return out;
}

ApiResult<std::vector<std::pair<std::string, std::string>>> with_tags(
    std::vector<std::pair<std::string, std::string>> tags, const Json& more) {
    constexpr size_t kMaxTags = 50;
    for (auto& [key, value] : tags_of(more)) {
        std::erase_if(tags, [&key = key](const auto& tag) { return tag.first == key; });
        tags.emplace_back(std::move(key), std::move(value));
    }
    if (tags.size() > kMaxTags)
        return ApiError(409, "LimitExceeded", "The number of tags has reached the maximum limit.");
    return tags;
}

std::vector<std::pair<std::string, std::string>> without_tags(std::vector<std::pair<std::string, std::string>> tags,
                                                              const Json& keys) {
    for (const Json& key : keys.items())
        std::erase_if(tags, [&](const auto& tag) { return tag.first == key.string_or(""); });
    return tags;
}

Json boundary_document(const std::string& arn) {
    return Json::object({{"PermissionsBoundaryType", "Policy"}, {"PermissionsBoundaryArn", arn}});
}

Json user_document(const resources::User& user) {
    return Json::object({{"Path", user.path},
                         {"UserName", user.name},
                         {"UserId", user.id},
                         {"Arn", user.arn},
                         {"CreateDate", to_epoch_seconds(user.created)}});
}

ApiResult<std::string> user_meant(const aws::Call& call, const Json& input) {
    if (input.has("UserName")) return input["UserName"].as_string();
    const std::string& arn = call.caller.arn;
    if (arn.find(":user/") == arn.npos)
        return ApiError(400, "ValidationError", "Must specify userName when calling with non-User credentials");
    return arn.substr(arn.rfind('/') + 1);
}

ApiResult<std::string> page_start(const Json& input) {
    if (!input.has("Marker")) return std::string();
    auto name = from_base64(input["Marker"].string_or(""));
    if (!name || name->empty()) return ApiError(400, "ValidationError", "Invalid Marker.");
    return std::move(*name);
}

size_t page_size(const Json& input) { return static_cast<size_t>(input["MaxItems"].int_or(100)); }

}  // namespace millwright::services
