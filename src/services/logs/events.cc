#include <algorithm>

#include "services/logs/answers.h"
#include "services/logs/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using resources::PutEvent;
using resources::TimeRange;

namespace {

// Limits of PutLogEvents.
constexpr size_t kMaxBatchBytes = 1'048'576;
constexpr size_t kBytesPerEvent = 26;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kMaxBatchSpanMs = 24 * kHourMs;
constexpr int64_t kOldestMs = 14 * 24 * kHourMs;
constexpr int64_t kNewestMs = 2 * kHourMs;

constexpr int64_t kDefaultLimit = 10'000;

ApiResult<std::vector<PutEvent>> read_batch(const Json& events) {
    std::vector<PutEvent> batch;
    size_t bytes = 0;
    for (const Json& item : events.items()) {
        PutEvent event{item["timestamp"].as_int(), item["message"].as_string()};
        if (event.message.size() + kBytesPerEvent > kMaxEventBytes)
            return invalid_parameter("Log event too large: " + std::to_string(event.message.size() + kBytesPerEvent) +
                                     " bytes exceeds limit of " + std::to_string(kMaxEventBytes));
        bytes += event.message.size() + kBytesPerEvent;
        if (!batch.empty() && event.time_ms < batch.back().time_ms)
            return invalid_parameter("Log events in a single PutLogEvents request must be in chronological order.");
        batch.push_back(std::move(event));
    }
    if (bytes > kMaxBatchBytes)
        return invalid_parameter("Upload too large: " + std::to_string(bytes) + " bytes exceeds limit of " +
                                 std::to_string(kMaxBatchBytes));
    if (batch.back().time_ms - batch.front().time_ms > kMaxBatchSpanMs)
        return invalid_parameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.");
    return batch;
}

// Takes events outside the accepted time out of the batch, which is in order of time; null when there are
// none.
Json reject_by_time(std::vector<PutEvent>& batch, int64_t now_ms) {
    Json rejected;
    const auto before = [](int64_t time) { return [time](const PutEvent& event) { return event.time_ms < time; }; };
    const auto too_new = std::partition_point(batch.begin(), batch.end(), before(now_ms + kNewestMs + 1));
    if (too_new != batch.end()) rejected.set("tooNewLogEventStartIndex", static_cast<int64_t>(too_new - batch.begin()));
    batch.erase(too_new, batch.end());
    const auto accepted = std::partition_point(batch.begin(), batch.end(), before(now_ms - kOldestMs));
    if (accepted != batch.begin())
        rejected.set("tooOldLogEventEndIndex", static_cast<int64_t>(accepted - batch.begin()));
    batch.erase(batch.begin(), accepted);
    return rejected;
}

std::optional<int64_t> optional_int(const Json& value) {
    return value.is_int() ? std::optional(value.as_int()) : std::nullopt;
}

ApiResult<TimeRange> range_of(const Json& input) {
    const TimeRange range{optional_int(input["startTime"]), optional_int(input["endTime"])};
    if (range.from && range.until && *range.from > *range.until)
        return invalid_parameter("The startTime must not be after the endTime.");
    return range;
}

std::string stream_token(std::string_view kind, const resources::LogStream& stream, uint64_t position) {
    return make_token(kind, {static_cast<int64_t>(position), stream.id});
}

ApiResult<uint64_t> read_stream_token(std::string_view kind, const resources::LogStream& stream,
                                      std::string_view token) {
    const auto fields = TRY(read_token(kind, 2, token));
    if (fields[1] != stream.id) return invalid_parameter("The specified nextToken is invalid.");
    return static_cast<uint64_t>(fields[0]);
}

Result<resources::EventPage> read_page(resources::Logs& logs, const resources::LogStream& stream, bool forward,
                                       std::optional<uint64_t> position, const TimeRange& range, size_t limit) {
    return forward ? logs.events_from(stream, position, range, limit)
                   : logs.events_before(stream, position, range, limit);
}

Json found_document(const resources::FoundEvent& found) {
    return Json::object(
        {{"logStreamName", found.stream},
         {"timestamp", found.event.time_ms},
         {"message", found.event.message},
         {"ingestionTime", found.event.time_ms},
         {"eventId", make_token("e", {found.position.stream_id, static_cast<int64_t>(found.position.offset)})}});
}

}  // namespace

