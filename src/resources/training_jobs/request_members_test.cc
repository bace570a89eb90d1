#include "resources/training_jobs/request_members.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr std::string_view kChannels = "InputDataConfig[].";

// {"A": {"B": value}} for "A.B".
Json nested(std::string_view path, const Json& value) {
    const auto dot = path.find('.');
    if (dot == std::string_view::npos) return Json::object({{std::string(path), value}});
    return Json::object({{std::string(path.substr(0, dot)), nested(path.substr(dot + 1), value)}});
}

Json request_with(std::string_view path, const Json& value) {
    if (!path.starts_with(kChannels)) return nested(path, value);
    auto channel = nested(path.substr(kChannels.size()), value);
    channel.set("ChannelName", "train");
    return Json::object({{"InputDataConfig", Json::array({Json::object({{"ChannelName", "first"}}), channel})}});
}

TEST(RequestMembers, EveryRefusedMemberIsRefusedByNameWithWhatToDoInstead) {
    int refused = 0;
    for (const auto& member : training_request_members()) {
        if (member.treatment != Treatment::Refused) continue;
        ++refused;
        const bool in_channel = member.path.starts_with(kChannels);
        const auto path = std::string(in_channel ? member.path.substr(kChannels.size()) : member.path);
        ASSERT_EQ(path.find_first_of("[{"), std::string::npos) << path << ": only channels are walked into";
        const auto answer = refuse_unsupported_members(request_with(member.path, "x"));
        ASSERT_FALSE(answer) << member.path;
        EXPECT_EQ(answer.error().kind, ErrorKind::InvalidInput);
        EXPECT_EQ(answer.error().message, std::string("Millwright does not support ") +
                                              (in_channel ? "InputDataConfig channel 'train' " : "") + path + ": " +
                                              std::string(member.word) + ".");
    }
    EXPECT_GT(refused, 10);
}
TEST(RequestMembers, WhatIsSwitchedOffAsksForNothing) {
    for (const auto& member : training_request_members()) {
        for (const Json& off : {Json(), Json(false), Json(0), Json(""), Json::array(), Json::object()})
            EXPECT_TRUE(refuse_unsupported_members(request_with(member.path, off))) << member.path << off.dump();
    }
}
TEST(RequestMembers, WhatIsNotRefusedIsLetThrough) {
    for (const auto& member : training_request_members()) {
        if (member.treatment == Treatment::Refused) continue;
        auto path = replace_all(member.path, "{}", "");
        if (!member.path.starts_with(kChannels)) path = replace_all(path, "[]", "");
        EXPECT_TRUE(refuse_unsupported_members(request_with(path, "x"))) << member.path;
    }
}
TEST(RequestMembers, AreDescribedForThePage) {
    const auto list = describe_training_request_members();
    ASSERT_EQ(list.size(), training_request_members().size());
    EXPECT_EQ(list[size_t{0}]["member"].string_or(""), "TrainingJobName");
    EXPECT_EQ(list[size_t{0}]["treatment"].string_or(""), "honoured");
}

}  // namespace
}  // namespace millwright::resources
