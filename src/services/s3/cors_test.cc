#include "services/s3/cors.h"

#include <gtest/gtest.h>

namespace millwright::s3 {
namespace {

std::string configuration(const std::string& rules) { return "<CORSConfiguration>" + rules + "</CORSConfiguration>"; }
std::string rule(const std::string& fields) { return "<CORSRule>" + fields + "</CORSRule>"; }

const std::string kShop = rule(
    "<AllowedOrigin>https://*.shop</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>"
    "<AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>9</MaxAgeSeconds>");
const std::string kAll = rule("<AllowedOrigin>*</AllowedOrigin><AllowedMethod>HEAD</AllowedMethod>");

std::string code_of(const std::string& text) {
    const auto parsed = parse_cors(text);
    return parsed ? "fine" : parsed.error().code;
}

net::Headers answer_to(const std::string& method, net::Headers headers) {
    const auto rules = parse_cors(configuration(kShop + kAll));
    EXPECT_TRUE(rules);
    return cors_headers(*rules, net::Request{method, "/", std::move(headers), nullptr, ""}).value_or(net::Headers());
}

TEST(Cors, AnswersByTheFirstRuleThatFits) {
    const auto shop = answer_to("GET", {{"Origin", "https://my.shop"}});
    EXPECT_EQ(shop.get("Access-Control-Allow-Origin"), "https://my.shop");
    EXPECT_EQ(shop.get("Access-Control-Allow-Methods"), "GET, PUT");
    EXPECT_EQ(shop.get("Access-Control-Expose-Headers"), "ETag");
    EXPECT_EQ(shop.get("Access-Control-Max-Age"), "9");
    EXPECT_EQ(shop.get("Access-Control-Allow-Credentials"), "true");
    const auto anyone = answer_to("HEAD", {{"Origin", "https://my.shop"}});
    EXPECT_EQ(anyone.get("Access-Control-Allow-Origin"), "*");
    EXPECT_FALSE(anyone.has("Access-Control-Allow-Credentials"));
}

TEST(Cors, SaysNothingToOthers) {
    EXPECT_TRUE(answer_to("GET", {}).all().empty());
    EXPECT_TRUE(answer_to("GET", {{"Origin", "https://my.shop.evil"}}).all().empty());
    EXPECT_TRUE(answer_to("DELETE", {{"Origin", "https://my.shop"}}).all().empty());
}

TEST(Cors, AsksForTheMethodAndTheHeadersOfAPreflight) {
    const net::Headers fine{{"Origin", "https://my.shop"},
                            {"Access-Control-Request-Method", "PUT"},
                            {"Access-Control-Request-Headers", "X-Amz-Date, x-amz-acl"}};
    EXPECT_EQ(answer_to("OPTIONS", fine).get("Access-Control-Allow-Headers"), "x-amz-date, x-amz-acl");
    net::Headers other = fine;
    other.set("Access-Control-Request-Headers", "x-amz-date, cookie");
    EXPECT_TRUE(answer_to("OPTIONS", other).all().empty());
    net::Headers method = fine;
    method.set("Access-Control-Request-Method", "DELETE");
    EXPECT_TRUE(answer_to("OPTIONS", method).all().empty());
}

TEST(Cors, RefusesWhatAWSRefuses) {
    EXPECT_EQ(code_of(configuration("")), "MalformedXML");
    EXPECT_EQ(code_of("<Other/>"), "MalformedXML");
    EXPECT_EQ(code_of(configuration(rule("<AllowedMethod>GET</AllowedMethod>"))), "MalformedXML");
    EXPECT_EQ(code_of(configuration(rule("<AllowedOrigin>a</AllowedOrigin>"))), "MalformedXML");
    EXPECT_EQ(code_of(configuration(rule("<AllowedOrigin>a</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod>"))),
              "InvalidRequest");
    EXPECT_EQ(code_of(configuration(rule("<AllowedOrigin>*a*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"))),
              "InvalidRequest");
    std::string many;
    for (int i = 0; i < 101; ++i) many += kAll;
    EXPECT_EQ(code_of(configuration(many)), "MalformedXML");
}

TEST(Cors, ReadsWhatItWrites) {
    const auto rules = parse_cors(configuration(kShop + kAll));
    ASSERT_TRUE(rules);
    const auto again = parse_cors(format_cors(*rules));
    ASSERT_TRUE(again);
    EXPECT_EQ(format_cors(*again), format_cors(*rules));
    EXPECT_EQ(again->front().headers, std::vector<std::string>{"x-amz-*"});
}

}  // namespace
}  // namespace millwright::s3
