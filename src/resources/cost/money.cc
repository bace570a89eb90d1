#include "resources/cost/money.h"

#include <array>
#include <cinttypes>
#include <cstdio>

#include "base/check.h"

namespace millwright::resources {

Money cost_of(Money per_hour, int64_t seconds, int64_t instances) {
    CHECK(per_hour.micro_dollars >= 0 && seconds >= 0 && instances >= 0);
    // 10^12 micro-dollars times a month times a hundred instances does not fit into 64 bits.
    __extension__ using Wide = __int128;
    constexpr int64_t kHour = 3600;
    const Wide exact = static_cast<Wide>(per_hour.micro_dollars) * seconds * instances;
    return {static_cast<int64_t>((exact + kHour / 2) / kHour)};
}

std::string to_text(Money amount) {
    constexpr int64_t kDollar = 1'000'000;
    const auto micro = amount.micro_dollars < 0 ? -amount.micro_dollars : amount.micro_dollars;
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%s%" PRId64 ".%06" PRId64, amount.micro_dollars < 0 ? "-" : "",
                  micro / kDollar, micro % kDollar);
    return text.data();
}

}  // namespace millwright::resources
