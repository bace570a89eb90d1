#include "services/s3/form.h"

#include <gtest/gtest.h>

#include "services/s3/form_policy.h"

namespace millwright::s3 {
namespace {

// Hands out a few bytes at a time, so that every delimiter is cut somewhere.
class Drip final : public net::BodyReader {
  public:
    Drip(std::string text, size_t step) : text_(std::move(text)), step_(step) {}
    Result<size_t> read(std::span<char> buffer) override {
        const size_t count = text_.copy(buffer.data(), std::min(step_, buffer.size()), at_);
        at_ += count;
        return count;
    }
    std::optional<uint64_t> length() const override { return text_.size(); }

  private:
    std::string text_;
    size_t step_, at_ = 0;
};

const std::string kForm =
    "--cut\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na\r\n--cu\r\n"
    "--cut\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n"
    "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"my \\\"x\\\".txt\"\r\nContent-Type: a/b\r\n\r\n"
    "one\r\ntwo\r\n--cut--\r\nrest";

TEST(Form, YieldsItsFieldsHoweverTheBytesArrive) {
    for (const size_t step : {1u, 2u, 5u, 7u, 1000u}) {
        Drip body(kForm, step);
        FormReader form(body, "cut");
        auto part = form.next();
        ASSERT_TRUE(part && *part) << step;
        EXPECT_EQ((*part)->name, "key");
        EXPECT_EQ(*form.read_field(100), "a\r\n--cu");
        part = form.next();
        ASSERT_TRUE(part && *part);
        EXPECT_EQ((*part)->name, "empty");
        EXPECT_EQ(*form.read_field(100), "");
        part = form.next();
        ASSERT_TRUE(part && *part);
        EXPECT_EQ((*part)->filename, "my \"x\".txt");
        EXPECT_EQ((*part)->content_type, "a/b");
        EXPECT_EQ(*form.read_field(100), "one\r\ntwo");
        part = form.next();
        ASSERT_TRUE(part);
        EXPECT_FALSE(*part);
    }
}

TEST(Form, SkipsWhatNobodyReads) {
    Drip body(kForm, 3);
    FormReader form(body, "cut");
    int parts = 0;
    for (auto part = form.next(); part && *part; part = form.next()) ++parts;
    EXPECT_EQ(parts, 3);
}

TEST(Form, RefusesWhatIsCutOrTooLong) {
    for (const std::string& text : {std::string(), std::string("--cut"), kForm.substr(0, 60), kForm.substr(0, 120),
                                    std::string("--cut\r\nname\r\n\r\n"), "--cut\r\n" + std::string(9000, 'x')}) {
        Drip body(text, 16);
        FormReader form(body, "cut");
        bool failed = false;
        for (int i = 0; i < 5 && !failed; ++i) {
            const auto part = form.next();
            failed = !part;
        }
        EXPECT_TRUE(failed) << text.substr(0, 20);
    }
    Drip body(kForm, 100);
    FormReader form(body, "cut");
    ASSERT_TRUE(form.next());
    EXPECT_FALSE(form.read_field(3));
}

TEST(Form, FindsItsBoundary) {
    EXPECT_EQ(form_boundary("multipart/form-data; boundary=cut"), "cut");
    EXPECT_EQ(form_boundary("Multipart/Form-Data; charset=x; boundary=\"a b\""), "a b");
    EXPECT_FALSE(form_boundary("multipart/mixed; boundary=cut"));
    EXPECT_FALSE(form_boundary("multipart/form-data"));
}

using Fields = std::map<std::string, std::string>;
constexpr std::string_view kPolicy =
    R"({"expiration": "2026-01-01T00:00:00Z", "conditions": [{"bucket": "b"}, ["starts-with", "$Key", "a/"],
        ["eq", "$acl", "private"], ["content-length-range", 1, "10"]]})";
const Timestamp kBefore = *parse_iso8601("2025-12-31T23:59:59Z"), kAfter = *parse_iso8601("2026-01-01T00:00:00Z");

std::string verdict(const Fields& fields, Timestamp now = kBefore) {
    const auto policy = parse_form_policy(kPolicy);
    EXPECT_TRUE(policy);
    const auto checked = check_form_policy(*policy, fields, now);
    return checked ? "fine" : checked.error().message;
}

TEST(FormPolicy, HoldsTheFormToItsConditions) {
    const Fields good{{"bucket", "b"}, {"key", "a/1"}, {"acl", "private"}, {"policy", "…"}, {"x-ignore-me", "1"}};
    EXPECT_EQ(verdict(good), "fine");
    EXPECT_NE(verdict(good, kAfter).find("expired"), std::string::npos);
    for (const auto& [name, value] : Fields{{"key", "b/1"}, {"acl", "public-read"}, {"bucket", "c"}}) {
        Fields bad = good;
        bad[name] = value;
        EXPECT_NE(verdict(bad).find("Condition failed"), std::string::npos) << name;
    }
    Fields extra = good;
    extra["x-amz-meta-a"] = "1";
    EXPECT_NE(verdict(extra).find("Extra input fields"), std::string::npos);
    EXPECT_EQ(parse_form_policy(kPolicy)->max_bytes, 10u);
}

TEST(FormPolicy, RefusesDocumentsThatAreNone) {
    for (const std::string_view text :
         {"x", "[]", "{}", R"({"expiration": "2026-01-01T00:00:00Z"})", R"({"expiration": "soon", "conditions": []})",
          R"({"expiration": "2026-01-01T00:00:00Z", "conditions": [{}]})",
          R"({"expiration": "2026-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 2]]})",
          R"({"expiration": "2026-01-01T00:00:00Z", "conditions": [["like", "$key", "a"]]})"}) {
        const auto policy = parse_form_policy(text);
        ASSERT_FALSE(policy) << text;
        EXPECT_EQ(policy.error().code, "InvalidPolicyDocument");
    }
}

}  // namespace
}  // namespace millwright::s3
