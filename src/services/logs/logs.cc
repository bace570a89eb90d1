#include "services/logs/logs.h"

#include "services/logs/operations.h"

namespace millwright::services {
namespace {

struct Entry {
    std::string_view name;
    LogsHandler* handle;
};

constexpr Entry kOperations[] = {
    {"CreateLogGroup", create_log_group},       {"DeleteLogGroup", delete_log_group},
    {"DescribeLogGroups", describe_log_groups}, {"CreateLogStream", create_log_stream},
    {"DeleteLogStream", delete_log_stream},     {"DescribeLogStreams", describe_log_streams},
    {"PutLogEvents", put_log_events},           {"GetLogEvents", get_log_events},
    {"FilterLogEvents", filter_log_events},
};

}  // namespace

aws::Service logs_service(resources::Logs& logs, const Clock& clock) {
    aws::Service service{.signing_name = "logs",
                         .model = "logs",
                         .protocol = aws::Protocol::AwsJson,
                         .operations = {},
                         .stream = nullptr};
    for (const Entry& entry : kOperations)
        service.operations.push_back({entry.name,
                                      [&logs, &clock, handle = entry.handle](const aws::Call& call, const Json& input) {
                                          return handle(LogsContext{logs, clock}, call, input);
                                      },
                                      logs_access_rule(entry.name)});
    return service;
}

}  // namespace millwright::services
