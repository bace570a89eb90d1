#include "executors/process/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "base/strings.h"
#include "executors/process/spawn.h"

namespace millwright::executors {
namespace {

constexpr auto kPatience = std::chrono::seconds(20);

struct Attempt {
    std::vector<std::string> lines;
    int status = -1;
};

// What the pipe gives until its end, bounded in time.
std::string read_all(int fd) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::string text;
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd wait{fd, POLLIN, 0};
        if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) == 0)
            return text + "no probe: it does not end\n";
        char buffer[4096];
        const ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(buffer, static_cast<size_t>(got));
    }
}

Result<Attempt> attempt(const ProbeSettings& settings, const std::string& folder, const char* user) {
    TRY(make_directories(folder + "/lower"));
    for (const char* host : {"/algo-1/ml", "/algo-2/ml"}) TRY(make_directories(folder + host));
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return error_from_errno("cannot make a pipe");
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    SpawnRequest request;
    request.arguments = {settings.launcher, "--probe", user, folder};
    request.output = writing.get();
    const pid_t launcher = TRY(spawn(request));
    writing.reset();
    const std::string text = read_all(reading.get());
    kill(launcher, SIGKILL);  // it has ended, or it hangs
    Attempt result;
    while (waitpid(launcher, &result.status, 0) < 0 && errno == EINTR) {
    }
    for (const std::string_view line : split(text, '\n'))
        if (!line.empty()) result.lines.emplace_back(line);
    return result;
}

// "ok step" or "no step: reason".
void take_steps(Probe& probe, Json& steps, const Attempt& attempt, Tier tier) {
    for (const std::string& line : attempt.lines) {
        if (line.size() < 4) continue;
        const bool good = line.starts_with("ok ");
        const size_t colon = good ? std::string::npos : line.find(": ");
        const std::string step = line.substr(3, colon == std::string::npos ? colon : colon - 3);
        Json entry = Json::object({{"tier", to_string(tier)}, {"step", step}, {"ok", good}});
        if (colon != std::string::npos) entry.set("error", line.substr(colon + 2));
        steps.push_back(std::move(entry));
        if (step == "run" && good) probe.tier = tier;
        if (step == "run with two hosts") probe.network = good;
        if (step == "run with overlay") probe.overlay = good;
        if (step == "run" && !good)
            probe.missing +=
                (probe.missing.empty() ? "" : "; ") + std::string(to_string(tier)) + ": " + line.substr(colon + 2);
    }
    if (attempt.lines.empty()) probe.missing += std::string(to_string(tier)) + ": the launcher does not run";
}

Json report_of(const Probe& probe, Json steps, const std::string& why_no_groups) {
    Json report = Json::object({{"tier", to_string(probe.tier)},
                                {"steps", std::move(steps)},
                                {"overlay", probe.overlay},
                                {"network", probe.network}});
    Json groups = Json::array();
    for (const ControlGroupParent& parent : probe.control_groups.parents)
        groups.push_back(Json::object(
            {{"folder", parent.folder}, {"controllers", parent.controllers}, {"version", parent.version}}));
    report.set("cgroups", std::move(groups));
    if (!why_no_groups.empty()) report.set("cgroups_missing", why_no_groups);
    const auto limit = [&](const char* controller, const char* otherwise) {
        return probe.control_groups.has(controller) ? Json("cgroup") : Json(otherwise);
    };
    report.set(
        "limits",
        Json::object({{"cpu", limit("cpu", "affinity")},
                      {"memory", limit("memory", "watchdog (resident memory, every 200 ms)")},
                      {"processes", limit("pids", geteuid() == 0 && probe.tier == Tier::T1r ? "none" : "rlimit")}}));
    if (!probe.missing.empty()) report.set("missing", probe.missing);
    return report;
}

}  // namespace

const char* to_string(Tier tier) {
    switch (tier) {
        case Tier::None:
            return "none";
        case Tier::T1:
            return "T1";
        case Tier::T1r:
            return "T1r";
    }
    return "none";
}

Result<Probe> probe_machine(const ProbeSettings& settings) {
    const std::string folder = settings.scratch + "/probe-" + std::to_string(getpid());
    Probe probe;
    Json steps = Json::array();
    std::vector<std::pair<Tier, const char*>> tiers = {{Tier::T1, "user"}};
    if (geteuid() == 0) tiers.insert(tiers.begin(), {Tier::T1r, "root"});
    for (const auto& [tier, user] : tiers) {
        const auto tried = attempt(settings, folder, user);
        static_cast<void>(remove_tree(folder).has_value());
        if (!tried) return tried.error();
        take_steps(probe, steps, *tried, tier);
        if (probe.tier != Tier::None) break;
    }
    std::string why;
    if (probe.tier != Tier::None) probe.control_groups = find_control_groups(why);
    probe.report = report_of(probe, std::move(steps), why);
    return probe;
}

}  // namespace millwright::executors
