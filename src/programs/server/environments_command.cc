#include "programs/server/environments_command.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/time.h"
#include "executors/process/process_executor.h"
#include "programs/server/egress.h"
#include "resources/environments/environments.h"

namespace millwright::programs {
namespace {

using resources::EnvironmentInfo;
using resources::Environments;

std::atomic<bool> interrupted{false};

// What the command works with. The members are in the order in which they are made.
struct Workshop {
    std::unique_ptr<executors::Executor> executor;
    std::unique_ptr<net::EgressProxy> egress;
    std::unique_ptr<Environments> environments;
};

Result<Workshop> open_workshop(const Config& config, const std::string& programs, bool to_build) {
    Workshop shop;
    const std::string launcher = programs + "/millwright-launcher", scratch = config.data_dir + "/jobs";
    TRY(make_directories(scratch, 0700));
    auto probe = TRY(executors::probe_machine({.launcher = launcher, .scratch = scratch}));
    shop.executor = executors::make_process_executor(
        {.launcher = launcher, .probe = std::move(probe), .hidden_paths = {config.data_dir}});
    resources::EnvironmentSettings settings;
    settings.folder = config.environments.empty() ? config.data_dir + "/environments" : config.environments;
    settings.run_folders = {config.data_dir + "/jobs", config.data_dir + "/endpoints"};
    if (to_build) {
        const std::string socket = config.data_dir + "/egress-" + std::to_string(getpid()) + ".sock";
        shop.egress = TRY(start_egress(config, socket));
        if (shop.egress) settings.egress_socket = socket;
    }
    shop.environments = TRY(Environments::open(settings, *shop.executor));
    return shop;
}

std::string size_text(uint64_t bytes) {
    char text[32];
    if (bytes < 1'000'000'000)
        std::snprintf(text, sizeof text, "%.0f MB", static_cast<double>(bytes) / 1e6);
    else
        std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
    return text;
}

std::string time_text(Timestamp time) { return time == Timestamp{} ? "-" : format_iso8601(time); }

Json to_json(const EnvironmentInfo& info) {
    Json packages = Json::array();
    for (const std::string& package : info.packages) packages.push_back(package);
    Json json = Json::object({{"name", info.name},
                              {"id", info.choice.id},
                              {"state", info.state},
                              {"title", info.choice.title},
                              {"requirements", info.requirements}});
    if (info.state == "ready") {
        json.set("bytes", info.bytes);
        json.set("built", format_iso8601(info.built));
        json.set("last_used", format_iso8601(info.last_used));
        json.set("packages", packages);
    }
    return json;
}

void print_table(const std::vector<EnvironmentInfo>& infos) {
    std::printf("%-22s %-10s %8s  %-20s  %-32s  %s\n", "NAME", "STATE", "SIZE", "LAST USED", "ID", "WHAT");
    for (const EnvironmentInfo& info : infos) {
        std::string what = info.choice.title;
        if (!info.requirements.empty()) what += ": " + replace_all(trim(info.requirements), "\n", ", ");
        std::printf("%-22s %-10s %8s  %-20s  %-32s  %s\n", info.name.c_str(), info.state.c_str(),
                    info.state == "ready" ? size_text(info.bytes).c_str() : "-", time_text(info.last_used).c_str(),
                    info.choice.id.c_str(), what.c_str());
    }
}

void print_details(const EnvironmentInfo& info) {
    std::printf("%s\n  id         %s\n  state      %s\n  what       %s\n", info.name.c_str(), info.choice.id.c_str(),
                info.state.c_str(), info.choice.title.c_str());
    if (!info.requirements.empty())
        std::printf("  on top     %s\n", replace_all(trim(info.requirements), "\n", ", ").c_str());
    if (info.state != "ready") return;
    std::printf("  size       %s\n  built      %s\n  last used  %s\n  packages\n", size_text(info.bytes).c_str(),
                time_text(info.built).c_str(), time_text(info.last_used).c_str());
    for (const std::string& package : info.packages) std::printf("    %s\n", package.c_str());
}

void print_infos(const std::vector<EnvironmentInfo>& infos, const EnvironmentsArguments& arguments) {
    if (arguments.json) {
        Json all = Json::array();
        for (const EnvironmentInfo& info : infos) all.push_back(to_json(info));
        std::puts(all.dump().c_str());
    } else if (arguments.action == EnvironmentsArguments::Action::Show) {
        for (const EnvironmentInfo& info : infos) print_details(info);
    } else {
        print_table(infos);
    }
}

bool is_meant(const EnvironmentInfo& info, std::string_view name) {
    return name == info.choice.recipe || name == info.name || info.name.starts_with(std::string(name) + ".") ||
           (name.size() >= 6 && info.choice.id.starts_with(name));
}

Result<void> list(Environments& environments, const EnvironmentsArguments& arguments) {
    std::vector<EnvironmentInfo> infos = environments.list(), chosen;
    if (arguments.names.empty()) chosen = infos;
    for (const std::string& name : arguments.names) {
        const size_t before = chosen.size();
        std::copy_if(infos.begin(), infos.end(), std::back_inserter(chosen),
                     [&](const EnvironmentInfo& info) { return is_meant(info, name); });
        if (chosen.size() == before) return not_found("There is no environment " + name + ".");
    }
    print_infos(chosen, arguments);
    return {};
}

Result<void> build(Environments& environments, const EnvironmentsArguments& arguments) {
    std::string requirements;
    if (!arguments.requirements.empty()) requirements = TRY(read_file(arguments.requirements, size_t{1} << 20));
    for (const std::string& name : arguments.names) {
        const auto image = TRY(resources::image_of_environment_name(name));
        const auto begun = std::chrono::steady_clock::now();
        const auto tell = [&](const std::string& line) {
            const auto spent = std::chrono::steady_clock::now() - begun;
            std::fprintf(stderr, "%6.1f s  %s\n", std::chrono::duration<double>(spent).count(), line.c_str());
        };
        const auto environment = TRY(environments.provide({image, requirements}, interrupted, tell));
        if (!environment.choice.note.empty()) std::fprintf(stderr, "%s\n", environment.choice.note.c_str());
        std::printf("%s  %s\n", environment.choice.id.c_str(), environment.choice.title.c_str());
    }
    return {};
}

}  // namespace

Result<void> run_environments_command(const Config& config, const EnvironmentsArguments& arguments,
                                      const std::string& programs) {
    using Action = EnvironmentsArguments::Action;
    const Workshop shop = TRY(open_workshop(config, programs, arguments.action == Action::Build));
    switch (arguments.action) {
        case Action::List:
        case Action::Show:
            return list(*shop.environments, arguments);
        case Action::Build:
            std::signal(SIGINT, [](int) { interrupted = true; });
            std::signal(SIGTERM, [](int) { interrupted = true; });
            std::signal(SIGPIPE, SIG_IGN);
            return build(*shop.environments, arguments);
        case Action::Remove:
            for (const std::string& name : arguments.names) TRY(shop.environments->remove(name));
            return {};
    }
    return {};
}

}  // namespace millwright::programs
