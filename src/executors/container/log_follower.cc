#include "executors/container/log_follower.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/encoding.h"
#include "base/event_file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/time.h"

namespace millwright::executors {
namespace {

constexpr size_t kHead = 8;
constexpr size_t kMaxFrame = size_t{16} << 20;
constexpr size_t kFlushBytes = size_t{1} << 20;
constexpr size_t kMaxPosition = 3 * kMaxEventBytes;
constexpr std::string_view kFull =
    "[millwright] the limit of the log is reached: only the last lines will follow, at the end";

uint32_t length_of(std::string_view head) {
    uint32_t length = 0;
    for (size_t i = 4; i < kHead; ++i) length = length << 8 | static_cast<unsigned char>(head[i]);
    return length;
}

// Where the stream, zeros and a length cannot be, this is no framed answer.
bool is_head(std::string_view head) {
    return static_cast<unsigned char>(head[0]) <= 2 && head[1] == 0 && head[2] == 0 && head[3] == 0;
}

Result<std::string> read_whole(int fd, size_t limit) {
    std::string text(limit, '\0');
    const ssize_t got = pread(fd, text.data(), text.size(), 0);
    if (got < 0) return error_from_errno("cannot read the position in a log");
    text.resize(static_cast<size_t>(got));
    return text;
}

// Time of the last event of the first `size` bytes, 0 without one.
int64_t last_time(int fd, uint64_t size) {
    std::string tail(std::min<uint64_t>(size, 2 * kMaxEventBytes + 64), '\0');
    const ssize_t got = pread(fd, tail.data(), tail.size(), static_cast<off_t>(size - tail.size()));
    if (got <= 0) return 0;
    tail.resize(static_cast<size_t>(got));
    if (tail.back() == '\n') tail.pop_back();
    const size_t start = tail.rfind('\n') + 1;  // npos + 1 is 0
    return parse_int(std::string_view(tail).substr(start, tail.find(' ', start) - start)).value_or(0);
}

// The engine's clocks have nanoseconds; ours need milliseconds.
int64_t time_of(std::string_view text) {
    const size_t dot = text.find('.');
    if (dot != std::string_view::npos) {
        size_t end = text.find_first_not_of("0123456789", dot + 1);
        if (end == std::string_view::npos) end = text.size();
        const std::string shorter = std::string(text.substr(0, std::min(end, dot + 4))) + std::string(text.substr(end));
        const auto time = parse_iso8601(shorter);
        return time ? to_epoch_milliseconds(*time) : 0;
    }
    const auto time = parse_iso8601(text);
    return time ? to_epoch_milliseconds(*time) : 0;
}

}  // namespace

Result<LogFollower> LogFollower::open(const std::string& log_file, const std::string& position_file,
                                      uint64_t max_bytes) {
    Fd log = TRY(open_file(log_file, O_RDWR | O_CREAT | O_APPEND));
    Fd position = TRY(open_file(position_file, O_RDWR | O_CREAT, 0600));
    LogFollower follower(std::move(log), std::move(position), max_bytes);
    TRY(follower.go_on());
    return follower;
}

Result<void> LogFollower::go_on() {
    struct stat status {};
    if (fstat(log_.get(), &status) != 0) return error_from_errno("cannot look at a log");
    size_ = static_cast<uint64_t>(status.st_size);
    const auto text = TRY(read_whole(position_.get(), kMaxPosition));
    if (const auto known = Json::parse(text); known && known->is_object()) {
        const auto& position = *known;
        const auto size = static_cast<uint64_t>(position["size"].int_or(0));
        if (size < size_) {
            if (ftruncate(log_.get(), static_cast<off_t>(size)) != 0) return error_from_errno("cannot cut a log");
            size_ = size;
        }
        anchor_.second = position["since"].int_or(0);
        anchor_.taken = static_cast<uint64_t>(position["taken"].int_or(0));
        bytes_ = static_cast<uint64_t>(position["bytes"].int_or(0));
        full_ = position["full"].bool_or(false);
        last_line_ms_ = position["last"].int_or(0);
        for (size_t i = 0; i < 2; ++i) {
            partial_[i] = from_base64(position["partial"][i].string_or("")).value_or("");
            partial_time_ms_[i] = position["partial_times"][i].int_or(0);
        }
    }
    last_time_ms_ = last_time(log_.get(), size_);
    return {};
}

void LogFollower::begin() {
    input_.clear();
    to_skip_ = anchor_.taken;
    next_ = {anchor_.second, 0};  // counted again, as they come again
}

Result<bool> LogFollower::feed(std::string_view bytes) {
    input_ += bytes;
    std::string_view rest = input_;
    bool wanted = !full_;
    while (wanted && rest.size() >= kHead) {
        if (!is_head(rest)) return internal_error("the engine's log is not in frames");
        const size_t length = length_of(rest);
        if (length > kMaxFrame) return internal_error("a frame of the engine's log is too long");
        if (rest.size() < kHead + length) break;
        wanted = take(rest[0] == 2 ? 1 : 0, rest.substr(kHead, length));
        rest.remove_prefix(kHead + length);
    }
    input_.erase(0, input_.size() - rest.size());
    TRY(flush());
    return wanted;
}

bool LogFollower::take(int stream, std::string_view payload) {
    const size_t space = payload.find(' ');
    const int64_t time_ms = time_of(payload.substr(0, space));
    const std::string_view line = space == std::string_view::npos ? std::string_view() : payload.substr(space + 1);
    if (!count(time_ms / 1000)) return true;
    last_line_ms_ = time_ms;
    add_part(stream, time_ms, line);
    return !full_;
}

// Whether the line is new. Lines of stdout and stderr may be stamped in another order than they are in, so the anchor
// stays a second behind the latest.
bool LogFollower::count(int64_t second) {
    const bool known = to_skip_ > 0;
    if (known) --to_skip_;
    if (!known && second >= anchor_.second) ++anchor_.taken;
    if (second >= next_.second) ++next_.taken;
    if (second > next_.second) {
        if (!known) anchor_ = next_;
        next_ = {second, 1};
    }
    return !known;
}

void LogFollower::add_part(int stream, int64_t time_ms, std::string_view part) {
    std::string& partial = partial_[stream];
    if (partial.empty()) partial_time_ms_[stream] = time_ms;
    const bool whole = part.ends_with('\n');
    if (whole) part.remove_suffix(1);
    partial += part;
    while (partial.size() > kMaxEventBytes) {
        std::string event;
        append_event(event, 0, partial);  // cuts where no character is cut
        const size_t before = event.find(' ') + 1;
        size_t taken = 0;
        for (size_t i = before; i + 1 < event.size(); ++i, ++taken)
            if (event[i] == '\\') ++i;
        add(partial_time_ms_[stream], std::string_view(partial).substr(0, taken));
        partial.erase(0, std::max<size_t>(taken, 1));
    }
    if (!whole) return;
    add(partial_time_ms_[stream], partial);
    partial.clear();
}

void LogFollower::add(int64_t time_ms, std::string_view line) {
    if (full_) return;
    last_time_ms_ = std::max(last_time_ms_, time_ms);
    if (max_bytes_ > 0 && bytes_ + line.size() > max_bytes_) {
        full_ = true;
        append_event(out_, last_time_ms_, kFull);
        return;
    }
    bytes_ += line.size() + 1;
    append_event(out_, last_time_ms_, line);
}

// A full disk loses lines here as in the launcher: the position goes on, because the engine keeps them no longer
// either.
Result<void> LogFollower::flush() {
    if (!out_.empty()) {
        const auto written = write_all(log_.get(), out_);
        struct stat status {};
        if (fstat(log_.get(), &status) == 0) size_ = static_cast<uint64_t>(status.st_size);
        out_.clear();
        if (!written && written.error().kind != ErrorKind::LimitExceeded) return written;
    }
    const auto position = Json::object({{"size", size_},
                                        {"since", anchor_.second},
                                        {"taken", anchor_.taken},
                                        {"bytes", bytes_},
                                        {"full", full_},
                                        {"last", last_line_ms_},
                                        {"partial", Json::array({to_base64(partial_[0]), to_base64(partial_[1])})},
                                        {"partial_times", Json::array({partial_time_ms_[0], partial_time_ms_[1]})}});
    // Longer than before or padded with blanks, so that one write replaces it all.
    std::string text = position.dump();
    struct stat status {};
    if (fstat(position_.get(), &status) != 0) return error_from_errno("cannot keep the position in a log");
    text.resize(std::max(text.size(), static_cast<size_t>(status.st_size)), ' ');
    if (pwrite(position_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        return error_from_errno("cannot keep the position in a log");
    return {};
}

Result<void> LogFollower::finish(std::string_view tail) {
    if (!full_) {
        for (int stream = 0; stream < 2; ++stream) {
            if (!partial_[stream].empty()) add(partial_time_ms_[stream], partial_[stream]);
            partial_[stream].clear();
        }
        return flush();
    }
    const int64_t after = last_line_ms_;
    while (tail.size() >= kHead && is_head(tail)) {
        const size_t length = length_of(tail);
        if (tail.size() < kHead + length) break;
        std::string_view payload = tail.substr(kHead, length);
        tail.remove_prefix(kHead + length);
        const size_t space = std::min(payload.find(' '), payload.size());
        const int64_t time_ms = time_of(payload.substr(0, space));
        if (time_ms <= after) continue;
        payload.remove_prefix(std::min(space + 1, payload.size()));
        if (payload.ends_with('\n')) payload.remove_suffix(1);
        last_time_ms_ = std::max(last_time_ms_, time_ms);
        append_event(out_, last_time_ms_, payload);
        last_line_ms_ = std::max(last_line_ms_, time_ms);
    }
    if (out_.size() > kFlushBytes) out_.erase(0, out_.find('\n', out_.size() - kFlushBytes) + 1);
    return flush();
}

}  // namespace millwright::executors
