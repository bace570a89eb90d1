#include "resources/training_jobs/training_history.h"

#include <algorithm>

#include "base/log.h"
#include "resources/cost/ledger.h"

namespace millwright::resources {
namespace {

constexpr size_t kLooked = 20;

Result<std::vector<int64_t>> past_seconds(metadata_store::Database& database, const TrainingJob& job) {
    return database.read([&](metadata_store::Connection& connection) -> Result<std::vector<int64_t>> {
        const auto prefix = like_named_prefix(job.name);
        if (!prefix.empty()) {
            auto alike = TRY(past_training_seconds(connection, job.account, job.region, prefix, kLooked));
            if (!alike.empty()) return alike;
        }
        return past_training_seconds(connection, job.account, job.region, "", kLooked);
    });
}

}  // namespace

std::string like_named_prefix(const std::string& name) {
    constexpr size_t kLeast = 3;
    const auto end = name.find_last_not_of("0123456789-");
    if (end == std::string::npos || end + 1 < kLeast) return "";
    return name.substr(0, end + 1);
}

std::optional<std::chrono::seconds> median(std::vector<int64_t> seconds) {
    if (seconds.empty()) return std::nullopt;
    const auto middle = seconds.begin() + static_cast<std::ptrdiff_t>(seconds.size() / 2);
    std::nth_element(seconds.begin(), middle, seconds.end());
    return std::chrono::seconds(*middle);
}

jobs::Expected expected_duration(metadata_store::Database& database, const TrainingJob& job,
                                 std::chrono::seconds most) {
    jobs::Expected expected{.usual = std::nullopt, .most = most};
    auto past = past_seconds(database, job);
    if (!past) {
        log::warning("looking for jobs like " + job.name, past.error());
        return expected;
    }
    if (const auto usual = median(std::move(*past))) expected.usual = std::min(*usual, most);
    return expected;
}

}  // namespace millwright::resources
