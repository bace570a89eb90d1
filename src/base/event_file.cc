#include "base/event_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/files.h"
#include "base/strings.h"

namespace millwright {
namespace {

constexpr size_t kBlock = 64 * 1024;
// Time, space, every byte escaped, line feed.
constexpr size_t kMaxLine = 2 * kMaxEventBytes + 32;

// Longest prefix of at most `limit` bytes that does not cut a UTF-8 sequence.
std::string_view shortened(std::string_view text, size_t limit) {
    if (text.size() <= limit) return text;
    size_t end = limit;
    while (end > 0 && limit - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end);
}

std::string unescaped(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (;;) {
        const size_t mark = text.find('\\');
        out += text.substr(0, mark);
        if (mark == std::string_view::npos) return out;
        const char next = mark + 1 < text.size() ? text[mark + 1] : '\\';
        out += next == 'n' ? '\n' : next;
        text.remove_prefix(std::min(mark + 2, text.size()));
    }
}

// A line that is not of our form is shown whole rather than lost.
LogEvent parse_event(std::string_view line, uint64_t offset, int64_t time_before) {
    LogEvent event;
    event.offset = offset;
    event.end = offset + line.size() + 1;
    const size_t space = line.find(' ');
    const auto time = parse_int(line.substr(0, space));
    event.time_ms = time.value_or(time_before);
    const std::string_view text = time && space != std::string_view::npos ? line.substr(space + 1) : line;
    event.message = valid_utf8(unescaped(text));
    return event;
}

// An open event file; no descriptor when the file is missing.
class EventFile {
  public:
    static Result<EventFile> open(const std::string& path) {
        EventFile file;
        auto fd = open_file(path, O_RDONLY);
        if (!fd && fd.error().kind == ErrorKind::NotFound) return file;
        file.fd_ = TRY(std::move(fd));
        struct stat status {};
        if (fstat(file.fd_.get(), &status) != 0) return error_from_errno("cannot examine " + path);
        file.size_ = static_cast<uint64_t>(status.st_size);
        return file;
    }
    uint64_t size() const { return size_; }

    // Appends up to `count` bytes from `offset` on to `out`.
    Result<void> read(uint64_t offset, size_t count, std::string& out) const {
        const size_t before = out.size();
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(count, size_ - std::min(offset, size_)));
        out.resize(before + wanted);
        size_t done = 0;
        while (done < wanted) {
            const ssize_t got =
                ::pread(fd_.get(), out.data() + before + done, wanted - done, static_cast<off_t>(offset + done));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return error_from_errno("cannot read a log stream");
            if (got == 0) break;
            done += static_cast<size_t>(got);
        }
        out.resize(before + done);
        return {};
    }

    // Whether an event begins at `offset` or ends the file there.
    Result<void> check_border(uint64_t offset) const {
        std::string byte;
        if (offset > 0 && offset <= size_) TRY(read(offset - 1, 1, byte));
        if (offset == 0 || byte == "\n") return {};
        return invalid_input("not a position in this log stream");
    }

  private:
    Fd fd_;
    uint64_t size_ = 0;
};

// Start of the last line of `text` that is wholly inside it when `text` ends with a line feed; npos when the
// line may begin before the text.
size_t last_line_start(std::string_view text) {
    const size_t feed = text.size() < 2 ? std::string_view::npos : text.rfind('\n', text.size() - 2);
    return feed == std::string_view::npos ? feed : feed + 1;
}

}  // namespace

void append_event(std::string& out, int64_t time_ms, std::string_view message) {
    message = shortened(message, kMaxEventBytes);
    out += std::to_string(time_ms);
    out += ' ';
    for (;;) {
        const size_t mark = message.find_first_of("\\\n");
        out += message.substr(0, mark);
        if (mark == std::string_view::npos) break;
        out += message[mark] == '\n' ? "\\n" : "\\\\";
        message.remove_prefix(mark + 1);
    }
    out += '\n';
}

