#include "resources/environments/environment_build.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/event_file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "resources/environments/embedded.h"

namespace millwright::resources {
namespace {

using executors::Mount;
using executors::RunOutcome;
using executors::RunSpec;

constexpr std::chrono::hours kLongestBuild{3};
constexpr std::chrono::seconds kLongestKill{60};
constexpr std::chrono::milliseconds kTick{100};
constexpr const char* kProxyInside = "http://169.254.170.2:3128";

// The end of one run. Must outlive the run.
class RunEnd final : public executors::RunListener {
  public:
    void run_started(const std::string&, Timestamp) override {}
    void run_ended(const std::string&, const RunOutcome& outcome) override {
        const MutexLock lock(mutex_);
        outcome_ = outcome;
        ended_.notify_all();
    }
    std::optional<RunOutcome> wait_for(std::chrono::milliseconds time) {
        const auto deadline = std::chrono::steady_clock::now() + time;
        const MutexLock lock(mutex_);
        while (!outcome_)
            if (!ended_.wait_until(mutex_, deadline)) break;
        return outcome_;
    }

  private:
    Mutex mutex_;
    Condition ended_;
    std::optional<RunOutcome> outcome_ GUARDED_BY(mutex_);
};

struct Build {
    const BuildSite& site;
    const BuildOrder& order;
    std::string folder;  // <id>.partial
    std::string run_folder() const { return folder + "/run"; }
    std::string inside(const char* name) const { return run_folder() + "/algo-1/ml/" + name; }  // a file in /opt/ml
};

executors::Limits limits_of_builds() {
    executors::Limits limits;
    limits.cpus = std::max(1u, std::thread::hardware_concurrency());
    const uint64_t memory =
        static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
    limits.memory_bytes = std::max(uint64_t{1} << 30, memory / 4 * 3);
    return limits;
}

std::map<std::string, std::string> variables_of(const BuildSite& site, const PackageIndex& index) {
    auto variables = index.variables;
    variables["PATH"] = "/usr/local/bin:/usr/bin:/bin";
    variables["HOME"] = "/root";
    variables["LANG"] = variables["LC_ALL"] = "C.UTF-8";
    variables["PIP_CONFIG_FILE"] = "/dev/null";
    if (site.egress_socket.empty()) {
        variables["PIP_RETRIES"] = "0";  // there is no way out, so waiting for one is in vain
    } else {
        // The plain ones are for git, which pip calls for some requirements.
        for (const char* name : {"PIP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"})
            variables[name] = kProxyInside;
    }
    return variables;
}

Result<void> write_inputs(const Build& build, const PackageIndex& index) {
    const BuildOrder& order = build.order;
    TRY(make_directories(build.folder + "/tree"));
    TRY(make_directories(build.run_folder() + "/algo-1/ml", 0700));
    TRY(write_file(build.inside("build_environment.py"), kBuildEnvironment));
    const std::string base = order.record.base.empty() ? "" : prefix_of(order.record.base);
    TRY(write_file(build.inside("plan.json"), plan_document(order.plan, prefix_of(order.record.choice.id), base)));
    if (!index.certificate.empty()) {
        const std::string certificate = TRY(read_file(index.certificate, size_t{64} << 20));
        TRY(write_file(build.inside("certificates.pem"), certificate));
    }
    return {};
}

Result<std::string> start_run(const Build& build, executors::RunListener& listener) {
    TRY(remove_tree(build.folder));
    const PackageIndex index = TRY(ask_package_index());
    TRY(write_inputs(build, index));
    RunSpec spec;
    spec.id = system_random().hex(32);
    spec.folder = build.run_folder();
    spec.command = {kSystemPython, "-I", "/opt/ml/build_environment.py"};
    spec.environment = variables_of(build.site, index);
    spec.mounts = build.order.mounts;
    spec.mounts.insert(spec.mounts.end(), index.mounts.begin(), index.mounts.end());
    spec.mounts.push_back({build.folder + "/tree", prefix_of(build.order.record.choice.id), Mount::Mode::Writable});
    spec.log_files = {build.folder + "/log"};
    spec.limits = limits_of_builds();
    spec.max_runtime = kLongestBuild;
    spec.stop_grace = std::chrono::seconds(2);
    spec.egress_socket = build.site.egress_socket;
    // Before the start: a run must never be without somebody who can find it.
    TRY(write_file(build.folder + "/run-id", spec.id));
    TRY(build.site.executor.start(spec, listener));
    return spec.id;
}

// Waits for the run, telling what it says. The outcome is missing when it was stopped.
std::optional<RunOutcome> await_run(const Build& build, const std::string& id, RunEnd& end,
                                    const std::atomic<bool>& stop, const Environments::Progress& progress) {
    BuildLog lines(build.folder + "/log");
    for (;;) {
        const auto outcome = end.wait_for(kTick);
        lines.tell_new_lines(progress);
        if (outcome) return outcome;
        if (!stop.load()) continue;
        static_cast<void>(build.site.executor.kill(id).has_value());  // not known: it has just ended
        while (!end.wait_for(kLongestKill)) log::warning("the run " + id + " of an environment's builder does not end");
        return std::nullopt;
    }
}

Error failure_of(const Build& build, const RunOutcome& outcome) {
    const std::string what = build.order.record.base.empty()
                                 ? "The environment " + build.order.record.choice.title + " cannot be built: "
                                 : "The packages of requirements.txt cannot be installed: ";
    if (outcome.cause == RunOutcome::Cause::LaunchFailed)
        return Error{ErrorKind::Unavailable, what + outcome.message, ""};
    if (outcome.cause == RunOutcome::Cause::MaxRuntime) return invalid_input(what + "it took more than three hours");
    if (outcome.cause != RunOutcome::Cause::Exited)
        return Error{ErrorKind::Unavailable, what + "its process was lost", outcome.message};
    if (outcome.hosts[0].out_of_memory) return invalid_input(what + "it needs more memory than this machine has");
    auto said = read_file(build.inside("failure"), 16 * 1024);
    if (!said || trim(*said).empty())
        return internal_error(what + "its builder failed", "see " + build.folder + "/log");
    std::string message = what + valid_utf8(trim(*said));
    if (build.site.egress_socket.empty())
        message += "\n(Builds have no way to a package index here: see network.egress in the configuration.)";
    return invalid_input(message);
}

Result<void> finish(const Build& build, const RunOutcome& outcome) {
    EnvironmentRecord record = build.order.record;
    const std::string text = TRY(read_file(build.inside("packages.json"), size_t{4} << 20));
    const Json packages = TRY(Json::parse(text));
    for (const Json& package : packages.items()) record.packages.push_back(package.string_or(""));
    record.bytes = disk_usage(build.folder + "/tree");
    record.built = system_clock().now();
    record.build_seconds = std::chrono::duration<double>(outcome.ran).count();
    return build.site.files.publish(record);
}

// A run that an earlier process began. Nothing when there is none or it was in vain.
std::optional<RunOutcome> continue_run(const Build& build, RunEnd& end, const std::atomic<bool>& stop,
                                       const Environments::Progress& progress) {
    const auto id = read_file(build.folder + "/run-id", 64);
    if (!id || !file_exists(build.run_folder())) return std::nullopt;
    if (!build.site.executor.adopt(*id, build.run_folder(), end)) return std::nullopt;
    const auto outcome = await_run(build, *id, end, stop, progress);
    build.site.executor.clean_up(*id, build.run_folder());
    return outcome;
}

bool succeeded(const std::optional<RunOutcome>& outcome) {
    return outcome && outcome->cause == RunOutcome::Cause::Exited && outcome->hosts[0].exit_code == 0;
}

Error stopped() { return {ErrorKind::Conflict, "building the environment was stopped", ""}; }

}  // namespace

std::string prefix_of(std::string_view id) { return std::string(kEnvironmentsInside) + "/" + std::string(id); }

void BuildLog::tell_new_lines(const Environments::Progress& progress) {
    for (;;) {
        const auto events = read_events(path_, offset_, 200, size_t{1} << 20);
        if (!events || events->empty()) return;
        for (const LogEvent& event : *events)
            if (progress && event.message.starts_with("@ ")) progress(event.message.substr(2));
        offset_ = events->back().end;
    }
}

Result<void> build_environment(const BuildSite& site, BuildOrder order, const std::atomic<bool>& stop,
                               const Environments::Progress& progress) {
    const Build build{site, order, site.files.partial(order.record.choice.id)};
    {
        RunEnd end;
        const auto outcome = continue_run(build, end, stop, progress);
        if (succeeded(outcome)) return finish(build, *outcome);
        if (stop.load()) return stopped();
    }
    RunEnd end;
    auto id = start_run(build, end);
    if (!id) {
        static_cast<void>(remove_tree(build.folder).has_value());
        return id.error();
    }
    const auto outcome = await_run(build, *id, end, stop, progress);
    site.executor.clean_up(*id, build.run_folder());
    Result<void> result;
    if (succeeded(outcome))
        result = finish(build, *outcome);
    else
        result = outcome ? failure_of(build, *outcome) : stopped();
    if (!result) static_cast<void>(remove_tree(build.folder).has_value());
    return result;
}

}  // namespace millwright::resources
