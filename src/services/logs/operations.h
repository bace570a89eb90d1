// The operations of CloudWatch Logs; grouped in files by what they work on.
#pragma once

#include "aws/service.h"
#include "resources/logs/logs.h"

namespace millwright::services {

struct LogsContext {
    resources::Logs& logs;
    const Clock& clock;
};

using LogsHandler = aws::ApiResult<Json>(const LogsContext&, const aws::Call&, const Json& input);

// groups.cc
LogsHandler create_log_group, delete_log_group, describe_log_groups;
// streams.cc
LogsHandler create_log_stream, delete_log_stream, describe_log_streams;
// events.cc
LogsHandler put_log_events, get_log_events, filter_log_events;

// access.cc: what an operation needs. Null for one that is not listed there.
aws::AccessRule logs_access_rule(std::string_view operation);

}  // namespace millwright::services