ApiResult<Json> put_log_events(const LogsContext& context, const Call& call, const Json& input) {
    TRY(refuse_members(call, input, {"entity"}));
    const auto name = stream_in(TRY(group_of(call, input)), input["logStreamName"].as_string());
    const auto stream = context.logs.find_stream(name);
    if (!stream) return logs_error(stream.error(), "log stream");
    std::vector<PutEvent> batch = TRY(read_batch(input["logEvents"]));
    Json rejected = reject_by_time(batch, to_epoch_milliseconds(context.clock.now()));
    if (!batch.empty()) {
        const auto stored = context.logs.put_events(name, batch);
        if (!stored && stored.error().kind == ErrorKind::Conflict)
            return aws::ApiError(400, "OperationAbortedException",
                                 "The log stream is written by a job; others cannot append to it.");
        if (!stored) return logs_error(stored.error(), "log stream");
    }
    // Sequence tokens are no longer checked by AWS either; clients that still carry one on expect to get one.
    Json answer = Json::object({{"nextSequenceToken", make_token("s", {stream->id})}});
    if (!rejected.is_null()) answer.set("rejectedLogEventsInfo", std::move(rejected));
    return answer;
}

ApiResult<Json> get_log_events(const LogsContext& context, const Call& call, const Json& input) {
    TRY(refuse_members(call, input, {"unmask"}));
    const auto group = TRY(group_of(call, input));
    const auto stream = context.logs.find_stream(stream_in(group, input["logStreamName"].as_string()));
    if (!stream) return logs_error(stream.error(), "log stream");
    bool forward = input["startFromHead"].bool_or(false);
    std::optional<uint64_t> position;
    if (input.has("nextToken")) {
        const std::string& token = input["nextToken"].as_string();
        forward = !token.starts_with("b/");
        position = TRY(read_stream_token(forward ? "f" : "b", *stream, token));
    }
    const auto limit = static_cast<size_t>(input["limit"].int_or(kDefaultLimit));
    const auto range = TRY(range_of(input));
    const auto page = read_page(context.logs, *stream, forward, position, range, limit);
    if (!page && page.error().kind == ErrorKind::InvalidInput)
        return invalid_parameter("The specified nextToken is invalid.");
    if (!page) return logs_error(page.error(), "log stream");
    Json events = Json::array();
    for (const LogEvent& event : page->events)
        events.push_back(
            Json::object({{"timestamp", event.time_ms}, {"message", event.message}, {"ingestionTime", event.time_ms}}));
    return Json::object({{"events", std::move(events)},
                         {"nextForwardToken", stream_token("f", *stream, page->end)},
                         {"nextBackwardToken", stream_token("b", *stream, page->begin)}});
}

ApiResult<Json> filter_log_events(const LogsContext& context, const Call& call, const Json& input) {
    TRY(refuse_members(call, input, {"unmask"}));
    if (!input["startFromHead"].bool_or(true))
        return invalid_parameter("Millwright does not support startFromHead=false of FilterLogEvents yet.");
    const auto group = TRY(group_of(call, input));
    resources::SearchQuery query;
    for (const Json& name : input["logStreamNames"].items()) query.streams.push_back(name.as_string());
    query.prefix = input["logStreamNamePrefix"].string_or("");
    if (!query.streams.empty() && !query.prefix.empty())
        return invalid_parameter("logStreamNames and logStreamNamePrefix cannot be used together.");
    query.range = TRY(range_of(input));
    query.limit = static_cast<size_t>(input["limit"].int_or(kDefaultLimit));
    auto pattern = resources::FilterPattern::parse(input["filterPattern"].string_or(""));
    if (!pattern) return logs_error(pattern.error(), "");
    query.pattern = std::move(*pattern);
    if (input.has("nextToken")) {
        const auto fields = TRY(read_token("s", 3, input["nextToken"].as_string()));
        query.after = resources::SearchPosition{fields[0], fields[1], static_cast<uint64_t>(fields[2])};
    }
    const auto page = context.logs.search(group, query);
    if (!page) return logs_error(page.error(), "log group");
    Json events = Json::array();
    for (const auto& found : page->events) events.push_back(found_document(found));
    Json answer = Json::object({{"events", std::move(events)}, {"searchedLogStreams", Json::array()}});
    if (page->next)
        answer.set("nextToken", make_token("s", {page->next->time_ms, page->next->stream_id,
                                                 static_cast<int64_t>(page->next->offset)}));
    return answer;
}

}  // namespace millwright::services
