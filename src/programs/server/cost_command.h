// `millwright cost`: what the training jobs of this data directory have cost. Only reads, also beside a running server.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct CostArguments {
    std::vector<std::string> by = {"job"};  // "job", "user", "day", or "tag" and its key
    std::string since, until;               // "2026-11-23" (UTC; until includes the day), or a time in ISO 8601
    std::string region, as;                 // empty: every region, no comparison
    bool json = false, csv = false;
};

// What to print. InvalidInput: an argument says nothing meaningful.
Result<std::string> cost_text(const Config& config, const CostArguments& arguments);

}  // namespace millwright::programs
