// Turns the bytes of a pipe into the events of base/event_file.h, one event per line.
//
// Memory is constant: a line longer than kMaxEventBytes becomes several events. A disk that refuses writes never stops
// the run: what cannot be written is dropped, and an event says so once writing works again. Beyond a limit events are
// dropped as well, save the last ones, which tell how the run ended: they follow a note at the end.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

class LogWriter {
  public:
    // Appends to `path`. Times go on from the last event that is there. `max_bytes`: of messages; 0: no limit.
    static Result<LogWriter> open(const std::string& path, uint64_t max_bytes = 0);

    void feed(std::string_view bytes, int64_t wall_ms);
    // From now on only the last events are kept.
    bool is_full() const { return over_; }
    // The last line, when it has no end.
    void finish(int64_t wall_ms);

  private:
    LogWriter(Fd file, uint64_t max_bytes) : file_(std::move(file)), max_bytes_(max_bytes) {}
    void put(std::string_view line);
    void keep_tail(std::string_view line);
    void write_tail();
    void add(std::string_view line);
    void add_long(std::string_view line);
    void keep(std::string_view part);
    void set_time(int64_t wall_ms);
    void flush();

    Fd file_;
    uint64_t max_bytes_ = 0, bytes_ = 0;
    struct Late {
        int64_t time_ms;
        std::string line;
    };
    std::deque<Late> tail_;  // what came last beyond the limit
    size_t tail_bytes_ = 0;
    uint64_t dropped_bytes_ = 0;
    bool over_ = false;
    int64_t time_ms_ = 0;
    std::string prefix_;   // "<time> "
    std::string pending_;  // line without end so far; at most kMaxEventBytes
    std::string out_;
    uint64_t lost_bytes_ = 0;
    bool torn_ = false;  // the last write ended inside an event
};

}  // namespace millwright::launcher
