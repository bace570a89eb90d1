// Log streams as append-only files. The launcher writes them for jobs, the Logs service for its own clients,
// and both are read the same way; a position in the file is a position in the stream.
//
//   file   = *event
//   event  = time SP message LF
//   time   = milliseconds since 1970, decimal; never smaller than that of the event before
//   message = bytes, with '\' written as "\\" and LF as "\n"; at most kMaxEventBytes before escaping
//
// A last line without LF is an event still being written and is not returned.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright {

inline constexpr size_t kMaxEventBytes = 256 * 1024;  // CloudWatch's limit for one event

struct LogEvent {
    int64_t time_ms = 0;
    std::string message;  // valid UTF-8 (foreign bytes replaced)
    uint64_t offset = 0;  // of this event in the file
    uint64_t end = 0;     // of the next one
};

void append_event(std::string& out, int64_t time_ms, std::string_view message);
// Events from `offset` (an event border) on, at most `max_events` and about `max_bytes`. A missing file has
// no events.
Result<std::vector<LogEvent>> read_events(const std::string& path, uint64_t offset, size_t max_events,
                                          size_t max_bytes);
// The same backwards: the events that end at or before `offset`, in file order.
Result<std::vector<LogEvent>> read_events_before(const std::string& path, uint64_t offset, size_t max_events,
                                                 size_t max_bytes);
// End of the last whole event.
Result<uint64_t> end_of_events(const std::string& path);
// Position of the first event at or after `time_ms`, or the end; found by bisection, so a long file costs
// little.
Result<uint64_t> find_event_at(const std::string& path, int64_t time_ms);

}  // namespace millwright
