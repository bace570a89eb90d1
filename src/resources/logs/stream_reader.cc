#include "resources/logs/stream_reader.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace millwright::resources {
namespace {

constexpr size_t kPageBytes = size_t{1} << 20;
// Read ahead for all streams of a search together, and what one page of a search may read in all.
constexpr size_t kSearchBufferBytes = size_t{4} << 20;
constexpr size_t kSearchBytes = size_t{32} << 20;
constexpr size_t kBufferedEvents = 1000;

struct Borders {
    uint64_t begin, end;
};

Result<Borders> borders_of(const std::string& path, const TimeRange& range) {
    Borders borders{};
    borders.begin = range.from ? TRY(find_event_at(path, *range.from)) : 0;
    borders.end = range.until ? TRY(find_event_at(path, *range.until)) : TRY(end_of_events(path));
    borders.begin = std::min(borders.begin, borders.end);
    return borders;
}

auto order_of(const SearchPosition& position) {
    return std::tie(position.time_ms, position.stream_id, position.offset);
}

// One stream of a search, read piece by piece.
class Cursor {
  public:
    Cursor(const LogStream& stream, Borders borders, size_t buffer_bytes)
        : stream_(&stream), next_(borders.begin), end_(borders.end), buffer_bytes_(buffer_bytes) {}

    const LogStream& stream() const { return *stream_; }
    // Null at the end of the range. Valid until pop().
    Result<const LogEvent*> front() {
        if (at_ == buffer_.size()) {
            buffer_.clear();
            at_ = 0;
            if (next_ < end_) buffer_ = TRY(read_events(stream_->path, next_, kBufferedEvents, buffer_bytes_));
            if (!buffer_.empty()) next_ = buffer_.back().end;
        }
        const bool available = at_ < buffer_.size() && buffer_[at_].offset < end_;
        return available ? &buffer_[at_] : nullptr;
    }
    LogEvent pop() { return std::move(buffer_[at_++]); }
    SearchPosition position_of(const LogEvent& event) const { return {event.time_ms, stream_->id, event.offset}; }

  private:
    const LogStream* stream_;
    uint64_t next_, end_;
    size_t buffer_bytes_;
    std::vector<LogEvent> buffer_;
    size_t at_ = 0;
};

// The cursor of one stream at the first event of the search; nullopt when it has none.
Result<std::optional<Cursor>> make_cursor(const LogStream& stream, const SearchQuery& query, size_t buffer_bytes) {
    Borders borders = TRY(borders_of(stream.path, query.range));
    if (query.after) borders.begin = std::max(borders.begin, TRY(find_event_at(stream.path, query.after->time_ms)));
    Cursor cursor(stream, borders, buffer_bytes);
    for (;;) {
        const LogEvent* event = TRY(cursor.front());
        if (!event) return std::optional<Cursor>();
        if (!query.after || order_of(cursor.position_of(*event)) > order_of(*query.after))
            return std::optional(std::move(cursor));
        cursor.pop();
    }
}

}  // namespace

Result<EventPage> read_page_from(const std::string& path, std::optional<uint64_t> position, const TimeRange& range,
                                 size_t limit) {
    const Borders borders = TRY(borders_of(path, range));
    EventPage page;
    page.begin = page.end = std::max(position.value_or(borders.begin), borders.begin);
    if (page.begin >= borders.end) {
        // An exhausted position stays what it is, so that a client sees it has not moved.
        if (position) page.begin = page.end = *position;
        return page;
    }
    page.events = TRY(read_events(path, page.begin, limit, kPageBytes));
    while (!page.events.empty() && page.events.back().offset >= borders.end) page.events.pop_back();
    if (!page.events.empty()) page.end = page.events.back().end;
    return page;
}

Result<EventPage> read_page_before(const std::string& path, std::optional<uint64_t> position, const TimeRange& range,
                                   size_t limit) {
    const Borders borders = TRY(borders_of(path, range));
    EventPage page;
    page.begin = page.end = std::min(position.value_or(borders.end), borders.end);
    if (page.begin <= borders.begin) {
        if (position) page.begin = page.end = *position;
        return page;
    }
    page.events = TRY(read_events_before(path, page.end, limit, kPageBytes));
    const auto inside = [&](const LogEvent& event) { return event.offset >= borders.begin; };
    page.events.erase(page.events.begin(), std::find_if(page.events.begin(), page.events.end(), inside));
    if (!page.events.empty()) page.begin = page.events.front().offset;
    return page;
}

Result<std::optional<int64_t>> first_event_time(const std::string& path) {
    const auto events = TRY(read_events(path, 0, 1, 1));
    return events.empty() ? std::optional<int64_t>() : events.front().time_ms;
}

Result<std::optional<int64_t>> last_event_time(const std::string& path) {
    const auto events = TRY(read_events_before(path, TRY(end_of_events(path)), 1, 1));
    return events.empty() ? std::optional<int64_t>() : events.front().time_ms;
}

Result<SearchPage> search_streams(const std::vector<LogStream>& streams, const SearchQuery& query) {
    const size_t buffer_bytes = kSearchBufferBytes / std::max<size_t>(streams.size(), 1);
    std::vector<Cursor> cursors;
    for (const LogStream& stream : streams)
        if (auto cursor = TRY(make_cursor(stream, query, buffer_bytes))) cursors.push_back(std::move(*cursor));

    using Entry = std::pair<SearchPosition, size_t>;
    const auto later = [](const Entry& a, const Entry& b) { return order_of(a.first) > order_of(b.first); };
    std::priority_queue<Entry, std::vector<Entry>, decltype(later)> heads(later);
    for (size_t i = 0; i < cursors.size(); ++i) heads.emplace(cursors[i].position_of(*TRY(cursors[i].front())), i);

    SearchPage page;
    size_t read = 0, found = 0;
    while (!heads.empty() && page.events.size() < query.limit && read < kSearchBytes && found < kPageBytes) {
        const auto [position, index] = heads.top();
        heads.pop();
        Cursor& cursor = cursors[index];
        LogEvent event = cursor.pop();
        read += event.message.size() + 64;
        page.next = position;
        if (query.pattern.matches(event.message)) {
            found += event.message.size();
            page.events.push_back({cursor.stream().name, std::move(event), position});
        }
        if (const LogEvent* next = TRY(cursor.front())) heads.emplace(cursor.position_of(*next), index);
    }
    if (page.events.empty() && heads.empty()) page.next.reset();
    return page;
}

}  // namespace millwright::resources
