#include "services/s3/bucket_lifecycle.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

std::string code_of(const std::string& rule) {
    const auto rules =
        parse_lifecycle("<LifecycleConfiguration>" + rule + "</LifecycleConfiguration>", system_random());
    return rules ? std::string() : rules.error().code;
}
std::string rule_with(const std::string& members) {
    return "<Rule><ID>r</ID><Status>Enabled</Status>" + members + "</Rule>";
}
std::string filtered(const std::string& filter) {
    return rule_with("<Filter>" + filter + "</Filter><Expiration><Days>1</Days></Expiration>");
}
const std::string kDays = "<Expiration><Days>1</Days></Expiration>";

TEST(BucketLifecycle, KeepsEveryRuleAsItWasWritten) {
    const std::string text =
        "<Rule><ID>a</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Expiration><Days>31</Days></Expiration></Rule>"
        "<Rule><ID>b</ID><Filter/><Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"
        "</Rule>"
        "<Rule><ID>c</ID><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Status>Enabled</Status>"
        "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
        "<NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration></Rule>"
        "<Rule><ID>d</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
        "<ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>20</ObjectSizeLessThan></And></Filter>"
        "<Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>"
        "<Rule><ID>e</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status><Expiration>"
        "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration><AbortIncompleteMultipartUpload>"
        "<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>";
    const auto rules =
        parse_lifecycle("<LifecycleConfiguration>" + text + "</LifecycleConfiguration>", system_random());
    ASSERT_TRUE(rules);
    const auto stored = object_store::read_lifecycle(object_store::write_lifecycle(*rules));
    ASSERT_TRUE(stored);
    XmlWriter xml;
    write_lifecycle(xml, *stored);
    const std::string written = xml.finish();
    const auto again = parse_lifecycle(written, system_random());
    ASSERT_TRUE(again);
    EXPECT_EQ(object_store::write_lifecycle(*again), object_store::write_lifecycle(*rules));
    EXPECT_NE(written.find("<Rule><ID>a</ID><Prefix>logs/</Prefix>"), std::string::npos) << "the old way stays";
    EXPECT_NE(written.find("<Filter></Filter>"), std::string::npos) << written;
    EXPECT_NE(written.find("<Filter><Prefix></Prefix></Filter>"), std::string::npos) << written;
}

TEST(BucketLifecycle, RefusesWhatNoAnswerCouldHold) {
    for (const std::string prefix : {"a\x01", "&#2;", "\xd4\xd4", "\xEF\xBF\xBF"})
        EXPECT_EQ(code_of(filtered("<Prefix>" + prefix + "</Prefix>")), "MalformedXML") << prefix;
    EXPECT_EQ(code_of(filtered("<Tag><Key>a\x01</Key><Value>v</Value></Tag>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<Tag><Key>a</Key><Value>\xff</Value></Tag>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<Prefix>a\tb</Prefix>")), "");
}

TEST(BucketLifecycle, GivesRulesWithoutAnIdOne) {
    const auto rules = parse_lifecycle("<LifecycleConfiguration><Rule><Prefix/><Status>Enabled</Status>" + kDays +
                                           "</Rule><Rule><Prefix>x</Prefix>"
                                           "<Status>Enabled</Status>" +
                                           kDays + "</Rule></LifecycleConfiguration>",
                                       system_random());
    ASSERT_TRUE(rules);
    EXPECT_FALSE((*rules)[0].id.empty());
    EXPECT_NE((*rules)[0].id, (*rules)[1].id);
}

