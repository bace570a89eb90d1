#include "services/logs/answers.h"
#include "services/logs/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;

namespace {

Json group_document(const aws::Caller& caller, const resources::LogGroup& group) {
    const std::string arn = log_group_arn(caller, group.name);
    return Json::object({{"logGroupName", group.name},
                         {"creationTime", group.created_ms},
                         {"metricFilterCount", 0},
                         {"arn", arn + ":*"},
                         {"logGroupArn", arn},
                         {"logGroupClass", "STANDARD"}});
}

bool wants_other_class(const Json& input) { return input["logGroupClass"].string_or("STANDARD") != "STANDARD"; }

}  // namespace

ApiResult<Json> create_log_group(const LogsContext& context, const Call& call, const Json& input) {
    TRY(refuse_members(call, input, {"kmsKeyId", "tags", "deletionProtectionEnabled"}));
    if (wants_other_class(input)) return invalid_parameter("Millwright has log groups of class STANDARD only.");
    const auto made = context.logs.create_group(TRY(group_of(call, input)));
    if (!made) return logs_error(made.error(), "log group");
    return Json::object();
}

ApiResult<Json> delete_log_group(const LogsContext& context, const Call& call, const Json& input) {
    const auto done = context.logs.delete_group(TRY(group_of(call, input)));
    if (!done) return logs_error(done.error(), "log group");
    return Json::object();
}

ApiResult<Json> describe_log_groups(const LogsContext& context, const Call& call, const Json& input) {
    TRY(refuse_members(call, input, {"accountIdentifiers", "logGroupIdentifiers", "includeLinkedAccounts"}));
    resources::LogGroupQuery query;
    query.prefix = input["logGroupNamePrefix"].string_or("");
    query.contained = input["logGroupNamePattern"].string_or("");
    if (!query.prefix.empty() && !query.contained.empty())
        return invalid_parameter("logGroupNamePrefix and logGroupNamePattern cannot be used together.");
    if (input.has("nextToken")) query.after = TRY(read_name_token(input["nextToken"].as_string()));
    query.limit = static_cast<size_t>(input["limit"].int_or(50));
    Json groups = Json::array();
    Json answer = Json::object();
    if (!wants_other_class(input)) {
        const auto page = TRY(context.logs.list_groups(call.caller.account, call.caller.region, query));
        for (const auto& group : page.items) groups.push_back(group_document(call.caller, group));
        if (page.more) answer.set("nextToken", name_token(page.items.back().name));
    }
    answer.set("logGroups", std::move(groups));
    return answer;
}

}  // namespace millwright::services
