// Turns the log of a container, as the engine hands it out with timestamps, into the events of base/event_file.h.
//
// The position in it is kept beside, so that a restarted server writes each line exactly once. What a position is: a
// second since 1970 and how many lines of that second or later have been taken; the engine gives the lines of a second
// and later again in the same order. With it goes the size that the file had then: what was written after it (the
// server was killed in between) is cut off and comes again, byte by byte the same.
//
//   <folder>/algo-N/log-position = {"size":…, "since":…, "taken":…, "bytes":…, "full":…, "last":…, "partial":[…, …], …}
//
// Beyond the limit of bytes nothing more is taken; the last lines follow at the end of the run, after a note.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace millwright::executors {

// Not thread-safe.
class LogFollower {
  public:
    // `max_bytes` 0: no limit. A position file that is there is gone on from.
    static Result<LogFollower> open(const std::string& log_file, const std::string& position_file, uint64_t max_bytes);

    // Asked of the engine: lines of this second and later.
    int64_t since() const { return anchor_.second; }
    bool is_full() const { return full_; }
    // A new answer of the engine begins at since().
    void begin();
    // Frames of the answer: 8 bytes of head (stream, 0, 0, 0, length), then a timestamp, a space and the line. False
    // when nothing more is wanted. Bad framing is an error.
    Result<bool> feed(std::string_view bytes);
    // Writes what has been taken, and the position.
    Result<void> flush();
    // The run has ended: lines without an end are lines now. With full(): `tail` are the frames of the last lines.
    Result<void> finish(std::string_view tail);

  private:
    struct Anchor {
        int64_t second = 0;
        uint64_t taken = 0;
    };
    LogFollower(Fd log, Fd position, uint64_t max_bytes)
        : log_(std::move(log)), position_(std::move(position)), max_bytes_(max_bytes) {}
    Result<void> go_on();
    bool take(int stream, std::string_view payload);
    bool count(int64_t second);
    void add(int64_t time_ms, std::string_view line);
    void add_part(int stream, int64_t time_ms, std::string_view part);

    Fd log_, position_;
    uint64_t max_bytes_ = 0, bytes_ = 0;
    uint64_t size_ = 0;  // of the file
    std::string input_;  // frames not yet whole
    std::string out_;
    std::string partial_[2];
    int64_t partial_time_ms_[2] = {};
    int64_t last_time_ms_ = 0;  // of the file's last event
    int64_t last_line_ms_ = 0;  // of the engine's last line
    Anchor anchor_, next_;      // next_ is of the latest second, and becomes the anchor when a later one comes
    uint64_t to_skip_ = 0;      // of the current answer
    bool full_ = false;
};

}  // namespace millwright::executors
