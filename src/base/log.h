// The server's own log: one line per event, to standard error. (The logs of jobs are in resources/logs.)
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::log {

enum class Level { Debug, Info, Warning, Error };

void set_level(Level level);
// For callers whose line costs more than writing it.
bool enabled(Level level);
// Thread-safe. Control characters in `message` are escaped, so foreign text cannot forge lines.
void write(Level level, std::string_view message);
inline void debug(std::string_view message) { write(Level::Debug, message); }
inline void info(std::string_view message) { write(Level::Info, message); }
inline void warning(std::string_view message) { write(Level::Warning, message); }
inline void error(std::string_view message) { write(Level::Error, message); }
// "<what>: <message> (<detail>)"
void error(std::string_view what, const Error& failure);
void warning(std::string_view what, const Error& failure);

}  // namespace millwright::log
