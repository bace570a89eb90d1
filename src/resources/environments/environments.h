// Environments: what a prebuilt framework image is here. A Python virtual environment, built once from a declared
// recipe, kept by the hash of what it was made from, shared by all jobs, usable offline afterwards.
//
//   <data-dir>/environments/<id>/tree/              the virtual environment; never changes once it is there
//   <data-dir>/environments/<id>/environment.json   recipe, versions asked and found, packages, size, when built
//
// Inside runs it is always at /opt/millwright/environments/<id>, which is also where it is built (in a run of its own,
// without any right but to write there and to reach the package index), so a data directory can be moved.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "executors/executor.h"
#include "resources/images/images.h"

namespace millwright::resources {

inline constexpr const char* kEnvironmentsInside = "/opt/millwright/environments";

// What a job needs: the packages of a framework image, and those of its own requirements.txt on top.
struct EnvironmentWish {
    FrameworkImage image;
    std::string requirements;  // text of requirements.txt; empty: none
};

// A recipe's answer to the versions asked for, without looking at the disk.
struct EnvironmentChoice {
    std::string id;      // hex hash of everything that decides the content
    std::string recipe;  // "pytorch"
    std::string title;   // "PyTorch 2.13.0 for Python 3.11"
    // For the job's log: "PyTorch 2.0.0 for Python 3.10 was asked for; this is 2.13.0, the nearest that …". Empty:
    // exact.
    std::string note;
};

struct Environment {
    EnvironmentChoice choice;
    std::string prefix;  // inside: kEnvironmentsInside/<id>; prefix/bin comes first on PATH
    std::vector<executors::Mount> mounts;
    std::map<std::string, std::string> variables;  // what images of this framework set, besides PATH
};

struct EnvironmentInfo {  // of `millwright environments list` and `show`
    EnvironmentChoice choice;
    std::string name;          // "tensorflow-2.15.1"; that of the environment below it for one of a requirements.txt
    std::string requirements;  // on top; empty: none
    std::string state;         // "ready", "building", "not built"
    uint64_t bytes = 0;
    Timestamp built{}, last_used{};
    std::vector<std::string> packages;  // "torch==2.13.0"
};

struct EnvironmentSettings {
    std::string folder;         // <data-dir>/environments
    std::string egress_socket;  // see RunSpec: how the builder reaches the package index; empty: not
    // Folders in which the folders of runs lie, to see which environments are in use.
    std::vector<std::string> run_folders = {};
};

// Thread-safe. Several processes (the server and the command line) may use one folder: a lock per environment sees to
// it that each is built once.
class Environments {
  public:
    // Called with one line each, from the building thread: "Installing torch 2.13.0 (3 of 7)".
    using Progress = std::function<void(const std::string& line)>;

    static Result<std::unique_ptr<Environments>> open(const EnvironmentSettings& settings,
                                                      executors::Executor& executor);
    virtual ~Environments() = default;

    // InvalidInput: there is no recipe, or the requirements cannot be taken (the message says why, for a client).
    virtual Result<EnvironmentChoice> choose(const EnvironmentWish& wish) const = 0;
    // NotFound: it is not built. Marks it as used.
    virtual Result<Environment> find(const EnvironmentWish& wish) = 0;
    // Builds it when it is missing; minutes. Waits when it is being built elsewhere. Conflict: `stop` was set.
    // InvalidInput: a package cannot be installed; the message has pip's words.
    virtual Result<Environment> provide(const EnvironmentWish& wish, const std::atomic<bool>& stop,
                                        const Progress& progress) = 0;
    virtual std::vector<EnvironmentInfo> list() = 0;  // each recipe, built or not, and the derived ones
    // With those derived from it. Conflict: a run uses one of them, or it is being built; NotFound. `name`: an id or
    // the start of one, a framework ("pytorch": all of it), or "tensorflow-2.15".
    virtual Result<void> remove(std::string_view name) = 0;
};

// What `millwright environments build NAME` means: an image URI, a framework ("pytorch"), or with a version
// ("tensorflow-2.15"). InvalidInput says what there is.
Result<FrameworkImage> image_of_environment_name(std::string_view name);

// The hosts of the package indexes that the pip of this machine and user is configured to, as net/egress_rules.h reads
// them: what the builder must reach. Takes a second. Unavailable: there is no Python with venv.
Result<std::vector<std::string>> package_index_hosts();

// Whether an environment can be derived from this requirements.txt and shared by all jobs that have the same: it names
// packages only. Paths, "-e", "-r" and the like depend on the code beside it and are installed in each job instead.
bool can_be_shared(std::string_view requirements);

}  // namespace millwright::resources
