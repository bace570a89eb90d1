// Turns the bytes of a pipe into the events of base/event_file.h, one event per line.
//
// Memory is constant: a line longer than kMaxEventBytes becomes several events. A disk that refuses writes never stops
// the run: what cannot be written is dropped, and an event says so once writing works again.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

class LogWriter {
  public:
    // Appends to `path`. Times go on from the last event that is there.
    static Result<LogWriter> open(const std::string& path);

    void feed(std::string_view bytes, int64_t wall_ms);
    // The last line, when it has no end.
    void finish(int64_t wall_ms);

  private:
    explicit LogWriter(Fd file) : file_(std::move(file)) {}
    void add(std::string_view line);
    void add_long(std::string_view line);
    void keep(std::string_view part);
    void set_time(int64_t wall_ms);
    void flush();

    Fd file_;
    int64_t time_ms_ = 0;
    std::string prefix_;   // "<time> "
    std::string pending_;  // line without end so far; at most kMaxEventBytes
    std::string out_;
    uint64_t lost_bytes_ = 0;
    bool torn_ = false;  // the last write ended inside an event
};

}  // namespace millwright::launcher
