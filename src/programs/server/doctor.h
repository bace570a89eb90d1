// `millwright doctor`: what this machine lets Millwright do, in words, with what to do about the rest.
#pragma once

#include <string>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct Diagnosis {
    std::string text;
    bool can_run_jobs = false;
};
Result<Diagnosis> diagnose(const Config& config, const std::string& launcher);

}  // namespace millwright::programs
