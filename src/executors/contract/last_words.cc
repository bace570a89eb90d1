#include "executors/contract/last_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/event_file.h"
#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr size_t kLinesLookedAt = 300;
constexpr size_t kBytesLookedAt = 256 * 1024;
constexpr size_t kLinesShown = 6;  // where there is no traceback
constexpr uint64_t kMostCounted = uint64_t{256} << 20;
constexpr std::string_view kTraceback = "Traceback (most recent call last):";

// How many lines are before `offset`, counted in the file, because nobody keeps their number.
uint64_t line_at(const std::string& file, uint64_t offset) {
    if (offset > kMostCounted) return 0;
    const auto fd = open_file(file, O_RDONLY);
    if (!fd) return 0;
    uint64_t line = 1, done = 0;
    std::vector<char> bytes(256 * 1024);
    while (done < offset) {
        const auto wanted = std::min<uint64_t>(bytes.size(), offset - done);
        const auto count = pread(fd->get(), bytes.data(), wanted, static_cast<off_t>(done));
        if (count <= 0) return 0;
        line += static_cast<uint64_t>(std::count(bytes.begin(), bytes.begin() + count, '\n'));
        done += static_cast<uint64_t>(count);
    }
    return line;
}

bool is_blank(const LogEvent& event) { return trim(event.message).empty(); }

// Where the last traceback begins; the last of several that explain each other is what ended the script.
size_t find_traceback(const std::vector<LogEvent>& events) {
    for (size_t i = events.size(); i-- > 0;) {
        if (events[i].message.find(kTraceback) != std::string::npos) return i;
    }
    return events.size();
}

size_t find_last_lines(const std::vector<LogEvent>& events, size_t most) {
    size_t begin = events.size(), lines = 0, length = 0;
    for (size_t i = events.size(); i-- > 0 && lines < kLinesShown;) {
        if (is_blank(events[i])) continue;
        length += utf8_length(events[i].message) + 1;
        if (lines > 0 && length > most) break;
        begin = i;
        ++lines;
    }
    return begin;
}

// The last `count` characters.
std::string_view last_characters(std::string_view text, size_t count) {
    size_t begin = text.size();
    while (begin > 0 && count > 0) {
        --begin;
        if ((static_cast<unsigned char>(text[begin]) & 0xC0) != 0x80) --count;
    }
    return text.substr(begin);
}

std::string shortened(const std::string& text, size_t most) {
    if (utf8_length(text) <= most) return text;
    constexpr std::string_view kGap = "\n[...] ";
    const auto first_line = text.substr(0, text.find('\n'));
    const bool whole_line = utf8_length(first_line) + kGap.size() < most / 2;
    const std::string head = whole_line ? first_line + std::string(kGap) : std::string("[...] ");
    return head + std::string(last_characters(text, most - std::min(most, utf8_length(head))));
}

}  // namespace

LastWords last_words(const std::string& log_file, uint64_t log_begin, size_t most) {
    const auto end = end_of_events(log_file);
    if (!end) return {};
    auto events = read_events_before(log_file, *end, kLinesLookedAt, kBytesLookedAt);
    if (!events) return {};
    std::erase_if(*events, [&](const LogEvent& event) { return event.offset < log_begin; });
    auto begin = find_traceback(*events);
    if (begin == events->size()) begin = find_last_lines(*events, most);
    if (begin == events->size()) return {};
    std::string text;
    for (size_t i = begin; i < events->size(); ++i) {
        if (is_blank((*events)[i])) continue;
        if (!text.empty()) text += '\n';
        text += (*events)[i].message;
    }
    return {shortened(text, most), line_at(log_file, (*events)[begin].offset)};
}

}  // namespace millwright::executors