TEST(BucketLifecycle, RefusesWhatS3Refuses) {
    EXPECT_EQ(code_of(""), "MalformedXML");
    EXPECT_EQ(code_of("<Other/>"), "MalformedXML");
    EXPECT_EQ(code_of("<Rule><Filter/>" + kDays + "</Rule>"), "MalformedXML") << "no status";
    EXPECT_EQ(code_of("<Rule><Status>enabled</Status><Filter/>" + kDays + "</Rule>"), "MalformedXML");
    EXPECT_EQ(code_of(rule_with(kDays)), "MalformedXML") << "no filter";
    EXPECT_EQ(code_of(rule_with("<Filter/><Prefix/>" + kDays)), "MalformedXML");
    EXPECT_EQ(code_of(rule_with("<Filter/>")), "InvalidRequest") << "no action";
    EXPECT_EQ(code_of(rule_with("<Filter/>" + kDays) + rule_with("<Filter/>" + kDays)), "InvalidArgument") << "one ID";
    EXPECT_EQ(
        code_of("<Rule><ID>" + std::string(256, 'a') + "</ID><Status>Enabled</Status><Filter/>" + kDays + "</Rule>"),
        "InvalidArgument");
    for (const std::string days : {"0", "-1"})
        EXPECT_EQ(code_of(rule_with("<Filter/><Expiration><Days>" + days + "</Days></Expiration>")), "InvalidArgument");
    EXPECT_EQ(code_of(rule_with("<Filter/><Expiration><Days>x</Days></Expiration>")), "MalformedXML");
    EXPECT_EQ(code_of(rule_with("<Filter/><Expiration><Date>2020-01-01T01:00:00Z</Date></Expiration>")),
              "InvalidArgument");
    EXPECT_EQ(code_of(rule_with("<Filter/><Expiration><Date>soon</Date></Expiration>")), "MalformedXML");
    EXPECT_EQ(code_of(rule_with("<Filter/><NoncurrentVersionExpiration><NewerNoncurrentVersions>1"
                                "</NewerNoncurrentVersions></NoncurrentVersionExpiration>")),
              "MalformedXML");
    EXPECT_EQ(code_of(rule_with("<Filter/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass>"
                                "</Transition>")),
              "NotImplemented");
    EXPECT_EQ(code_of(rule_with("<Filter><Tag><Key>k</Key><Value/></Tag></Filter><AbortIncompleteMultipartUpload>"
                                "<DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>")),
              "InvalidRequest");
}

TEST(BucketLifecycle, RefusesBadFilters) {
    EXPECT_EQ(code_of(filtered("")), "");
    EXPECT_EQ(code_of(filtered("<Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<And><Prefix>a</Prefix></And>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<And><Prefix>a</Prefix><Prefix>b</Prefix></And>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<Color>red</Color>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<Tag><Key>k</Key></Tag>")), "MalformedXML");
    EXPECT_EQ(code_of(filtered("<ObjectSizeLessThan>-5</ObjectSizeLessThan>")), "InvalidArgument");
    EXPECT_EQ(code_of(filtered("<And><ObjectSizeLessThan>5</ObjectSizeLessThan><ObjectSizeGreaterThan>5"
                               "</ObjectSizeGreaterThan></And>")),
              "InvalidArgument");
    EXPECT_EQ(code_of(filtered("<And><Tag><Key>k</Key><Value>1</Value></Tag><Tag><Key>k</Key><Value>2</Value></Tag>"
                               "</And>")),
              "InvalidArgument");
}

TEST(BucketLifecycle, TellsWhenAnObjectEnds) {
    object_store::LifecycleRule days, sooner, other;
    days.id = "thirty days";
    days.days = 30;
    sooner.id = "two";
    sooner.days = 2;
    sooner.filter.tags = {{"temporary", "yes"}};
    other.id = "other";
    other.days = 1;
    other.filter.prefix = "elsewhere/";
    object_store::BucketInfo bucket;
    bucket.documents = std::make_shared<const object_store::BucketDocuments>(
        object_store::BucketDocuments{{"lifecycle", object_store::write_lifecycle({days, sooner, other})}});
    object_store::ObjectInfo object;
    object.key = "k";
    object.modified = *parse_iso8601("2026-11-01T10:00:00Z");
    const auto header = [&] {
        net::Headers headers;
        add_expiration_header(headers, bucket, object);
        return headers.get("x-amz-expiration");
    };
    EXPECT_EQ(header(), "expiry-date=\"Wed, 02 Dec 2026 00:00:00 GMT\", rule-id=\"thirty%20days\"");
    object.tags = {{"temporary", "yes"}};
    EXPECT_EQ(header(), "expiry-date=\"Wed, 04 Nov 2026 00:00:00 GMT\", rule-id=\"two\"");
    bucket.documents = std::make_shared<const object_store::BucketDocuments>();
    EXPECT_EQ(header(), "");
}

}  // namespace
}  // namespace millwright::s3
