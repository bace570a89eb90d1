#include "script_mode/failure_text.h"

#include <string.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"

namespace millwright::script_mode {
namespace {

constexpr size_t kMaxLine = 2048;            // bytes of one line that are kept
constexpr size_t kMaxLines = 100;            // last lines
constexpr size_t kMaxTracebackLines = 2000;  // a RecursionError prints about 2000; of more the middle is dropped
constexpr size_t kMaxTracebackBytes = 64 << 10;
constexpr int kMaxAfter = 40;  // lines after which a traceback no longer explains the end
constexpr int kKeptAfter = 8;
constexpr std::string_view kHeader = "Traceback (most recent call last):";
constexpr size_t kMaxCommand = 160;

// Of a launcher that only says that one of its workers failed.
bool is_launchers_report(std::string_view exception) {
    return exception.find("ChildFailedError") != std::string_view::npos;
}

bool is_frame(std::string_view line) { return line.starts_with("  File \""); }

// The first `count` characters, with an ellipsis in place of the rest.
std::string cut(std::string_view text, size_t count) {
    if (utf8_length(text) <= count) return std::string(text);
    size_t end = 0, left = count - std::min<size_t>(count, 1);
    for (; end < text.size(); ++end) {
        const bool starts = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
        if (starts && left-- == 0) break;
    }
    return std::string(text.substr(0, end)) + "…";
}

// A frame of a traceback: the line "  File …" and the source below it.
struct Frame {
    std::string text;
    bool of_user = false;
};

// Lines of a traceback, taken apart. Marker lines ("    ^^^^") say little for their room.
struct Parts {
    std::string header;
    std::vector<Frame> frames;
    std::vector<std::string> exception;  // its line, the lines of its message, what came after
};

bool is_marker(std::string_view line) {
    return line.find_first_not_of(" ^~") == std::string_view::npos && line.find('^') != std::string_view::npos;
}

Parts take_apart(const std::vector<std::string>& lines, const std::string& folder) {
    Parts parts;
    bool raised = false;
    for (const std::string& line : lines) {
        if (!raised && line.starts_with(kHeader)) {
            parts.header = line;
        } else if (!raised && is_frame(line)) {
            parts.frames.push_back({line, line.find("\"" + folder + "/") != std::string::npos});
        } else if (!raised && line.starts_with(" ")) {
            if (!parts.frames.empty() && !is_marker(line)) parts.frames.back().text += "\n" + line;
        } else {
            raised = true;
            parts.exception.push_back(line);
        }
    }
    return parts;
}

// The frames that fit, most telling first: where it was raised, the user's code from there outwards, the rest likewise.
std::set<size_t> choose_frames(const std::vector<Frame>& frames, size_t room) {
    std::vector<size_t> order;
    if (!frames.empty()) order.push_back(frames.size() - 1);
    for (const bool of_user : {true, false})
        for (size_t i = frames.size() - (frames.empty() ? 0 : 1); i-- > 0;)
            if (frames[i].of_user == of_user) order.push_back(i);
    std::set<size_t> chosen;
    for (const size_t i : order) {
        const size_t size = utf8_length(frames[i].text) + 7;  // its end, and perhaps a line "  ..."
        if (size > room) continue;
        room -= size;
        chosen.insert(i);
    }
    return chosen;
}

std::string traceback_text(const std::vector<std::string>& lines, const std::string& folder, size_t room) {
    const Parts parts = take_apart(lines, folder);
    if (parts.exception.empty()) return cut(join(lines, "\n"), room);
    // The exception first: half of the room at most when there is something to tell beside it.
    std::string exception = cut(parts.exception[0], parts.frames.empty() ? room : room / 2);
    size_t used = utf8_length(exception);
    for (size_t i = 1; i < parts.exception.size() && used < room / 2; ++i) {
        const std::string more = cut(parts.exception[i], room / 2 - used);
        exception += "\n" + more;
        used += utf8_length(more) + 1;
    }
    std::string out;
    const size_t header = parts.header.size() + 1;
    if (!parts.header.empty() && used + header + 100 < room) {
        out = parts.header + "\n";
        used += header;
    }
    const std::set<size_t> chosen = choose_frames(parts.frames, room - std::min(room, used));
    size_t next = 0;
    for (const size_t i : chosen) {
        if (i != next) out += "  ...\n";
        out += parts.frames[i].text + "\n";
        next = i + 1;
    }
    return out + exception;
}

std::string lines_text(const std::vector<std::string>& lines, size_t room) {
    std::string out;
    for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
        const size_t used = utf8_length(out);
        if (used + 1 >= room) break;
        const std::string text = cut(*line, out.empty() ? room : room - used - 1);
        if (!out.empty() && used + 1 + utf8_length(*line) > room) break;
        out = out.empty() ? text : text + "\n" + out;
    }
    return out;
}

}  // namespace

void ErrorTail::add(std::string_view bytes) {
    while (!bytes.empty()) {
        const size_t end = bytes.find('\n');
        const bool whole = end != std::string_view::npos;
        const std::string_view piece = bytes.substr(0, end);
        if (whole && line_.empty()) {
            take_line(piece.substr(0, kMaxLine));
        } else {
            extend_line(piece);
            if (whole) take_line(line_);
            if (whole) line_.clear();
        }
        if (!whole) return;
        bytes.remove_prefix(end + 1);
    }
}