Result<std::vector<LogEvent>> read_events(const std::string& path, uint64_t offset, size_t max_events,
                                          size_t max_bytes) {
    const EventFile file = TRY(EventFile::open(path));
    TRY(file.check_border(offset));
    std::vector<LogEvent> events;
    std::string text;
    size_t line = 0, scanned = 0, bytes = 0;  // positions in text
    uint64_t text_offset = offset;
    while (events.size() < max_events && (bytes < max_bytes || events.empty())) {
        const size_t feed = text.find('\n', scanned);
        if (feed != std::string::npos) {
            const int64_t time_before = events.empty() ? 0 : events.back().time_ms;
            events.push_back(
                parse_event(std::string_view(text).substr(line, feed - line), text_offset + line, time_before));
            bytes += events.back().message.size();
            line = scanned = feed + 1;
            continue;
        }
        text.erase(0, line);
        text_offset += line;
        line = 0;
        scanned = text.size();
        if (text.size() > kMaxLine) return internal_error("a log stream is damaged", path + ": a line is too long");
        TRY(file.read(text_offset + text.size(), kBlock, text));
        if (text.size() == scanned) break;
    }
    return events;
}

Result<std::vector<LogEvent>> read_events_before(const std::string& path, uint64_t offset, size_t max_events,
                                                 size_t max_bytes) {
    const EventFile file = TRY(EventFile::open(path));
    TRY(file.check_border(offset));
    std::string text;  // bytes from text_offset to offset
    uint64_t text_offset = offset;
    size_t start = 0, count = 0;  // of the events chosen so far, in text
    while (count < max_events && (text.size() - start < max_bytes || count == 0)) {
        const std::string_view before = std::string_view(text).substr(0, start);
        size_t line = last_line_start(before);
        if (line == std::string_view::npos && text_offset == 0) line = 0;
        if (start - (line == std::string_view::npos ? 0 : line) > kMaxLine)
            return internal_error("a log stream is damaged", path + ": a line is too long");
        if (line != std::string_view::npos && !before.empty()) {
            start = line;
            ++count;
            continue;
        }
        if (text_offset == 0) break;
        const size_t step = static_cast<size_t>(std::min<uint64_t>(std::max(kBlock, text.size()), text_offset));
        std::string block;
        TRY(file.read(text_offset - step, step, block));
        if (block.size() != step) return internal_error("a log stream is damaged", path + " became shorter");
        text.insert(0, block);
        text_offset -= step;
        start += step;
    }
    std::vector<LogEvent> events;
    while (start < text.size()) {
        const size_t feed = text.find('\n', start);
        const int64_t time_before = events.empty() ? 0 : events.back().time_ms;
        events.push_back(
            parse_event(std::string_view(text).substr(start, feed - start), text_offset + start, time_before));
        start = feed + 1;
    }
    return events;
}

Result<uint64_t> end_of_events(const std::string& path) {
    const EventFile file = TRY(EventFile::open(path));
    for (uint64_t end = file.size(); end > 0;) {
        const uint64_t begin = end - std::min<uint64_t>(end, kBlock);
        std::string block;
        TRY(file.read(begin, static_cast<size_t>(end - begin), block));
        const size_t feed = block.rfind('\n');
        if (feed != std::string::npos) return begin + feed + 1;
        end = begin;
    }
    return uint64_t{0};
}

Result<uint64_t> find_event_at(const std::string& path, int64_t time_ms) {
    uint64_t low = 0;
    uint64_t high = TRY(end_of_events(path));
    const EventFile file = TRY(EventFile::open(path));
    // Events that begin before `low` are earlier; those that begin at `high` or after it are not.
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        uint64_t border = middle;
        std::string block;
        for (size_t feed = std::string::npos; border > 0 && border < high; border += block.size()) {
            block.clear();
            TRY(file.read(border - 1, kBlock, block));
            feed = block.find('\n');
            if (feed != std::string::npos) {
                border += feed;
                break;
            }
        }
        const auto events = border < high ? TRY(read_events(path, border, 1, 1)) : std::vector<LogEvent>();
        if (!events.empty() && events.front().time_ms < time_ms)
            low = events.front().end;
        else
            high = middle;
    }
    return low;
}

}  // namespace millwright
