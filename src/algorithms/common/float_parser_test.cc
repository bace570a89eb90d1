#include "algorithms/common/float_parser.h"

#include <gtest/gtest.h>

#include <bit>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace millwright::algorithms {
namespace {

// Our bits and length against strtof's.
void expect_same(const std::string& text) {
    float ours = -1;
    const char* end = parse_float(text.data(), text.data() + text.size(), ours);
    char* their_end = nullptr;
    const float theirs = std::strtof(text.c_str(), &their_end);
    ASSERT_NE(end, nullptr) << text;
    ASSERT_EQ(end, their_end) << text;
    ASSERT_EQ(std::bit_cast<uint32_t>(ours), std::bit_cast<uint32_t>(theirs)) << text;
    // Again with more text behind it, where wide loads are possible.
    const std::string field = text + ",123456789.123456789,x";
    ASSERT_EQ(parse_float(field.data(), field.data() + field.size(), ours) - field.data(), end - text.data()) << text;
    ASSERT_EQ(std::bit_cast<uint32_t>(ours), std::bit_cast<uint32_t>(theirs)) << text;
}

TEST(FloatParser, LiteralCases) {
    for (const char* text : {"0",
                             "-0",
                             "+0",
                             "1",
                             "-1",
                             "12345678",
                             "123456789",
                             "1234567890123456789",
                             "12345678901234567890",
                             "0.1",
                             "-0.30000001192092896",
                             ".5",
                             "5.",
                             "1e5",
                             "1E-5",
                             "1e+5",
                             "3.4028234663852886e38",
                             "3.5e38",
                             "-1e999",
                             "1e-999",
                             "1.17549435e-38",
                             "1.1754942e-38",
                             "1e-45",
                             "7e-46",
                             "16777217",
                             "16777219",
                             "33554431",
                             "9007199791611905",
                             "0.000000000000000000000000000012345",
                             "340282346638528859811704183484516925440",
                             "nan",
                             "inf",
                             "-Infinity",
                             "1e",
                             "1e+",
                             "2.5abc",
                             "1.5e3x",
                             "0.49671415301123266",
                             "00000000000000000000001.5"})
        expect_same(text);
}

TEST(FloatParser, RefusesWhatIsNoNumber) {
    for (const std::string text : {"", "-", "+", ".", "abc", "e5", "-.", " 1", "\"1\"", "na", "/", ":"}) {
        float value = 0;
        EXPECT_EQ(parse_float(text.data(), text.data() + text.size(), value), nullptr) << text;
    }
}

TEST(FloatParser, StopsAtTheEndOfTheBuffer) {
    const std::string text = "12345678";
    float value = 0;
    EXPECT_EQ(parse_float(text.data(), text.data() + 3, value), text.data() + 3);
    EXPECT_EQ(value, 123.0f);
}

TEST(FloatParser, SameBitsAsStrtofForRandomFloatsInManyNotations) {
    std::mt19937 random(7);
    char text[80];
    for (int i = 0; i < 200000; ++i) {
        const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
        if (value != value || value - value != 0) continue;
        static constexpr const char* kNotations[] = {"%.6g", "%.9g", "%.17g", "%.8f", "%.3e", "%.15g", "%.18e", "%.1f"};
        std::snprintf(text, sizeof text, kNotations[i % 8], static_cast<double>(value));
        expect_same(text);
    }
}

TEST(FloatParser, SameBitsNearTheMiddleBetweenFloats) {
    std::mt19937 random(11);
    char text[80];
    for (int i = 0; i < 50000; ++i) {
        const float low =
            std::ldexp(1.0f + static_cast<float>(random() >> 9) * 0x1p-23f, static_cast<int>(random() % 60) - 30);
        const double middle = (static_cast<double>(low) + static_cast<double>(std::nextafterf(low, 1e30f))) / 2;
        for (const double value : {middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e30)}) {
            std::snprintf(text, sizeof text, "%.17g", value);
            expect_same(text);
            std::snprintf(text, sizeof text, "%.19g", value);
            expect_same(text);
        }
    }
}

TEST(FloatParser, SameBitsForShortDecimals) {
    std::mt19937 random(13);
    char text[80];
    for (int i = 0; i < 100000; ++i) {
        std::snprintf(text, sizeof text, "%" PRIu64 ".%0*" PRIu64, static_cast<uint64_t>(random() % 100000),
                      static_cast<int>(random() % 9), static_cast<uint64_t>(random() % 1000));
        expect_same(text);
    }
}

}  // namespace
}  // namespace millwright::algorithms
