#include "services/s3/tags.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

using object_store::Tags;

std::string tagging(const Tags& tags) {
    XmlWriter xml;
    write_tagging(xml, tags);
    return xml.finish();
}

TEST(Tags, ReadsWhatItWrites) {
    const Tags tags = {{"a b", "1"}, {"k", ""}, {"Größe", "5 µm"}, {"team/x:y=z@_-.+", "v"}};
    EXPECT_EQ(*parse_tagging(tagging(tags), Tagged::Object), tags);
    const std::string document = format_tags(tags);
    EXPECT_EQ(stored_tags(&document), tags);
    EXPECT_TRUE(parse_tagging("<Tagging><TagSet/></Tagging>", Tagged::Object)->empty());
    EXPECT_TRUE(stored_tags(nullptr).empty());
}

TEST(Tags, ReadsTheHeaderOfAPut) {
    EXPECT_EQ(*parse_tagging_header("a=1&b=&c&d+e=%20x"), (Tags{{"a", "1"}, {"b", ""}, {"c", ""}, {"d e", " x"}}));
    EXPECT_TRUE(parse_tagging_header("")->empty());
    EXPECT_EQ(parse_tagging_header("=1").error().code, "InvalidArgument");
    EXPECT_EQ(parse_tagging_header("a=1&a=2").error().code, "InvalidTag");
    EXPECT_EQ(parse_tagging_header("a=%FF").error().code, "InvalidTag");
}

TEST(Tags, LimitsNumberLengthAndLetters) {
    const auto code = [](const Tags& tags, Tagged tagged) {
        const auto parsed = parse_tagging(tagging(tags), tagged);
        return parsed ? std::string() : parsed.error().code;
    };
    Tags many;
    for (int i = 0; i < 11; ++i) many[std::to_string(i)] = "v";
    EXPECT_EQ(code(many, Tagged::Object), "InvalidTag");
    EXPECT_EQ(code(many, Tagged::Bucket), "");
    for (int i = 0; i < 51; ++i) many[std::to_string(i)] = "v";
    EXPECT_EQ(code(many, Tagged::Bucket), "InvalidTag");
    EXPECT_EQ(code({{std::string(128, 'k'), std::string(256, 'v')}}, Tagged::Object), "");
    EXPECT_EQ(code({{std::string(129, 'k'), ""}}, Tagged::Object), "InvalidTag");
    EXPECT_EQ(code({{"k", std::string(257, 'v')}}, Tagged::Object), "InvalidTag");
    EXPECT_EQ(code({{"k?", ""}}, Tagged::Object), "InvalidTag");
    EXPECT_EQ(code({{"AWS:x", ""}}, Tagged::Object), "InvalidTag");
    EXPECT_EQ(code({{"", "v"}}, Tagged::Object), "InvalidTag");
}

TEST(Tags, RefusesOtherDocuments) {
    for (const std::string text :
         {"", "<Tags/>", "<Tagging/>", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
          "<Tagging><TagSet><Other/></TagSet></Tagging>", "<Tagging><TagSet/><TagSet/></Tagging>"})
        EXPECT_EQ(parse_tagging(text, Tagged::Object).error().code, "MalformedXML") << text;
}

}  // namespace
}  // namespace millwright::s3
