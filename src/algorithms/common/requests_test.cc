#include "algorithms/common/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "algorithms/common/readers.h"
#include "algorithms/common/recordio.h"

namespace millwright::algorithms {
namespace {

using ::testing::ElementsAre;

Dataset decoded(std::string_view type, std::string_view body, size_t columns = 0) {
    auto data = decode_request({type, "", "", body}, {.columns = columns});
    EXPECT_TRUE(data) << data.error().body;
    return data ? std::move(*data) : Dataset{};
}

ServeReply refused(std::string_view type, std::string_view body, size_t columns = 0) {
    auto data = decode_request({type, "", "", body}, {.columns = columns});
    EXPECT_FALSE(data);
    return data ? ServeReply{} : data.error();
}

TEST(Requests, DenseJsonInBothForms) {
    EXPECT_THAT(decoded("application/json", R"({"instances":[{"features":[1.5,16]},{"features":[2,3]}]})").values,
                ElementsAre(1.5, 16, 2, 3));
    EXPECT_THAT(decoded("application/json; charset=utf-8", R"({"instances":[{"data":{"features":{"values":[1.5,16]}}}],
                        "configuration":{}})")
                    .values,
                ElementsAre(1.5, 16));
}

TEST(Requests, SparseJson) {
    const Dataset data = decoded(
        "application/json", R"({"instances":[{"data":{"features":{"keys":[26,182],"shape":[2000],"values":[1,2]}}}]})");
    EXPECT_TRUE(data.sparse);
    EXPECT_EQ(data.columns, 2000u);
    EXPECT_THAT(data.indices, ElementsAre(26, 182));
}

TEST(Requests, JsonLinesCsvAndRecordIo) {
    EXPECT_THAT(
        decoded("application/jsonlines", "{\"features\":[1,2]}\n{\"data\":{\"features\":{\"values\":[3,4]}}}\n\n")
            .values,
        ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(decoded("text/csv;label_size=0", "1,2\n3,4").values, ElementsAre(1, 2, 3, 4));
    std::string records;
    const float values[] = {5, 6};
    append_record(records, {.features = {{"values", values, {}, {}}}, .label = {}, .uid = "u", .metadata = {}});
    const Dataset data = decoded("", records);
    EXPECT_THAT(data.values, ElementsAre(5, 6));
    EXPECT_EQ(data.record_infos[0].uid, "u");
}

TEST(Requests, WhatDoesNotParseIsA400WithTheReason) {
    const auto expect = [](std::string_view type, std::string_view body, std::string_view reason) {
        const ServeReply reply = refused(type, body, 2);
        EXPECT_EQ(reply.status, 400);
        EXPECT_THAT(reply.body, ::testing::HasSubstr(reason)) << body;
    };
    expect("application/json", "{", "not valid JSON");
    expect("application/json", "{}", "no list 'instances'");
    expect("application/json", R"({"instances":[]})", "no rows");
    expect("application/json", R"({"instances":[3]})", "instance 1: an object is expected");
    expect("application/json", R"({"instances":[{}]})", "instance 1: 'features' is missing");
    expect("application/json", R"({"instances":[{"features":[1,2]},{"features":[1]}]})",
           "instance 2: 1 features, expected 2");
    expect("application/json", R"({"instances":[{"features":["a"]}]})", "a feature is not a number");
    expect("application/json", R"({"instances":[{"features":{"keys":[2],"values":[1],"shape":[2]}}]})", "out of range");
    expect("application/json", R"({"instances":[{"features":{"keys":[1],"values":[1]}}]})", "'shape'");
    expect("text/csv", "1,2\nx,3", "request: line 2: 'x' is not a number");
    expect("text/csv", "1,2,3", "expected 2");
    expect("text/csv;label_size=x", "1,2", "label_size");
    expect("application/x-recordio-protobuf", "garbage!", "RecordIO magic number expected");
    expect("", "", "no rows");
}

TEST(Requests, OtherTypesAreA415) { EXPECT_EQ(refused("text/plain", "1,2").status, 415); }

TEST(Requests, AcceptChoosesAmongTheOffered) {
    constexpr AnswerFormat kOffered[] = {AnswerFormat::Json, AnswerFormat::JsonLines, AnswerFormat::RecordIo};
    const auto chosen = [&](std::string_view accept) {
        return *choose_answer_format(accept, kOffered, AnswerFormat::Json);
    };
    EXPECT_EQ(chosen(""), AnswerFormat::Json);
    EXPECT_EQ(chosen("*/*"), AnswerFormat::Json);
    EXPECT_EQ(chosen("application/jsonlines"), AnswerFormat::JsonLines);
    EXPECT_EQ(chosen("text/html, application/x-recordio-protobuf"), AnswerFormat::RecordIo);
    EXPECT_EQ(chosen("application/jsonlines;q=0.5, application/json"), AnswerFormat::Json);
    const auto refused_format = choose_answer_format("text/csv", kOffered, AnswerFormat::Json);
    ASSERT_FALSE(refused_format);
    EXPECT_EQ(refused_format.error().status, 406);
}

TEST(Requests, AnswersInEveryFormat) {
    const float scores[] = {1, 0.25};
    const float vectors[] = {1, 2, 3, 4.5};
    const AnswerField fields[] = {{"score", 1, true, scores}, {"projection", 2, false, vectors}};
    EXPECT_EQ(encode_answer(AnswerFormat::Json, "predictions", 2, fields).body,
              R"({"predictions":[{"score":1.0,"projection":[1.0,2.0]},{"score":0.25,"projection":[3.0,4.5]}]})");
    EXPECT_EQ(encode_answer(AnswerFormat::JsonLines, "predictions", 2, fields).body,
              "{\"score\":1.0,\"projection\":[1.0,2.0]}\n{\"score\":0.25,\"projection\":[3.0,4.5]}\n");
    EXPECT_EQ(encode_answer(AnswerFormat::Csv, "predictions", 2, fields).body, "1.0,1.0,2.0\n0.25,3.0,4.5\n");
    const AnswerField only[] = {{"values", 2, false, vectors}};
    const RecordInfo infos[] = {{"a", "m"}, {"b", ""}};
    const ServeReply records = encode_answer(AnswerFormat::RecordIo, "predictions", 2, only, infos);
    EXPECT_EQ(records.content_type, "application/x-recordio-protobuf");
    EXPECT_THAT(records.body, ::testing::HasSubstr("values"));
}

TEST(Requests, FloatsAreShortAndAlwaysLookLikeFloats) {
    const auto text = [](float value) {
        std::string out;
        append_float(out, value);
        return out;
    };
    EXPECT_EQ(text(1), "1.0");
    EXPECT_EQ(text(-0.1f), "-0.1");
    EXPECT_EQ(text(1e30f), "1e+30");
    EXPECT_EQ(text(kMissing), "NaN");
    EXPECT_EQ(text(-std::numeric_limits<float>::infinity()), "-Infinity");
}

}  // namespace
}  // namespace millwright::algorithms
