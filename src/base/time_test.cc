#include "base/time.h"

#include <gtest/gtest.h>

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
TEST(Time, RefusesImpossibleDates) {
    EXPECT_EQ(parse_iso8601("2026-02-30T00:00:00Z"), std::nullopt);
    EXPECT_EQ(parse_amz_date("20261122T251530Z"), std::nullopt);
    EXPECT_EQ(parse_rfc1123("yesterday"), std::nullopt);
}

}  // namespace
}  // namespace millwright
