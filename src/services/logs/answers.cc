#include "services/logs/answers.h"

#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;

namespace {

ApiError bad_token() { return invalid_parameter("The specified nextToken is invalid."); }

}  // namespace

ApiError invalid_parameter(std::string text) { return {400, "InvalidParameterException", std::move(text)}; }

ApiError logs_error(const Error& failure, std::string_view kind) {
    const std::string name(failure.detail == "group" ? "log group" : failure.detail == "stream" ? "log stream" : kind);
    switch (failure.kind) {
        case ErrorKind::NotFound:
            return {400, "ResourceNotFoundException", "The specified " + name + " does not exist."};
        case ErrorKind::AlreadyExists:
            return {400, "ResourceAlreadyExistsException", "The specified " + name + " already exists"};
        case ErrorKind::InvalidInput:
            return invalid_parameter(failure.message);
        case ErrorKind::LimitExceeded:
            return {400, "LimitExceededException", "The disk of the server is full. Nothing was stored."};
        default:
            return failure;
    }
}

ApiResult<void> refuse_members(const aws::Call& call, const Json& input,
                               std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names)
        if (input.has(name) && input[name].bool_or(true))
            return invalid_parameter("Millwright does not support " + std::string(name) + " of " +
                                     std::string(call.operation) + " yet.");
    return {};
}

std::string log_group_arn(const aws::Caller& caller, std::string_view group) {
    return "arn:aws:logs:" + caller.region + ":" + caller.account + ":log-group:" + std::string(group);
}

ApiResult<resources::GroupName> group_of(const aws::Call& call, const Json& input) {
    std::string name = input["logGroupName"].string_or("");
    const std::string identifier = input["logGroupIdentifier"].string_or("");
    if (name.empty() == identifier.empty())
        return invalid_parameter(
            "Exactly one of the parameters logGroupName and logGroupIdentifier must be specified.");
    const std::string own = log_group_arn(call.caller, "");
    if (identifier.starts_with("arn:")) {
        if (!identifier.starts_with(own)) return logs_error(not_found(""), "log group");
        name = identifier.substr(own.size());
        if (name.ends_with(":*")) name.resize(name.size() - 2);
    } else if (!identifier.empty()) {
        name = identifier;
    }
    return resources::GroupName{call.caller.account, call.caller.region, name};
}

resources::StreamName stream_in(const resources::GroupName& group, std::string_view stream) {
    return {group.account, group.region, group.group, std::string(stream)};
}

std::string make_token(std::string_view kind, const std::vector<int64_t>& fields) {
    std::string token(kind);
    for (const int64_t field : fields) {
        const std::string digits = std::to_string(field);
        token += '/' + std::string(20 - digits.size(), '0') + digits;
    }
    return token;
}

ApiResult<std::vector<int64_t>> read_token(std::string_view kind, size_t fields, std::string_view token) {
    const auto parts = split(token, '/');
    if (parts.size() != fields + 1 || parts[0] != kind) return bad_token();
    std::vector<int64_t> values;
    for (size_t i = 1; i < parts.size(); ++i) {
        const auto value = parse_int(parts[i]);
        if (!value || *value < 0 || parts[i].size() != 20) return bad_token();
        values.push_back(*value);
    }
    return values;
}

std::string name_token(std::string_view name) { return to_base64(name); }

ApiResult<std::string> read_name_token(std::string_view token) {
    auto name = from_base64(token);
    if (!name || name->empty() || !is_valid_utf8(*name)) return bad_token();
    return std::move(*name);
}

}  // namespace millwright::services
