// CloudWatch Logs as a resource: groups, streams, and their events in files (base/event_file.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_file.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/logs/filter_pattern.h"

namespace millwright::resources {

struct GroupName {
    std::string account, region, group;
};

struct StreamName {
    std::string account, region, group, stream;
};

struct LogGroup {
    int64_t id = 0;
    std::string name;
    int64_t created_ms = 0;
};

struct LogStream {
    int64_t id = 0;
    std::string name;
    int64_t created_ms = 0;
    std::string path;           // of the event file
    bool owned_by_job = false;  // written by a launcher; nobody else may append
    // Of the events; absent while there are none.
    std::optional<int64_t> first_event_ms, last_event_ms;
};

struct LogGroupQuery {
    std::string prefix;
    std::string contained;  // anywhere in the name, ignoring ASCII case
    std::string after;      // names after this one
    size_t limit = 50;
};

struct LogStreamQuery {
    enum class Order { Name, LastEvent };
    std::string prefix;
    Order order = Order::Name;
    bool descending = false;
    size_t limit = 50;
    // Where the page before ended: the name, and for Order::LastEvent the time of its last event.
    std::optional<std::string> after_name;
    int64_t after_ms = 0;
};

template <typename Item>
struct LogPage {
    std::vector<Item> items;
    bool more = false;  // there are items after the last one
};

// Half-open range of event times in milliseconds.
struct TimeRange {
    std::optional<int64_t> from, until;
};

// A page of one stream. Positions are borders between events.
struct EventPage {
    std::vector<LogEvent> events;
    uint64_t begin = 0, end = 0;  // where a page before this one ends, and where the next one begins
};

// The total order of a search over several streams: time, then stream, then place in the stream.
struct SearchPosition {
    int64_t time_ms = 0;
    int64_t stream_id = 0;
    uint64_t offset = 0;
};

struct SearchQuery {
    std::vector<std::string> streams;  // exact names; empty: all that begin with `prefix`
    std::string prefix;
    TimeRange range;
    FilterPattern pattern;
    std::optional<SearchPosition> after;  // events after this one only
    size_t limit = 10'000;
};

struct FoundEvent {
    std::string stream;
    LogEvent event;
    SearchPosition position;
};

struct SearchPage {
    std::vector<FoundEvent> events;
    // Continue here. Absent when this page is empty and everything was searched: a later search from the last
    // position still finds what is written meanwhile.
    std::optional<SearchPosition> next;
};

struct PutEvent {
    int64_t time_ms = 0;
    std::string message;
};

// Thread-safe. NotFound messages name what is missing: "group" or "stream" as Error::detail.
class Logs {
  public:
    // Event files live below `folder`, named by random ids.
    static Result<std::unique_ptr<Logs>> open(const std::string& folder, metadata_store::Database& database,
                                              const Clock& clock, Random& random);
    virtual ~Logs() = default;

    // Makes group and stream if they are missing and returns the file a launcher may append to. Idempotent.
    // Safe from a power cut with the caller's own record of the job, which comes after it.
    virtual Result<std::string> open_job_stream(const StreamName& name) = 0;

    virtual Result<void> create_group(const GroupName& name) = 0;    // AlreadyExists
    virtual Result<void> create_stream(const StreamName& name) = 0;  // AlreadyExists, NotFound
    virtual Result<void> delete_group(const GroupName& name) = 0;    // with its streams
    virtual Result<void> delete_stream(const StreamName& name) = 0;
    virtual Result<LogGroup> find_group(const GroupName& name) = 0;
    virtual Result<LogStream> find_stream(const StreamName& name) = 0;
    virtual Result<LogPage<LogGroup>> list_groups(std::string_view account, std::string_view region,
                                                  const LogGroupQuery& query) = 0;
    virtual Result<LogPage<LogStream>> list_streams(const GroupName& name, const LogStreamQuery& query) = 0;

    // Appends events in order of time and returns when they are on disk. A time before that of the stream's
    // last event is stored as that one. Conflict: the stream belongs to a job.
    virtual Result<void> put_events(const StreamName& name, const std::vector<PutEvent>& events) = 0;

    // Events from `position` on (from the head without one), inside the range; at most about a megabyte.
    virtual Result<EventPage> events_from(const LogStream& stream, std::optional<uint64_t> position,
                                          const TimeRange& range, size_t limit) = 0;
    // Events before `position` (before the end without one), in order of time.
    virtual Result<EventPage> events_before(const LogStream& stream, std::optional<uint64_t> position,
                                            const TimeRange& range, size_t limit) = 0;
    // Matching events of many streams merged by time. Stops early after much reading; then the page may be
    // empty.
    virtual Result<SearchPage> search(const GroupName& name, const SearchQuery& query) = 0;
};

}  // namespace millwright::resources
