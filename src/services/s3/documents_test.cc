#include "services/s3/documents.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

TEST(CompletedParts, AreReadInTheOrderGiven) {
    const auto parts = parse_completed_parts(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<Part><PartNumber>2</PartNumber><ETag>&quot;b&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
        "<Part><ETag>a</ETag><PartNumber> 1 </PartNumber></Part></CompleteMultipartUpload>");
    ASSERT_TRUE(parts);
    ASSERT_EQ(parts->size(), 2u);
    EXPECT_EQ((*parts)[0].number, 2);
    EXPECT_EQ((*parts)[0].etag, "b");
    EXPECT_EQ((*parts)[0].checksums.at("CRC32"), "AAAAAA==");
    EXPECT_EQ((*parts)[1].etag, "a");
}

TEST(CompletedParts, RefuseOtherDocuments) {
    for (const auto* text :
         {"<Delete/>", "<CompleteMultipartUpload>", "x", "<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
          "<CompleteMultipartUpload><Part><PartNumber>0</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
          "<CompleteMultipartUpload><Part><PartNumber>10001</PartNumber><ETag>a</ETag></Part></"
          "CompleteMultipartUpload>",
          "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"})
        EXPECT_EQ(parse_completed_parts(text).error().code, "MalformedXML") << text;
}

TEST(Delete, KeepsKeysExactly) {
    const auto document = parse_delete(
        "<Delete><Object><Key> a&amp;b/../ </Key></Object><Object><Key>c</Key>"
        "<VersionId>null</VersionId></Object><Quiet>true</Quiet></Delete>");
    ASSERT_TRUE(document);
    EXPECT_TRUE(document->quiet);
    ASSERT_EQ(document->objects.size(), 2u);
    EXPECT_EQ(document->objects[0].key, " a&b/../ ");
    EXPECT_EQ(document->objects[1].version, "null");
}

TEST(Delete, TakesOneToAThousandKeys) {
    const auto of = [](int count) {
        std::string text = "<Delete>";
        for (int i = 0; i < count; ++i) text += "<Object><Key>k</Key></Object>";
        return parse_delete(text + "</Delete>");
    };
    EXPECT_EQ(of(0).error().code, "MalformedXML");
    EXPECT_TRUE(of(1000));
    EXPECT_EQ(of(1001).error().code, "MalformedXML");
    const auto conditional = parse_delete(
        "<Delete><Object><Key>k</Key><VersionId>v</VersionId><ETag>\"x\"</ETag><Size>5</Size>"
        "<LastModifiedTime>Sun, 22 Nov 2026 10:15:30 GMT</LastModifiedTime></Object></Delete>");
    ASSERT_TRUE(conditional);
    EXPECT_EQ(conditional->objects[0].version, "v");
    EXPECT_EQ(conditional->objects[0].etag, "x");
    EXPECT_EQ(conditional->objects[0].size, 5u);
    EXPECT_EQ(conditional->objects[0].modified, parse_iso8601("2026-11-22T10:15:30Z"));
    for (const std::string condition : {"<Size>-1</Size>", "<LastModifiedTime>soon</LastModifiedTime>"})
        EXPECT_EQ(parse_delete("<Delete><Object><Key>k</Key>" + condition + "</Object></Delete>").error().code,
                  "MalformedXML");
}

TEST(LocationConstraint, MayBeAbsent) {
    EXPECT_EQ(*parse_location_constraint(""), "");
    EXPECT_EQ(*parse_location_constraint("<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint>"
                                         "</CreateBucketConfiguration>"),
              "eu-west-1");
    EXPECT_EQ(
        parse_location_constraint("<CreateBucketConfiguration><Bucket/></CreateBucketConfiguration>").error().code,
        "NotImplemented");
    EXPECT_EQ(parse_location_constraint("<Other/>").error().code, "MalformedXML");
}

}  // namespace
}  // namespace millwright::s3
