#include "programs/server/doctor.h"

#include <unistd.h>

#include "base/files.h"
#include "executors/process/probe.h"
#include "programs/server/containers.h"
#include "resources/instance_types/instance_types.h"

namespace millwright::programs {
namespace {

const char* meaning_of(executors::Tier tier) {
    switch (tier) {
        case executors::Tier::T1r:
            return "T1r: namespaces made by root. Jobs get a private /opt/ml, network and limits.";
        case executors::Tier::T1:
            return "T1: namespaces below a user namespace. Jobs get a private /opt/ml and network.";
        case executors::Tier::None:
            return "none: this machine does not let Millwright isolate jobs, so it refuses to run them.";
    }
    return "";
}

void append_steps(std::string& out, const Json& steps) {
    for (const auto& step : steps.items()) {
        out += step["ok"].bool_or(false) ? "  ok      " : "  FAILED  ";
        out += step["tier"].string_or("") + " " + step["step"].string_or("");
        if (const auto error = step["error"].string_or(""); !error.empty()) out += ": " + error;
        out += '\n';
    }
}

const char* wish_text(ContainerEngineWish wish) {
    switch (wish) {
        case ContainerEngineWish::Auto:
            return "auto: an engine where one answers, else none";
        case ContainerEngineWish::Docker:
            return "docker, or nothing";
        case ContainerEngineWish::Podman:
            return "podman, or nothing";
        case ContainerEngineWish::None:
            break;
    }
    return "none: images always run without one";
}

void append_engine(std::string& out, const Result<Json>& engine) {
    if (!engine) {
        out += "  FAILED  " + engine.error().message + "\n";
        return;
    }
    out += "  users   " + (*engine)["users"].string_or("") + "\n";
    out += "  restart " + (*engine)["restart"].string_or("") + "\n";
    for (const auto& what : (*engine)["missing"].items()) out += "  MISSING " + what.string_or("") + "\n";
}

void append_images(std::string& out, const Config& config, const executors::Probe& probe) {
    out += std::string("\nContainer engine (containers.engine): ") + wish_text(config.container_engine) + "\n";
    const auto found = find_engine(config);
    if (found) {
        const bool podman = found->kind == executors::EngineKind::Podman;
        out += std::string("  ok      ") + (podman ? "Podman " : "Docker ") + found->version + ", API " +
               found->api_version + ", at " + found->socket + "\n";
        append_engine(out, executors::describe_engine(found->socket, config.data_dir + kContainers));
    } else {
        out += "  none    " + found.error().message + "\n";
    }
    const bool isolates = probe.tier != executors::Tier::None;
    out += std::string("Images without an engine: ") +
           (!isolates       ? "no, this machine does not let Millwright isolate jobs"
            : probe.overlay ? "yes, layers are unpacked once and mounted"
                            : "yes, layers are unpacked once and copied for each host, because overlayfs is refused") +
           "\n";
    out += "GPUs of NVIDIA: " + std::to_string(resources::nvidia_gpus_here()) +
           (found ? "; containers get those of their instance type\n" : "; given by container engines only\n");
}

}  // namespace

Result<Diagnosis> diagnose(const Config& config, const std::string& launcher) {
    TRY(make_directories(config.data_dir + "/jobs", 0700));
    const auto probe = TRY(executors::probe_machine({.launcher = launcher, .scratch = config.data_dir + "/jobs"}));
    std::string out = "Millwright on this machine, data directory " + config.data_dir + "\n\n";
    out += "Processors: " + std::to_string(sysconf(_SC_NPROCESSORS_ONLN)) +
           ", memory: " + std::to_string((sysconf(_SC_PHYS_PAGES) >> 20) * (sysconf(_SC_PAGESIZE))) + " MiB\n";
    out += std::string("Process executor, tier ") + meaning_of(probe.tier) + "\n";
    append_steps(out, probe.report["steps"]);
    out += std::string("Channels without copying (overlayfs): ") + (probe.overlay ? "yes" : "no, channels are copied") +
           "\n";
    out += std::string("Jobs of several hosts: ") + (probe.network ? "yes" : "no") + "\n";
    for (const auto& [what, how] : probe.report["limits"].members())
        out += "Limit on " + what + " by: " + how.string_or("") + "\n";
    if (!probe.missing.empty()) out += "What is missing: " + probe.missing + "\n";
    append_images(out, config, probe);
    return Diagnosis{out, probe.tier != executors::Tier::None};
}

}  // namespace millwright::programs
