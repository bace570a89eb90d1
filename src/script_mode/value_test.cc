#include "script_mode/value.h"

#include <gtest/gtest.h>

namespace millwright::script_mode {
namespace {

struct Case {
    const char *json, *str, *dump;
};

// Expected texts were printed by Python 3.11: str(json.loads(x)), json.dumps(json.loads(x), sort_keys=True, …).
const Case kCases[] = {
    {"1", "1", "1"},
    {"-0", "0", "0"},
    {"123456789012345678901234567890", "123456789012345678901234567890", "123456789012345678901234567890"},
    {"0.1", "0.1", "0.1"},
    {"1e-5", "1e-05", "1e-05"},
    {"0.00012", "0.00012", "0.00012"},
    {"1e5", "100000.0", "100000.0"},
    {"1E15", "1000000000000000.0", "1000000000000000.0"},
    {"1e16", "1e+16", "1e+16"},
    {"1.5e300", "1.5e+300", "1.5e+300"},
    {"-0.0", "-0.0", "-0.0"},
    {"1e999", "inf", "Infinity"},
    {"NaN", "nan", "NaN"},
    {"-Infinity", "-inf", "-Infinity"},
    {"true", "True", "true"},
    {"null", "None", "null"},
    {" \"a b\" ", "a b", "\"a b\""},
    {"\"\\u00e9\\ud83d\\ude00\\n\"", "\xC3\xA9\xF0\x9F\x98\x80\n", "\"\\u00e9\\ud83d\\ude00\\n\""},
    {"\"a/\\\"b\"", "a/\"b", "\"a/\\\"b\""},
    {"[1, \"a\", null, [true]]", "[1, 'a', None, [True]]", "[1,\"a\",null,[true]]"},
    {"[]", "[]", "[]"},
    {"{\"b\": 1, \"a\": {\"c\": 2.50}}", "{'b': 1, 'a': {'c': 2.5}}", "{\"a\":{\"c\":2.5},\"b\":1}"},
    {"{\"a\": 1, \"a\": 2}", "{'a': 2}", "{\"a\":2}"},
    {"[\"it's\", \"say \\\"x\\\"\", \"'\\\"\", \"\\\\\"]", "[\"it's\", 'say \"x\"', '\\'\"', '\\\\']",
     "[\"it's\",\"say \\\"x\\\"\",\"'\\\"\",\"\\\\\"]"},
};

TEST(Value, ReadsAndPrintsLikePython) {
    for (const Case& c : kCases) {
        const auto value = Value::parse(c.json);
        ASSERT_TRUE(value) << c.json << ": " << value.error().message;
        EXPECT_EQ(value->str(), c.str) << c.json;
        EXPECT_EQ(value->dump(), c.dump) << c.json;
    }
}

TEST(Value, RefusesWhatPythonRefuses) {
    for (const char* text : {"",    "abc",    "012",     "+1",          ".5",    "1.",         "1e",   "-",
                             "'a'", "\"a",    "[1,]",    "{\"a\":}",    "{a:1}", "{\"a\":1,}", "True", "nan",
                             "1 2", "\"\n\"", "\"\\x\"", "\"\\u12g4\"", "[1",    "{\"a\"",     "tru"})
        EXPECT_FALSE(Value::parse(text)) << text;
    EXPECT_FALSE(Value::parse("\"\xFF\""));
    EXPECT_FALSE(Value::parse(std::string(5000, '9')));
    EXPECT_FALSE(Value::parse(std::string(100'000, '[')));
}

TEST(Value, HalfASurrogatePairIsAReplacementCharacter) {
    EXPECT_EQ(Value::parse("\"\\ud83dx\"")->str(), "\xEF\xBF\xBDx");
    EXPECT_EQ(Value::parse("\"\\ud83d\\u0041\"")->str(),
              "\xEF\xBF\xBD"
              "A");
}

TEST(Value, TruthIsPythons) {
    for (const char* text : {"1", "true", "\"x\"", "[0]", "{\"a\":0}", "0.5", "NaN"})
        EXPECT_TRUE(Value::parse(text)->truth());
    for (const char* text : {"0", "false", "\"\"", "[]", "{}", "0.0", "null"})
        EXPECT_FALSE(Value::parse(text)->truth());
}

}  // namespace
}  // namespace millwright::script_mode