// A progress bar writes one line without end: what it has overwritten goes.
void ErrorTail::extend_line(std::string_view piece) {
    const size_t last = piece.find_last_not_of('\r');
    const size_t back = last == std::string_view::npos ? last : piece.rfind('\r', last);
    if (back != std::string_view::npos) {
        line_.clear();
        piece.remove_prefix(back + 1);
    }
    line_.append(piece.substr(0, kMaxLine - line_.size()));
}

void ErrorTail::finish() {
    if (!line_.empty()) take_line(line_);
    line_.clear();
    close_traceback();
}

void ErrorTail::take_line(std::string_view line) {
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (const size_t back = line.rfind('\r'); back != std::string_view::npos) line.remove_prefix(back + 1);
    const size_t header = line.find(kHeader);
    if (header != std::string_view::npos) {
        begin_traceback(valid_utf8(line.substr(header)), std::string(line.substr(0, header)));
    } else if (is_frame(line) && (!open_ || current_.raised)) {
        begin_traceback(valid_utf8(line), "");  // a SyntaxError of the script itself has no header
    } else if (open_) {
        continue_traceback(line);
    }
    if (!trim(line).empty()) keep_line(line);
}

void ErrorTail::keep_line(std::string_view line) {
    if (lines_.size() < kMaxLines) {
        lines_.emplace_back(line);
        return;
    }
    lines_[next_].assign(line);
    next_ = (next_ + 1) % kMaxLines;
}

std::vector<std::string> ErrorTail::last_lines() const {
    std::vector<std::string> out;
    for (size_t i = 0; i < lines_.size(); ++i) out.push_back(valid_utf8(lines_[(next_ + i) % lines_.size()]));
    return out;
}

void ErrorTail::begin_traceback(std::string line, std::string prefix) {
    close_traceback();
    open_ = true;
    current_ = {};
    current_.lines.push_back(std::move(line));
    current_.prefix = std::move(prefix);
}

void ErrorTail::continue_traceback(std::string_view line) {
    // What stood before the header was no tag but a line without end, such as a progress bar.
    if (is_frame(line) && current_.lines.size() == 1) current_.prefix.clear();
    if (!current_.prefix.empty()) {
        if (!line.starts_with(current_.prefix)) {
            // Another process of the launcher; or, when ours has raised, what the launcher says about it.
            if (current_.raised) ++current_.after;
            return;
        }
        line.remove_prefix(current_.prefix.size());
    }
    if (current_.raised) {
        if (++current_.after <= kKeptAfter && !trim(line).empty()) current_.lines.push_back(valid_utf8(line));
        return;
    }
    if (trim(line).empty()) return;
    current_.raised = !line.starts_with(' ');
    current_.lines.push_back(valid_utf8(line));
    current_.bytes += line.size();
    if (current_.lines.size() <= kMaxTracebackLines && current_.bytes <= kMaxTracebackBytes) return;
    const auto begin = current_.lines.begin() + 1;
    current_.lines.erase(begin, begin + static_cast<std::ptrdiff_t>(current_.lines.size() / 2));
    current_.bytes = 0;
    for (const std::string& kept : current_.lines) current_.bytes += kept.size();
}

void ErrorTail::close_traceback() {
    if (!std::exchange(open_, false)) return;
    const auto exception = [](const Traceback& traceback) -> std::string_view {
        for (const std::string& line : traceback.lines)
            if (!line.starts_with(' ') && !line.starts_with(kHeader)) return line;
        return "";
    };
    if (!last_.lines.empty() && is_launchers_report(exception(current_))) return;
    last_ = std::move(current_);
}

std::vector<std::string> ErrorTail::last_traceback() const {
    return last_.after > kMaxAfter ? std::vector<std::string>() : last_.lines;
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    const char* meaning = sigdescr_np(signal);
    std::string out = name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
    if (meaning != nullptr) out += " (" + to_lower(meaning) + ")";
    return out;
}

std::string failure_text(std::string_view error_class, const ErrorTail& tail, const ScriptEnd& end, size_t limit) {
    std::string head = std::string(error_class) + ":\nExitCode " + std::to_string(end.exit_code) + "\n";
    std::string rest;
    if (end.signal == 9)
        rest = "\nExtraInfo \"Process killed by SIGKILL (signal 9)\"";
    else if (end.signal != 0)
        rest = "\nExtraInfo \"Process killed by " + signal_name(end.signal) + "\"";
    const auto without_prefix = [&](const std::string& text, const char* below, const char* instead) {
        return end.prefix.empty() ? text : replace_all(text, end.prefix + below, instead);
    };
    rest += "\nCommand \"" + cut(without_prefix(end.command, "/bin/", ""), kMaxCommand) + "\"";
    const size_t around = utf8_length(head) + utf8_length(rest) + std::string_view("ErrorMessage \"\"").size();
    const size_t room = limit - std::min(limit - 100, around);
    // An exception that nobody caught ends Python with 1; any other end has another reason.
    std::vector<std::string> lines = end.exit_code == 1 ? tail.last_traceback() : std::vector<std::string>();
    const bool traceback = !lines.empty();
    if (!traceback) lines = tail.last_lines();
    for (std::string& line : lines) line = without_prefix(line, "/", "…/");
    const std::string message = traceback ? traceback_text(lines, end.folder, room) : lines_text(lines, room);
    return head + "ErrorMessage \"" + message + "\"" + rest;
}

}  // namespace millwright::script_mode
