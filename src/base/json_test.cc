#include "base/json.h"

#include <limits>

#include <gtest/gtest.h>

namespace millwright {
namespace {

TEST(Json, PrintsWhatItParsed) {
    const std::string text = R"({"a":[1,-2.5,true,null,"x\"\\\n\u0001"],"b":{"c":9007199254740993}})";
    EXPECT_EQ(Json::parse(text)->dump(), text);
}
TEST(Json, RefusesMalformedText) {
    for (const char* bad : {"", "{", "[1,]", "{\"a\":1,}", "nul", "\"\x01\"", "[1] 2", "\"\xff\""})
        EXPECT_FALSE(Json::parse(bad)) << bad;
    EXPECT_FALSE(Json::parse(std::string(100000, '[')));
}
TEST(Json, MissingMembersReadAsNull) {
    const auto json = *Json::parse(R"({"a":{"b":[{"c":"d"}]}})");
    EXPECT_EQ(json["a"]["b"][size_t{0}]["c"].string_or(""), "d");
    EXPECT_TRUE(json["x"]["y"][size_t{3}].is_null());
    EXPECT_EQ(json["a"].int_or(7), 7);
}
TEST(Json, SetReplacesAndKeepsOrder) {
    Json json;
    json.set("z", 1);
    json.set("a", 2);
    json.set("z", 3);
    EXPECT_EQ(json.dump(), R"({"z":3,"a":2})");
    EXPECT_TRUE(json.erase("z"));
    EXPECT_FALSE(json.erase("z"));
}
TEST(Json, DoublesReadBackToTheSameBits) {
    for (const double value : {0.1, 1e300, 5e-324, 123456789.123456789, -0.0, 2.2222222225555522e22, -9.3e18, 1e21}) {
        std::string text;
        append_double(text, value);
        EXPECT_EQ(Json::parse(text)->as_double(), value) << text;
        EXPECT_EQ(Json::parse(text)->dump(), text);
    }
    EXPECT_EQ(Json(std::numeric_limits<double>::quiet_NaN()).dump(), "null");
}
TEST(Json, ReplacesBytesThatAreNotUtf8) { EXPECT_EQ(Json("a\xff").dump(), "\"a\xEF\xBF\xBD\""); }

}  // namespace
}  // namespace millwright
