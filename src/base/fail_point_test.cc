#include "base/fail_point.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>

namespace millwright {
namespace {

// The environment is read once, so each case has a process of its own.
void arm(const char* points) { setenv("MILLWRIGHT_FAIL_POINTS", points, 1); }

TEST(FailPointTest, DoesNothingUnlessTheEnvironmentNamesIt) {
    EXPECT_EXIT(
        {
            unsetenv("MILLWRIGHT_FAIL_POINTS");
            FAIL_POINT("test.a");
            std::_Exit(fail_points::armed() ? 1 : 0);
        },
        testing::ExitedWithCode(0), "");
    EXPECT_EXIT(
        {
            arm("test.b=kill");
            FAIL_POINT("test.a");
            std::_Exit(fail_points::armed() ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
}

TEST(FailPointTest, KillsTheProcessAtTheTimeThatIsAskedFor) {
    const auto reach_twice = [] {
        arm("test.other=sleep:0;test.a=kill@2");
        FAIL_POINT("test.a");
        fprintf(stderr, "once");
        FAIL_POINT("test.a");
        std::_Exit(0);
    };
    EXPECT_EXIT(reach_twice(), testing::KilledBySignal(SIGKILL), "once");
}

TEST(FailPointTest, KillsWhenABlockIsLeft) {
    const auto leave = [] {
        arm("test.a=kill");
        const auto work = [] {
            FAIL_POINT_AT_EXIT("test.a");
            fprintf(stderr, "inside");
            return 1;
        };
        std::_Exit(work());
    };
    EXPECT_EXIT(leave(), testing::KilledBySignal(SIGKILL), "inside");
}

TEST(FailPointTest, RefusesWhatItDoesNotUnderstand) {
    for (const char* wrong : {"test.a", "test.a=die", "test.a=kill@0", "test.a=sleep:", "test.a=sleep:-1"}) {
        const auto reach = [&] {
            arm(wrong);
            std::_Exit(fail_points::armed());
        };
        EXPECT_EXIT(reach(), testing::KilledBySignal(SIGABRT), "") << wrong;
    }
}

}  // namespace
}  // namespace millwright
