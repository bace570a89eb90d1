// What a job said last: the lines of its log that explain its end.
#pragma once

#include <cstdint>
#include <string>

namespace millwright::executors {

struct LastWords {
    std::string text;   // the last traceback, else the last lines; lines separated by LF; empty: it said nothing
    uint64_t line = 0;  // of the log, counted from 1, where `text` begins; 0: unknown (the log is very long)
};

// Of a log in the form of base/event_file.h from `begin` (an event border) on, at most `most` characters: of a longer
// traceback the first line and the end. Looks at the last lines only, so what comes long before the end is not found.
LastWords last_words(const std::string& log_file, uint64_t begin, size_t most);

}  // namespace millwright::executors
