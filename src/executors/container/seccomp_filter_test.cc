#include "executors/container/seccomp_filter.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace millwright::executors {
namespace {

TEST(SeccompFilter, PermitsWhatTheEngineDoesLessNamespacesAndKeyrings) {
    const auto filter = narrower_filter(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": [
        {"names": ["read", "keyctl", "clone", "unshare"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]})");
    ASSERT_TRUE(filter.has_value());
    const auto json = Json::parse(*filter).value();
    EXPECT_EQ(json["defaultErrnoRet"].int_or(0), 38);
    ASSERT_EQ(json["syscalls"].size(), 3u);
    EXPECT_EQ(json["syscalls"][0]["names"].dump(), R"(["read"])");
    EXPECT_EQ(json["syscalls"][1]["names"].dump(), R"(["setns"])");
    EXPECT_EQ(json["syscalls"][2]["names"].dump(), R"(["clone"])");
    EXPECT_EQ(json["syscalls"][2]["args"][0]["value"].int_or(0), 2114060288);
}

TEST(SeccompFilter, RefusesAFilterThatPermitsWhatItDoesNotName) {
    EXPECT_FALSE(narrower_filter(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})").has_value());
    EXPECT_FALSE(narrower_filter("{}").has_value());
    EXPECT_FALSE(narrower_filter("not JSON").has_value());
}

}  // namespace
}  // namespace millwright::executors
