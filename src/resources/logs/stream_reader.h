// Reading event files by page and by time, and searching many of them in one order.
#pragma once

#include <optional>
#include <vector>

#include "resources/logs/logs.h"

namespace millwright::resources {

Result<EventPage> read_page_from(const std::string& path, std::optional<uint64_t> position, const TimeRange& range,
                                 size_t limit);
Result<EventPage> read_page_before(const std::string& path, std::optional<uint64_t> position, const TimeRange& range,
                                   size_t limit);
// Time of the first or last event.
Result<std::optional<int64_t>> first_event_time(const std::string& path);
Result<std::optional<int64_t>> last_event_time(const std::string& path);

Result<SearchPage> search_streams(const std::vector<LogStream>& streams, const SearchQuery& query);

}  // namespace millwright::resources
