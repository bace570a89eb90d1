// Points in time, the clock that everything asks, and the text forms AWS uses.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace millwright {

using Timestamp = std::chrono::sys_time<std::chrono::milliseconds>;
using Monotonic = std::chrono::steady_clock::time_point;

// Passed in wherever time matters, so that tests can run a week in milliseconds. Thread-safe.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual Timestamp now() const = 0;        // wall clock; may jump
    virtual Monotonic monotonic() const = 0;  // for durations and deadlines
};

const Clock& system_clock();

// 2026-11-22T10:15:30Z, with .123 when milliseconds are not zero and `milliseconds` is asked for.
enum class Fraction { None, Milliseconds };
std::string format_iso8601(Timestamp time, Fraction fraction = Fraction::None);
std::string format_rfc1123(Timestamp time);   // Sun, 22 Nov 2026 10:15:30 GMT
std::string format_amz_date(Timestamp time);  // 20261122T101530Z
double to_epoch_seconds(Timestamp time);      // awsJson timestamps
Timestamp from_epoch_seconds(double seconds);
int64_t to_epoch_milliseconds(Timestamp time);
Timestamp from_epoch_milliseconds(int64_t milliseconds);

std::optional<Timestamp> parse_iso8601(std::string_view text);  // …Z or +hh:mm, optional fraction
std::optional<Timestamp> parse_rfc1123(std::string_view text);
std::optional<Timestamp> parse_amz_date(std::string_view text);

}  // namespace millwright
