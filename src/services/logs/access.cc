// What each operation of CloudWatch Logs needs: its action on a log group or a stream of it.
#include "base/strings.h"
#include "services/logs/operations.h"

namespace millwright::services {
namespace {

using aws::Access;
using aws::ApiResult;
using aws::Call;

enum class Target { Groups, Group, NewStream, Stream };

struct Row {
    std::string_view operation;
    Target target;
};

constexpr Row kRows[] = {
    {"CreateLogGroup", Target::Group},      {"DeleteLogGroup", Target::Group},   {"DescribeLogGroups", Target::Groups},
    {"CreateLogStream", Target::NewStream}, {"DeleteLogStream", Target::Stream}, {"DescribeLogStreams", Target::Group},
    {"PutLogEvents", Target::Stream},       {"GetLogEvents", Target::Stream},    {"FilterLogEvents", Target::Group},
};

// "name", or the ARN of a group with or without ":*", possibly of another account.
struct Group {
    std::string prefix, account, name;
};
Group group_of(const Call& call, const Json& input) {
    Group out{"arn:aws:logs:" + call.caller.region + ":" + call.caller.account + ":log-group:", call.caller.account,
              input["logGroupName"].string_or("")};
    if (!out.name.empty()) return out;
    const std::string identifier = input["logGroupIdentifier"].string_or("");
    const auto parts = split(identifier, ':');
    if (parts.size() < 7 || parts[0] != "arn" || parts[5] != "log-group") {
        out.name = identifier;
        return out;
    }
    out.account = parts[4];
    out.name = parts[6];
    out.prefix = identifier.substr(0, static_cast<size_t>(parts[6].data() - identifier.data()));
    return out;
}

ApiResult<std::vector<Access>> needed(const Row& row, const Call& call, const Json& input) {
    const Group group = group_of(call, input);
    const std::string of_group = group.prefix + (row.target == Target::Groups ? "" : group.name);
    Access access;
    access.action = "logs:" + std::string(row.operation);
    access.resource_account = group.account;
    access.resource = of_group + ":log-stream:";
    const bool stream = row.target == Target::Stream || row.target == Target::NewStream;
    if (stream) access.resource += input["logStreamName"].string_or("");
    // Policies name a group as "…:log-group:name", "…:name:*" or "…:name:log-stream:*"; all mean it.
    if (row.target != Target::Stream) access.other_spellings = {of_group, of_group + ":*"};
    for (const JsonMember& tag : input["tags"].members())
        access.context.emplace_back("aws:requesttag/" + to_lower(tag.name), aws::Strings{tag.value.string_or("")});
    return std::vector<Access>{std::move(access)};
}

}  // namespace

aws::AccessRule logs_access_rule(std::string_view operation) {
    for (const Row& row : kRows)
        if (row.operation == operation)
            return [&row](const Call& call, const Json& input) { return needed(row, call, input); };
    return nullptr;
}

}  // namespace millwright::services
