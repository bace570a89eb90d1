#include "services/registry/ranges.h"

#include <gtest/gtest.h>

namespace millwright::services {
namespace {

using Kind = WantedRange::Kind;

TEST(WantedRangeTest, IsAPartOfTheBytes) {
    const auto part = [](std::string_view header) {
        const auto range = wanted_range(header, 10);
        return std::make_tuple(range.kind, range.part.first, range.part.length);
    };
    EXPECT_EQ(part("bytes=0-4"), std::make_tuple(Kind::Part, 0u, 5u));
    EXPECT_EQ(part("bytes=5-"), std::make_tuple(Kind::Part, 5u, 5u));
    EXPECT_EQ(part("bytes=5-99"), std::make_tuple(Kind::Part, 5u, 5u));
    EXPECT_EQ(part("bytes=-3"), std::make_tuple(Kind::Part, 7u, 3u));
    EXPECT_EQ(part("bytes=-30"), std::make_tuple(Kind::Part, 0u, 10u));
    for (const auto* none : {"bytes=10-", "bytes=11-12", "bytes=-0", "bytes=4-2"})
        EXPECT_EQ(wanted_range(none, 10).kind, Kind::Unsatisfiable) << none;
    for (const auto* whole : {"", "bytes=", "bytes=a-b", "items=0-1", "bytes=0-1,3-4", "bytes=--1",
                              "bytes=18446744073709551616-"})
        EXPECT_EQ(wanted_range(whole, 10).kind, Kind::Whole) << whole;
    EXPECT_EQ(wanted_range("bytes=0-", 0).kind, Kind::Unsatisfiable);
    EXPECT_EQ(wanted_range("bytes=0-18446744073709551615", 10).part.length, 10u);
}

TEST(UploadRangeTest, HasTwoEndsAndNoUnit) {
    EXPECT_EQ(upload_range("0-4")->length, 5u);
    EXPECT_EQ(upload_range("7-7")->first, 7u);
    for (const auto* bad : {"", "-", "0-", "-4", "4-2", "bytes 0-4", "bytes=0-4", "0-4/5", "0 - 4", "+1-2",
                            "0-18446744073709551615", "99999999999999999999-0"})
        EXPECT_FALSE(upload_range(bad)) << bad;
    EXPECT_EQ(received_range(0), "0-0");
    EXPECT_EQ(received_range(1), "0-0");
    EXPECT_EQ(received_range(10), "0-9");
}

}  // namespace
}  // namespace millwright::services
