#include "base/strings.h"
#include "services/ecr/answers.h"
#include "services/ecr/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;

namespace {

// The ARN of a repository that is there.
ApiResult<std::string> known_arn(const EcrParts& parts, const Json& input) {
    const auto name = TRY(repository_of_arn(input["resourceArn"].string_or("")));
    const auto found = parts.registry.find_repository(name);
    if (!found) return ecr_error(found.error(), name);
    return registry::arn_of(name);
}

}  // namespace

ApiError repository_tags_error(const Error& failure) {
    if (failure.message.find("at most 50 tags") != failure.message.npos)
        return {400, "TooManyTagsException", failure.message};
    if (failure.kind == ErrorKind::InvalidInput) return {400, "InvalidTagParameterException", failure.message};
    return failure;
}

Result<resources::TagList> parse_repository_tags(const Json& tags) {
    constexpr size_t kMaxKey = 128, kMaxValue = 256;
    auto list = TRY(resources::parse_tags(tags));
    for (const auto& [key, value] : list)
        if (key.empty() || utf8_length(key) > kMaxKey || utf8_length(value) > kMaxValue)
            return invalid_input("The key of a tag has 1 to 128 characters, and its value at most 256.");
    return list;
}

ApiResult<Json> ecr_tag_resource(const EcrParts& parts, const Call&, const Json& input) {
    const std::string arn = TRY(known_arn(parts, input));
    const auto tags = parse_repository_tags(input["tags"]);
    if (!tags) return repository_tags_error(tags.error());
    const auto added = parts.tags.add(arn, *tags);
    if (!added) return repository_tags_error(added.error());
    return Json::object();
}

ApiResult<Json> ecr_untag_resource(const EcrParts& parts, const Call&, const Json& input) {
    const std::string arn = TRY(known_arn(parts, input));
    std::vector<std::string> keys;
    for (const Json& key : input["tagKeys"].items()) keys.push_back(key.string_or(""));
    const auto removed = parts.tags.remove(arn, keys);
    if (!removed) return repository_tags_error(removed.error());
    return Json::object();
}

ApiResult<Json> ecr_list_tags_for_resource(const EcrParts& parts, const Call&, const Json& input) {
    const std::string arn = TRY(known_arn(parts, input));
    const auto tags = parts.tags.list(arn);
    if (!tags) return repository_tags_error(tags.error());
    return Json::object({{"tags", resources::tags_to_json(*tags)}});
}

}  // namespace millwright::services
