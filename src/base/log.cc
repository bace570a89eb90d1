#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/time.h"

namespace millwright::log {
namespace {

std::atomic<Level> threshold{Level::Info};
constexpr const char* kNames[] = {"debug", "info", "warning", "error"};

std::string described(std::string_view what, const Error& failure) {
    std::string text(what);
    text += ": ";
    text += failure.message;
    if (!failure.detail.empty()) text += " (" + failure.detail + ")";
    return text;
}

}  // namespace

void set_level(Level level) { threshold = level; }
bool enabled(Level level) { return level >= threshold; }

void write(Level level, std::string_view message) {
    if (!enabled(level)) return;
    std::string line = format_iso8601(system_clock().now(), Fraction::Milliseconds);
    line += ' ';
    line += kNames[static_cast<int>(level)];
    line += ' ';
    for (const char c : message) {
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) {
            line += c;
        } else {
            line += c == '\n' ? "\\n" : c == '\t' ? "\\t" : "\\?";
        }
    }
    line += '\n';
    // One write per line keeps lines whole between threads; a closed standard error is not worth failing for.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void error(std::string_view what, const Error& failure) { write(Level::Error, described(what, failure)); }
void warning(std::string_view what, const Error& failure) { write(Level::Warning, described(what, failure)); }

}  // namespace millwright::log
