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
#include "programs/server/config.h"
#include "programs/server/doctor.h"
#include "programs/server/environment.h"
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
    auto* doctor_command = subcommand("doctor", "Find out what this machine lets Millwright do");
    auto* operations_command = subcommand("operations", "List every operation of every service spoken, as JSON");
    operations_command->add_flag("--markdown", markdown, "As Markdown tables");
    operations_command->add_flag("--training-members", training_members,
                                 "Instead: what becomes of every member of a CreateTrainingJob request");
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
        const auto text = shell_environment(*config);
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
