// What an engine can do on this machine, found by asking and by trying.
#pragma once

#include <string>

#include "base/result.h"
#include "executors/container/container_spec.h"
#include "executors/container/gates.h"

namespace millwright::executors {

struct EngineReport {
    EngineTraits traits;
    Json report;  // for people: the security options and limits in force, and what is missing
};

// What had to be tried is remembered in <state_folder>/engine.json for as long as engine and kernel are the same.
Result<EngineReport> probe_engine(EngineClient& engine, Gates& gates, const std::string& state_folder);

}  // namespace millwright::executors
