#include "base/fail_point.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "base/strings.h"

namespace millwright::fail_points {
namespace {

struct Point {
    std::string name;
    std::optional<int> sleep_ms;  // else it kills
    int64_t only = 0;             // the time that counts; 0: each
    std::atomic<int64_t> reached{0};
};

// Never changes after the first use.
struct Points {
    Points() {
        const char* wanted = std::getenv("MILLWRIGHT_FAIL_POINTS");
        for (const auto& text : split(wanted ? wanted : "", ';'))
            if (!text.empty()) add(std::string(text));
    }

    // Only tests write the variable: a mistake in it ends the process.
    void add(const std::string& text) {
        const auto equals = text.find('='), at = text.find('@');
        CHECK(equals != std::string::npos);
        auto& point = points.emplace_back();
        point.name = text.substr(0, equals);
        const auto action = text.substr(equals + 1, at == std::string::npos ? at : at - equals - 1);
        if (at != std::string::npos) {
            const auto number = parse_int(text.substr(at + 1));
            CHECK(number && *number > 0);
            point.only = *number;
        }
        constexpr std::string_view kSleep = "sleep:";
        if (action == "kill") return;
        const auto milliseconds = action.starts_with(kSleep) ? parse_int(action.substr(kSleep.size())) : std::nullopt;
        CHECK(milliseconds && *milliseconds >= 0 && *milliseconds <= 600'000);
        point.sleep_ms = static_cast<int>(*milliseconds);
    }

    std::deque<Point> points;
};

Points& points() {
    static Points the_only;
    return the_only;
}

}  // namespace

bool armed() {
    static const bool any = !points().points.empty();
    return any;
}

void reach(std::string_view name) {
    for (auto& point : points().points) {
        if (point.name != name) continue;
        const auto time = ++point.reached;
        if (point.only != 0 && time != point.only) continue;
        if (point.sleep_ms) {
            static_cast<void>(poll(nullptr, 0, *point.sleep_ms));
            continue;
        }
        log::warning("fail point " + point.name + " kills this process");
        static_cast<void>(kill(getpid(), SIGKILL));
    }
}

}  // namespace millwright::fail_points
