#include "services/s3/form_policy.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace millwright::s3 {
namespace {

using aws::ApiError;
using aws::ApiResult;

constexpr size_t kMaxConditions = 1000;
// Fields that a policy need not name.
constexpr std::string_view kFree[] = {"policy",          "signature",  "awsaccesskeyid",   "file",  "x-amz-signature",
                                      "x-amz-algorithm", "x-amz-date", "x-amz-credential", "submit"};

ApiError invalid_policy(std::string text) {
    return {400, "InvalidPolicyDocument", "Invalid Policy: " + std::move(text)};
}
ApiError refused(std::string text) { return {403, "AccessDenied", "Invalid according to Policy: " + std::move(text)}; }

ApiResult<uint64_t> size_of(const Json& value) {
    const auto number = value.is_string() ? parse_int(value.as_string()).value_or(-1) : value.int_or(-1);
    if (number < 0) return invalid_policy("Invalid content-length-range.");
    return static_cast<uint64_t>(number);
}

ApiResult<void> add_list_condition(FormPolicy& policy, const Json& entry) {
    const std::string kind = to_lower(entry[size_t{0}].string_or(""));
    if (entry.size() != 3) return invalid_policy("A condition in list form has three elements.");
    if (kind == "content-length-range") {
        policy.min_bytes = TRY(size_of(entry[1]));
        policy.max_bytes = TRY(size_of(entry[2]));
        return {};
    }
    const std::string field = to_lower(entry[1].string_or(""));
    if ((kind != "eq" && kind != "starts-with") || !field.starts_with('$') || !entry[2].is_string())
        return invalid_policy("Invalid condition '" + kind + "'.");
    policy.conditions.push_back({kind == "starts-with", field.substr(1), entry[2].as_string()});
    return {};
}

bool is_free(std::string_view field) {
    return field.starts_with("x-ignore-") || field.starts_with("x-amz-checksum-") ||
           std::find(std::begin(kFree), std::end(kFree), field) != std::end(kFree);
}

}  // namespace

ApiResult<FormPolicy> parse_form_policy(std::string_view document) {
    const auto json = Json::parse(document);
    if (!json || !json->is_object()) return invalid_policy("Invalid JSON.");
    FormPolicy policy;
    if (!(*json)["expiration"].is_string()) return invalid_policy("Policy missing expiration.");
    const auto expiration = parse_iso8601((*json)["expiration"].as_string());
    if (!expiration || (*json)["expiration"].as_string().find('T') == std::string::npos)
        return invalid_policy("Invalid 'expiration' value.");
    policy.expiration = *expiration;
    const Json& conditions = (*json)["conditions"];
    if (!conditions.is_array()) return invalid_policy("Policy missing conditions.");
    if (conditions.size() > kMaxConditions) return invalid_policy("Too many conditions.");
    for (const Json& entry : conditions.items()) {
        if (entry.is_array()) {
            TRY(add_list_condition(policy, entry));
        } else if (entry.size() == 1 && entry.is_object() && entry.members().front().value.is_string()) {
            const auto& member = entry.members().front();
            policy.conditions.push_back({false, to_lower(member.name), member.value.as_string()});
        } else {
            return invalid_policy(
                "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.");
        }
    }
    return policy;
}

ApiResult<void> check_form_policy(const FormPolicy& policy, const std::map<std::string, std::string>& fields,
                                  Timestamp now) {
    if (now >= policy.expiration) return refused("Policy expired.");
    for (const auto& condition : policy.conditions) {
        const auto found = fields.find(condition.field);
        const std::string value = found == fields.end() ? "" : found->second;
        const bool holds = condition.prefix ? value.starts_with(condition.value) : value == condition.value;
        if (!holds)
            return refused("Policy Condition failed: [\"" + std::string(condition.prefix ? "starts-with" : "eq") +
                           "\", \"$" + condition.field + "\", \"" + condition.value + "\"]");
    }
    for (const auto& entry : fields) {
        const std::string& field = entry.first;
        const bool covered = std::any_of(policy.conditions.begin(), policy.conditions.end(),
                                         [&](const auto& condition) { return condition.field == field; });
        if (!covered && !is_free(field)) return refused("Extra input fields: " + field);
    }
    return {};
}

}  // namespace millwright::s3
