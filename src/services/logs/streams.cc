#include "base/strings.h"
#include "services/logs/answers.h"
#include "services/logs/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using resources::LogStream;
using resources::LogStreamQuery;

namespace {

Json stream_document(const std::string& group_arn, const LogStream& stream) {
    Json document = Json::object({{"logStreamName", stream.name},
                                  {"creationTime", stream.created_ms},
                                  {"arn", group_arn + ":log-stream:" + stream.name},
                                  {"storedBytes", 0}});  // always 0 since AWS stopped reporting it
    if (stream.first_event_ms) document.set("firstEventTimestamp", *stream.first_event_ms);
    if (stream.last_event_ms) {
        document.set("lastEventTimestamp", *stream.last_event_ms);
        document.set("lastIngestionTime", *stream.last_event_ms);
    }
    return document;
}

// By name, or "<milliseconds>.<name>" when the order is that of the last event.
std::string stream_token(const LogStreamQuery& query, const LogStream& last) {
    if (query.order == LogStreamQuery::Order::Name) return name_token(last.name);
    return name_token(std::to_string(last.last_event_ms.value_or(0)) + "." + last.name);
}

ApiResult<void> apply_token(std::string_view token, LogStreamQuery& query) {
    const std::string text = TRY(read_name_token(token));
    if (query.order == LogStreamQuery::Order::Name) {
        query.after_name = text;
        return {};
    }
    const size_t dot = text.find('.');
    const auto time = parse_int(std::string_view(text).substr(0, dot));
    if (dot == std::string::npos || !time) return invalid_parameter("The specified nextToken is invalid.");
    query.after_ms = *time;
    query.after_name = text.substr(dot + 1);
    return {};
}

}  // namespace

ApiResult<Json> create_log_stream(const LogsContext& context, const Call& call, const Json& input) {
    const auto made =
        context.logs.create_stream(stream_in(TRY(group_of(call, input)), input["logStreamName"].as_string()));
    if (!made) return logs_error(made.error(), "log stream");
    return Json::object();
}

ApiResult<Json> delete_log_stream(const LogsContext& context, const Call& call, const Json& input) {
    const auto done =
        context.logs.delete_stream(stream_in(TRY(group_of(call, input)), input["logStreamName"].as_string()));
    if (!done) return logs_error(done.error(), "log stream");
    return Json::object();
}

ApiResult<Json> describe_log_streams(const LogsContext& context, const Call& call, const Json& input) {
    const auto group = TRY(group_of(call, input));
    LogStreamQuery query;
    query.prefix = input["logStreamNamePrefix"].string_or("");
    query.descending = input["descending"].bool_or(false);
    query.limit = static_cast<size_t>(input["limit"].int_or(50));
    if (input["orderBy"].string_or("") == "LastEventTime") query.order = LogStreamQuery::Order::LastEvent;
    if (query.order == LogStreamQuery::Order::LastEvent && !query.prefix.empty())
        return invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix.");
    if (input.has("nextToken")) TRY(apply_token(input["nextToken"].as_string(), query));
    const auto page = context.logs.list_streams(group, query);
    if (!page) return logs_error(page.error(), "log group");
    Json streams = Json::array();
    const std::string arn = log_group_arn(call.caller, group.group);
    for (const LogStream& stream : page->items) streams.push_back(stream_document(arn, stream));
    Json answer = Json::object({{"logStreams", std::move(streams)}});
    // SDK v1 and v2 ask again as long as there is a token but never send it: one too many is an endless loop.
    if (page->more) answer.set("nextToken", stream_token(query, page->items.back()));
    return answer;
}

}  // namespace millwright::services
