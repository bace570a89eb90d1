#include "net/http.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace millwright::net {
namespace {

class TextBody : public BodyReader {
  public:
    TextBody(std::string text, std::optional<uint64_t> length) : text_(std::move(text)), length_(length) {}
    Result<size_t> read(std::span<char> buffer) override {
        const size_t count = std::min({buffer.size(), text_.size() - at_, size_t{3}});
        std::memcpy(buffer.data(), text_.data() + at_, count);
        at_ += count;
        return count;
    }
    std::optional<uint64_t> length() const override { return length_; }

  private:
    std::string text_;
    std::optional<uint64_t> length_;
    size_t at_ = 0;
};

TEST(Headers, NamesCompareIgnoringCaseAndKeepTheirOrder) {
    Headers headers{{"Host", "a"}, {"X-Amz-Date", "1"}, {"x-amz-date", "2"}};
    EXPECT_EQ(headers.get("X-AMZ-DATE"), "1");
    EXPECT_EQ(headers.get("absent", "none"), "none");
    headers.set("X-amz-date", "3");
    ASSERT_EQ(headers.all().size(), 2u);
    EXPECT_EQ(headers.all()[1].second, "3");
    headers.erase("HOST");
    EXPECT_FALSE(headers.has("host"));
}

TEST(Request, SplitsTheTargetAtTheFirstQuestionMark) {
    Request request;
    request.target = "/a%2Fb?x=1?2";
    EXPECT_EQ(request.raw_path(), "/a%2Fb");
    EXPECT_EQ(request.raw_query(), "x=1?2");
    request.target = "/a";
    EXPECT_EQ(request.raw_query(), "");
}

TEST(ParseQuery, DecodesPairsInOrder) {
    using Pairs = std::vector<std::pair<std::string, std::string>>;
    EXPECT_EQ(parse_query("b=2&a=1%3D&flag&&c+d=e+f&b="),
              (Pairs{{"b", "2"}, {"a", "1="}, {"flag", ""}, {"c d", "e f"}, {"b", ""}}));
    EXPECT_TRUE(parse_query("").empty());
}

TEST(ReadAll, ReadsToTheEndAndStopsAtTheLimit) {
    const std::string text(10000, 'x');
    TextBody known(text, text.size()), unknown(text, std::nullopt), exact(text, std::nullopt),
        large(text, std::nullopt);
    EXPECT_EQ(read_all(known, 20000).value(), text);
    EXPECT_EQ(read_all(unknown, 20000).value(), text);
    EXPECT_EQ(read_all(exact, text.size()).value(), text);
    EXPECT_EQ(read_all(large, text.size() - 1).error().kind, ErrorKind::LimitExceeded);
    TextBody announced("", 30000);
    EXPECT_EQ(read_all(announced, 20000).error().kind, ErrorKind::LimitExceeded);
}

}  // namespace
}  // namespace millwright::net
