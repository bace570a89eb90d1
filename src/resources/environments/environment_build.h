// One environment being built by a run of its own. The run outlives the process that started it: the next one that
// wants the environment finds it and waits on.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "executors/executor.h"
#include "resources/environments/environment_files.h"
#include "resources/environments/package_index.h"
#include "resources/environments/recipes.h"

namespace millwright::resources {

struct BuildOrder {
    EnvironmentRecord record;  // choice, base, requirements, python
    PackagePlan plan;
    std::vector<executors::Mount> mounts;  // of the base
};

struct BuildSite {
    const EnvironmentFiles& files;
    executors::Executor& executor;
    std::string egress_socket;  // see EnvironmentSettings
};

// REQUIRES: the lock of the environment is held. Publishes it. Conflict: `stop` was set, and the run has ended.
// InvalidInput: pip could not; the message has its words.
Result<void> build_environment(const BuildSite& site, BuildOrder order, const std::atomic<bool>& stop,
                               const Environments::Progress& progress);

// Lines of a build's log that are meant for whoever waits, from where the last call ended.
class BuildLog {
  public:
    explicit BuildLog(std::string path) : path_(std::move(path)) {}
    void tell_new_lines(const Environments::Progress& progress);

  private:
    std::string path_;
    uint64_t offset_ = 0;
};

std::string prefix_of(std::string_view id);  // kEnvironmentsInside/<id>

}  // namespace millwright::resources
