#include "base/time.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>

namespace millwright {
namespace {

TEST(Time, TextFormsRoundTrip) {
    const Timestamp time = from_epoch_milliseconds(1795342530123);
    EXPECT_EQ(format_iso8601(time, Fraction::Milliseconds), "2026-11-22T10:15:30.123Z");
    EXPECT_EQ(format_rfc1123(time), "Sun, 22 Nov 2026 10:15:30 GMT");
    EXPECT_EQ(format_amz_date(time), "20261122T101530Z");
    EXPECT_EQ(parse_iso8601("2026-11-22T10:15:30.123Z"), time);
    EXPECT_EQ(parse_iso8601("2026-11-22T12:15:30.123+02:00"), time);
    EXPECT_EQ(parse_rfc1123(format_rfc1123(time)), std::chrono::floor<std::chrono::seconds>(time));
    EXPECT_EQ(parse_amz_date("20261122T101530Z"), std::chrono::floor<std::chrono::seconds>(time));
}
TEST(Time, TextFormsAreThoseOfStrftime) {
    std::mt19937_64 random(1);
    const auto written = [](const char* format, std::time_t seconds) {
        std::tm utc{};
        gmtime_r(&seconds, &utc);
        char text[64];
        return std::string(text, std::strftime(text, sizeof text, format, &utc));
    };
    for (int i = 0; i < 20'000; ++i) {
        // From year 1 to 9999, half of them before 1970 and with milliseconds that count upwards all the same.
        const int64_t milliseconds = static_cast<int64_t>(random() % 315'000'000'000'000) - 62'000'000'000'000;
        const Timestamp time = from_epoch_milliseconds(milliseconds);
        const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
        const std::string rest = std::to_string(1000 + milliseconds - seconds * 1000).substr(1);
        std::string year = written("%Y", seconds);
        year.insert(0, 4 - year.size(), '0');
        ASSERT_EQ(format_iso8601(time, Fraction::None), year + written("-%m-%dT%H:%M:%SZ", seconds));
        ASSERT_EQ(format_iso8601(time, Fraction::Milliseconds),
                  year + written("-%m-%dT%H:%M:%S", seconds) + "." + rest + "Z");
        ASSERT_EQ(format_rfc1123(time), written("%a, %d %b ", seconds) + year + written(" %H:%M:%S GMT", seconds));
        ASSERT_EQ(format_amz_date(time), year + written("%m%dT%H%M%SZ", seconds));
    }
    EXPECT_EQ(format_iso8601(from_epoch_milliseconds(300'000'000'000'000), Fraction::None), "11476-08-15T05:20:00Z");
}
TEST(Time, RefusesImpossibleDates) {
    EXPECT_EQ(parse_iso8601("2026-02-30T00:00:00Z"), std::nullopt);
    EXPECT_EQ(parse_amz_date("20261122T251530Z"), std::nullopt);
    EXPECT_EQ(parse_rfc1123("yesterday"), std::nullopt);
}

}  // namespace
}  // namespace millwright
