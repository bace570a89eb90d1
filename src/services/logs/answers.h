// What the operations of CloudWatch Logs share: names, errors and tokens.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "aws/service.h"
#include "resources/logs/logs.h"

namespace millwright::services {

aws::ApiError invalid_parameter(std::string text);
// NotFound -> ResourceNotFoundException and AlreadyExists -> ResourceAlreadyExistsException, with AWS's texts
// for a `kind`
// ("log group", "log stream"); InvalidInput -> InvalidParameterException.
aws::ApiError logs_error(const Error& failure, std::string_view kind);
// InvalidParameterException when `input` has one of these members, which Millwright does not support; `false`
// asks for nothing and passes.
aws::ApiResult<void> refuse_members(const aws::Call& call, const Json& input,
                                    std::initializer_list<std::string_view> names);

std::string log_group_arn(const aws::Caller& caller, std::string_view group);
// From logGroupName or logGroupIdentifier (a name or an ARN of this account and region).
aws::ApiResult<resources::GroupName> group_of(const aws::Call& call, const Json& input);
resources::StreamName stream_in(const resources::GroupName& group, std::string_view stream);

// Tokens are "<kind>/<field>/<field>…" of numbers, or a name in base64.
std::string make_token(std::string_view kind, const std::vector<int64_t>& fields);
aws::ApiResult<std::vector<int64_t>> read_token(std::string_view kind, size_t fields, std::string_view token);
std::string name_token(std::string_view name);
aws::ApiResult<std::string> read_name_token(std::string_view token);

}  // namespace millwright::services
