// millwright: the server and its command line.
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <thread>

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "programs/server/accounts_command.h"
#include "programs/server/backup_command.h"
#include "programs/server/check_command.h"
#include "programs/server/config.h"
#include "programs/server/cost_command.h"
#include "programs/server/doctor.h"
#include "programs/server/environment.h"
#include "programs/server/environments_command.h"
#include "programs/server/images_build_command.h"
#include "programs/server/images_command.h"
#include "programs/server/jobs_command.h"
#include "programs/server/server.h"
#include "resources/training_jobs/request_members.h"

namespace millwright::programs {
namespace {

constexpr std::chrono::seconds kLongestStop{15};

int failed(const Error& failure) {
    std::fprintf(stderr, "millwright: %s%s%s\n", failure.message.c_str(), failure.detail.empty() ? "" : ": ",
                 failure.detail.c_str());
    return 1;
}

log::Level level_of(const std::string& name) {
    if (name == "debug") return log::Level::Debug;
    if (name == "warning") return log::Level::Warning;
    return name == "error" ? log::Level::Error : log::Level::Info;
}

void end_the_process_unless(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, kLongestStop, [] { return false; });
    if (stop.stop_requested()) return;
    log::warning("a step takes too long; the next start does it again");
    _exit(0);
}

Result<void> serve(const Config& config) {
    log::set_level(level_of(config.log_level));
    // Every thread inherits this, so that only the wait below sees the signals.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    auto server = TRY(Server::open(config, folder_of_this_program()));
    TRY(server->listen());
    int received = 0;
    sigwait(&ending, &received);
    log::info("stopping; jobs go on and are taken over at the next start");
    // Every step survives a kill, so a thread in a long one (packing a large model) need not be waited for.
    const std::jthread limit([](const std::stop_token& stop) { end_the_process_unless(stop); });
    server.reset();
    return {};
}

int print(const Result<std::string>& text) {
    if (!text) return failed(text.error());
    std::fputs(text->c_str(), stdout);
    return 0;
}

void add_cost_options(CLI::App& command, CostArguments& arguments) {
    command.add_option("--by", arguments.by, "A line per job, user, day, or tag and its KEY")->expected(1, 2);
    command.add_option("--since", arguments.since, "Jobs that ended on this day (UTC) or later");
    command.add_option("--until", arguments.until, "Jobs that ended on this day or earlier");
    command.add_option("--region", arguments.region, "Jobs of this region only");
    command.add_option("--as", arguments.as, "Also what it would have cost on this instance type");
    command.add_flag("--json", arguments.json, "As JSON");
    command.add_flag("--csv", arguments.csv, "As CSV");
}

void add_jobs_commands(CLI::App& jobs, JobsArguments& arguments) {
    using Action = JobsArguments::Action;
    jobs.require_subcommand(1);
    jobs.add_option("--region", arguments.region, "Jobs of this region, not the server's");
    const auto add = [&](const char* name, const char* about, Action action) {
        auto* command = jobs.add_subcommand(name, about);
        command->fallthrough();  // --data-dir and --region may come behind
        command->callback([&arguments, action] { arguments.action = action; });
        if (action != Action::List) command->add_option("NAME", arguments.name, "The training job")->required();
        return command;
    };
    auto* list = add("list", "The latest training jobs", Action::List);
    auto* show = add("show", "What a job does, or why it failed, where, and what to try", Action::Show);
    add("stop", "Stop a job, as StopTrainingJob does", Action::Stop);
    add("interrupt", "Take the spot instances of a job away; it goes on from its checkpoints", Action::Interrupt);
    auto* logs = add("logs", "Print what a host of a job wrote", Action::Logs);
    auto* enter = add("enter", "Open a shell in a job that runs, or in what a failed one left behind", Action::Enter);
    for (auto* command : {list, show}) command->add_flag("--json", arguments.json, "As JSON");
    for (auto* command : {logs, enter})
        command->add_option("--host", arguments.host, "Number N of algo-N; default: the one that failed, or 1")
            ->check(CLI::PositiveNumber);
    logs->add_flag("-f,--follow", arguments.follow, "Go on until the job has ended");
    enter->add_option("COMMAND", arguments.command, "Instead of a shell; put -- before it");
}

void add_accounts_commands(CLI::App& accounts, AccountsArguments& arguments) {
    accounts.require_subcommand(1);
    accounts.add_flag("--json", arguments.json, "As JSON");
    accounts.add_subcommand("list", "Account ids and names")->fallthrough();
    auto* create = accounts.add_subcommand("create", "Make an account and print its root keys, this once");
    create->fallthrough();  // --data-dir and --json may come behind
    create->add_option("NAME", arguments.name, "A name that no other account has")->required();
    create->callback([&arguments] { arguments.create = true; });
}

void add_environments_commands(CLI::App& environments, EnvironmentsArguments& arguments) {
    using Action = EnvironmentsArguments::Action;
    environments.require_subcommand(1);
    const auto add = [&](const char* name, const char* about, Action action) {
        auto* command = environments.add_subcommand(name, about);
        command->fallthrough();  // --data-dir may come behind
        command->callback([&arguments, action] { arguments.action = action; });
        auto* names = command->add_option("NAME", arguments.names, "pytorch, tensorflow-2.15, an image URI, or an id");
        if (action != Action::List) names->required();
        return command;
    };
    auto* list = add("list", "Those that are built, and those that could be", Action::List);
    auto* build = add("build", "Build now what a first job would wait for", Action::Build);
    auto* show = add("show", "Its packages, and how large it is", Action::Show);
    add("remove", "Remove it, and those with a requirements.txt on top of it", Action::Remove);
    for (auto* command : {list, show}) command->add_flag("--json", arguments.json, "As JSON");
    build->add_option("--requirements", arguments.requirements, "A requirements.txt to install on top");
}

CLI::App* add_images_build_command(CLI::App& images, ImagesBuildArguments& arguments) {
    auto* build =
        images.add_subcommand("build", "Make the images of frameworks with the container engine of this machine");
    build->fallthrough();  // --data-dir may come behind
    build->add_option("NAME", arguments.names,
                      "pytorch, tensorflow-2.15, an image URI, base, algorithms; default: all");
    build->add_option("--base", arguments.base, "What they are made from: Debian 12 or made from it")
        ->capture_default_str();
    build->add_option("--network", arguments.network, "Of the steps of a build")->capture_default_str();
    build->add_option("--context", arguments.context,
                      "Build nothing; write what one image is built from to this folder");
    build->add_flag("--gpu", arguments.gpu, "With the packages for GPUs where there are some");
    build->add_flag("--no-cache", arguments.no_cache, "Also what is up to date");
    build->add_flag("--use", arguments.use, "Jobs and models that name AWS's images of the framework get these");
    return build;
}

void add_images_commands(CLI::App& images, ImagesArguments& arguments) {
    using Action = ImagesArguments::Action;
    const auto add = [&](const char* name, const char* about, Action action) {
        auto* command = images.add_subcommand(name, about);
        command->fallthrough();  // --data-dir may come behind
        command->callback([&arguments, action] { arguments.action = action; });
        return command;
    };
    auto* list = add("list", "Those of the registry, imported and built ones, and what names stand for", Action::List);
    list->add_flag("--json", arguments.json, "As JSON");
    auto* alias = add("alias", "Say what an image URI of a job or model stands for, or show it", Action::Alias);
    auto* name = alias->add_option("NAME", arguments.name, "A URI, or its end, with or without the tag");
    auto* target = alias->add_option("IMAGE", arguments.target, "What is run in its place")->needs(name);
    alias->add_flag("--remove", arguments.remove, "NAME stands for itself again")->needs(name)->excludes(target);
    auto* import = add("import", "Take an image from a file of `docker save`, or an OCI layout", Action::Import);
    import->add_option("FILE", arguments.file, "An archive, or a folder with a layout")->required();
    import->add_option("NAME", arguments.name, "What to call it, if the file does not say");
    auto* remove = add("remove", "Remove imported and built images, and tags of the registry", Action::Remove);
    remove->add_option("NAME", arguments.names, "As `list` shows it");
    remove->add_flag("--unused", arguments.unused, "And unpacked layers that no run uses");
}

int run(int argc, char** argv) {
    CLI::App app("Millwright: SageMaker on your own machines");
    app.set_version_flag("--version", MILLWRIGHT_VERSION);
    app.require_subcommand(1);
    app.failure_message(CLI::FailureMessage::help);
    std::string data_dir = default_data_dir(), listen;
    bool markdown = false, training_members = false;

    const auto subcommand = [&](const char* name, const char* about) {
        auto* added = app.add_subcommand(name, about);
        added->add_option("--data-dir", data_dir, "Where all state lives")->capture_default_str();
        return added;
    };
    auto* serve_command = subcommand("serve", "Run the server in the foreground");
    const auto* listen_option =
        serve_command->add_option("--listen", listen, "HOST:PORT, default 127.0.0.1:9770; port 0 takes a free one");
    auto* env_command =
        subcommand("env", "Print the variables that point AWS code at the server: eval \"$(millwright env)\"");
    bool proxy = false;
    env_command->add_flag("--proxy", proxy,
                          "Also send calls to fixed AWS hosts (STS of the SDKs, telemetry) through the server's proxy");
    auto* doctor_command = subcommand("doctor", "Find out what this machine lets Millwright do");
    auto* operations_command = subcommand("operations", "List every operation of every service spoken, as JSON");
    operations_command->add_flag("--markdown", markdown, "As Markdown tables");
    operations_command->add_flag("--training-members", training_members,
                                 "Instead: what becomes of every member of a CreateTrainingJob request");
    CostArguments cost;
    auto* cost_command = subcommand("cost", "What training jobs have cost, and would have cost on AWS");
    add_cost_options(*cost_command, cost);
    JobsArguments jobs;
    auto* jobs_command = subcommand("jobs", "Look at training jobs, and act on them");
    add_jobs_commands(*jobs_command, jobs);
    EnvironmentsArguments environments;
    auto* environments_command = subcommand("environments", "The Python environments in the place of framework images");
    add_environments_commands(*environments_command, environments);
    auto* images_command = subcommand("images", "The images of containers");
    images_command->require_subcommand(1);
    ImagesBuildArguments images_build;
    ImagesArguments images;
    add_images_commands(*images_command, images);
    auto* images_build_command = add_images_build_command(*images_command, images_build);
    BackupArguments backup;
    auto* backup_command = subcommand("backup", "Copy all state to a new folder, while the server runs or not");
    backup_command->add_option("DEST", backup.destination, "A folder that is not there yet")->required();
    backup_command->add_flag("--json", backup.json, "As JSON");
    CheckArguments check;
    auto* check_command = subcommand("check", "Find out whether the data directory is sound; exits with 1 if not");
    check_command->add_flag("--deep", check.deep, "Read all objects and compare their MD5");
    check_command->add_flag("--repair-orphans", check.repair_orphans, "Remove files that no object has");
    check_command->add_flag("--json", check.json, "As JSON");
    AccountsArguments accounts;
    auto* accounts_command = subcommand("accounts", "Further accounts, with root keys of their own");
    add_accounts_commands(*accounts_command, accounts);
    CLI11_PARSE(app, argc, argv);

    auto config = load_config(data_dir);
    if (!config) return failed(config.error());
    if (listen_option->count() > 0)
        if (auto outcome = set_listen(*config, listen); !outcome) return failed(outcome.error());

    if (serve_command->parsed()) {
        const auto outcome = serve(*config);
        return outcome ? 0 : failed(outcome.error());
    }
    if (env_command->parsed()) {
        const auto text = shell_environment(*config, proxy ? ProxyVariables::Intercept : ProxyVariables::None);
        if (!text) return failed(text.error());
        std::fputs(text->c_str(), stdout);
        return 0;
    }
    if (doctor_command->parsed()) {
        const auto diagnosis = diagnose(*config, folder_of_this_program() + "/millwright-launcher");
        if (!diagnosis) return failed(diagnosis.error());
        std::fputs(diagnosis->text.c_str(), stdout);
        return diagnosis->can_run_jobs ? 0 : 2;
    }
    if (cost_command->parsed()) return print(cost_text(*config, cost));
    if (accounts_command->parsed()) return print(accounts_text(*config, accounts));
    if (backup_command->parsed()) return print(make_backup(*config, backup));
    if (check_command->parsed()) {
        const auto report = check_data_directory(*config, check);
        if (!report) return failed(report.error());
        std::fputs(report->text.c_str(), stdout);
        return report->sound ? 0 : 1;
    }
    if (jobs_command->parsed()) {
        const auto outcome = run_jobs_command(*config, jobs, folder_of_this_program() + "/millwright-launcher");
        return outcome ? *outcome : failed(outcome.error());
    }
    if (environments_command->parsed()) {
        const auto outcome = run_environments_command(*config, environments, folder_of_this_program());
        return outcome ? 0 : failed(outcome.error());
    }
    if (images_build_command->parsed()) {
        const auto outcome = run_images_build_command(*config, images_build, folder_of_this_program());
        return outcome ? 0 : failed(outcome.error());
    }
    if (images_command->parsed()) {
        const auto outcome = run_images_command(*config, images);
        return outcome ? 0 : failed(outcome.error());
    }
    if (operations_command->parsed() && training_members) {
        std::puts(resources::describe_training_request_members().dump().c_str());
        return 0;
    }
    if (operations_command->parsed()) {
        const auto text = list_operations(markdown ? OperationsFormat::Markdown : OperationsFormat::Json);
        if (!text) return failed(text.error());
        std::fputs(text->c_str(), stdout);
        return 0;
    }
    return 1;
}

}  // namespace
}  // namespace millwright::programs

int main(int argc, char** argv) { return millwright::programs::run(argc, argv); }
