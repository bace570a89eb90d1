#include "aws/event_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "base/encoding.h"

namespace millwright::aws {
namespace {

// botocore's own decoder takes exactly these bytes: tests/conformance/test_response_streams.py.
constexpr std::string_view kHeadersAndPayload =
    "0d3a6d6573736167652d747970650700056576656e74"
    "0b3a6576656e742d7479706507000b5061796c6f616450617274"
    "0d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d"
    "616263";

TEST(EventStream, FramesAreLaidOutAsAwsDoes) {
    const std::string frame = encode_event("PayloadPart", "abc");
    EXPECT_EQ(frame.size(), 12 + 22 + 26 + 41 + 3 + 4u);
    EXPECT_EQ(to_hex(frame.substr(0, 8)), "0000006c00000059");
    EXPECT_EQ(to_hex(frame.substr(12, frame.size() - 16)), kHeadersAndPayload);
}

TEST(EventStream, WhatIsEncodedIsDecoded) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{1000}, size_t{1} << 20}) {
        const std::string payload(size, '\xfe');
        const std::string frame = encode_event("PayloadPart", payload);
        const auto decoded = decode_frame(frame + "more").value();
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->consumed, frame.size());
        EXPECT_EQ(decoded->frame.payload, payload);
        ASSERT_EQ(decoded->frame.headers.size(), 3u);
        EXPECT_EQ(decoded->frame.headers[1].first, ":event-type");
        EXPECT_EQ(decoded->frame.headers[1].second, "PayloadPart");
    }
    const auto failure = decode_frame(encode_exception("ModelStreamError", Json::object({{"Message", "m"}}))).value();
    EXPECT_EQ(failure->frame.headers[0].second, "exception");
    EXPECT_EQ(failure->frame.payload, R"({"Message":"m"})");
}

TEST(EventStream, EveryPrefixNeedsMoreAndEveryFlippedByteIsSeen) {
    const std::string frame = encode_event("PayloadPart", "payload");
    for (size_t size = 0; size < frame.size(); ++size) {
        const auto decoded = decode_frame(std::string_view(frame).substr(0, size));
        ASSERT_TRUE(decoded) << size;
        EXPECT_FALSE(decoded->has_value()) << size;
    }
    std::minstd_rand random(1);
    for (size_t at = 0; at < frame.size(); ++at) {
        std::string changed = frame;
        changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(1 + random() % 255));
        const auto decoded = decode_frame(changed);
        EXPECT_FALSE(decoded && decoded->has_value()) << at;
    }
}

}  // namespace
}  // namespace millwright::aws
