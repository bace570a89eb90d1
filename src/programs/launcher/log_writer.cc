#include "programs/launcher/log_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/event_file.h"

namespace millwright::launcher {
namespace {

constexpr size_t kTailBytes = 64 * 1024;
constexpr size_t kTailOverhead = 64;  // of an entry, so that empty lines count as well

// Time of the last event, 0 without one.
int64_t last_time(int fd, off_t size) {
    const size_t window = static_cast<size_t>(std::min<off_t>(size, static_cast<off_t>(2 * kMaxEventBytes + 64)));
    std::string tail(window, '\0');
    const ssize_t got = pread(fd, tail.data(), window, size - static_cast<off_t>(window));
    if (got <= 0) return 0;
    tail.resize(static_cast<size_t>(got));
    if (tail.back() == '\n') tail.pop_back();
    const size_t start = tail.rfind('\n') + 1;  // npos + 1 is 0
    int64_t time = 0;
    std::from_chars(tail.data() + start, tail.data() + tail.size(), time);
    return time;
}

// Longest prefix of at most `limit` bytes that does not cut a UTF-8 sequence.
size_t cut(std::string_view text, size_t limit) {
    if (text.size() <= limit) return text.size();
    size_t end = limit;
    while (end > limit - 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80 ? limit : end;
}

}  // namespace

Result<LogWriter> LogWriter::open(const std::string& path, uint64_t max_bytes) {
    LogWriter writer(TRY(open_file(path, O_RDWR | O_CREAT | O_APPEND)), max_bytes);
    struct stat status {};
    if (fstat(writer.file_.get(), &status) == 0 && status.st_size > 0) {
        writer.time_ms_ = last_time(writer.file_.get(), status.st_size);
        char last = 0;
        writer.torn_ = pread(writer.file_.get(), &last, 1, status.st_size - 1) == 1 && last != '\n';
    }
    return writer;
}

void LogWriter::feed(std::string_view bytes, int64_t wall_ms) {
    set_time(wall_ms);
    while (!bytes.empty()) {
        const size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (end == std::string_view::npos) {
            keep(part);
            break;
        }
        if (pending_.empty()) {
            add_long(part);
        } else {
            keep(part);
            add(pending_);
            pending_.clear();
        }
        bytes.remove_prefix(end + 1);
    }
    flush();
}

void LogWriter::finish(int64_t wall_ms) {
    set_time(wall_ms);
    if (!pending_.empty()) add(pending_);
    pending_.clear();
    write_tail();
    flush();
}

void LogWriter::set_time(int64_t wall_ms) {
    if (wall_ms <= time_ms_ && !prefix_.empty()) return;
    time_ms_ = std::max(time_ms_, wall_ms);
    prefix_ = std::to_string(time_ms_) + " ";
}

// A part of a line that may go on; whole events are split off as soon as there are enough bytes.
void LogWriter::keep(std::string_view part) {
    while (pending_.size() + part.size() > kMaxEventBytes) {
        const size_t take = kMaxEventBytes - pending_.size();
        pending_.append(part.substr(0, take));
        part.remove_prefix(take);
        const size_t end = cut(pending_ + part.front(), kMaxEventBytes);
        add(std::string_view(pending_).substr(0, end));
        pending_.erase(0, end);
    }
    pending_.append(part);
}

void LogWriter::add_long(std::string_view line) {
    while (line.size() > kMaxEventBytes) {
        const size_t end = cut(line, kMaxEventBytes);
        add(line.substr(0, end));
        line.remove_prefix(end);
    }
    add(line);
}

void LogWriter::add(std::string_view line) {
    if (max_bytes_ > 0 && bytes_ + line.size() > max_bytes_) {
        if (!over_) put("[millwright] the limit of the log is reached: only the last lines will follow, at the end");
        over_ = true;
    }
    if (over_) return keep_tail(line);
    bytes_ += line.size() + 1;
    put(line);
}

void LogWriter::keep_tail(std::string_view line) {
    if (line.size() > kTailBytes / 4) {
        dropped_bytes_ += line.size() - kTailBytes / 4;
        line = line.substr(0, cut(line, kTailBytes / 4));
    }
    tail_.push_back({time_ms_, std::string(line)});
    tail_bytes_ += line.size() + kTailOverhead;
    while (tail_bytes_ > kTailBytes) {
        tail_bytes_ -= tail_.front().line.size() + kTailOverhead;
        dropped_bytes_ += tail_.front().line.size() + 1;
        tail_.pop_front();
    }
}

void LogWriter::write_tail() {
    if (!tail_.empty()) prefix_ = std::to_string(tail_.front().time_ms) + " ";
    if (dropped_bytes_ > 0)
        put("[millwright] " + std::to_string(dropped_bytes_) + " bytes of output were dropped here");
    for (const Late& late : tail_) {
        prefix_ = std::to_string(late.time_ms) + " ";
        put(late.line);
    }
    tail_.clear();
    tail_bytes_ = dropped_bytes_ = 0;
}

// The same as append_event(), for lines that hold no LF and with the time formatted once per chunk.
void LogWriter::put(std::string_view line) {
    out_ += prefix_;
    for (;;) {
        const size_t escape = line.find('\\');
        out_ += line.substr(0, escape);
        if (escape == std::string_view::npos) break;
        out_ += "\\\\";
        line.remove_prefix(escape + 1);
    }
    out_ += '\n';
    if (out_.size() >= size_t{1} << 20) flush();
}

void LogWriter::flush() {
    if (out_.empty()) return;
    std::string notice;
    if (torn_) notice = "\n";
    if (lost_bytes_ > 0)
        notice +=
            prefix_ + "[millwright] " + std::to_string(lost_bytes_) + " bytes of output were lost: the disk is full\n";
    if (!notice.empty()) {
        if (::write(file_.get(), notice.data(), notice.size()) != static_cast<ssize_t>(notice.size())) {
            lost_bytes_ += out_.size();
            out_.clear();
            return;
        }
        torn_ = false;
        lost_bytes_ = 0;
    }
    std::string_view rest = out_;
    while (!rest.empty()) {
        const ssize_t put = ::write(file_.get(), rest.data(), rest.size());
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) {
            torn_ = rest.data() > out_.data() && rest.data()[-1] != '\n';
            lost_bytes_ += rest.size();
            break;
        }
        rest.remove_prefix(static_cast<size_t>(put));
    }
    out_.clear();
}

}  // namespace millwright::launcher
