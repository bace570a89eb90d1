#include "programs/runner/train.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "base/files.h"
#include "base/strings.h"
#include "programs/runner/code.h"
#include "programs/runner/machine.h"
#include "programs/runner/network_wait.h"
#include "programs/runner/process.h"
#include "script_mode/distribution.h"
#include "script_mode/failure_text.h"
#include "script_mode/training_environment.h"
#include "script_mode/warm_interpreter.h"

namespace millwright::runner {
namespace {

using script_mode::LaunchPlan;
using script_mode::ScriptCommand;
using script_mode::TrainingEnvironment;

constexpr std::chrono::seconds kNamesLimit{900};
constexpr int kStopped = 128 + SIGTERM;
// FailureReason has 1024 characters, and adds its own: the kind of error, exit code, place in the log, and for signals
// what the kernel had to say.
constexpr size_t kShortFailure = 700, kFailure = 870;

// What ended the host before its script could: for the failure file, and the exit code.
using Step = Result<void, StepFailure>;

StepFailure internal_failure(const Error& error) {
    if (error.kind == ErrorKind::Conflict) return {kStopped, ""};
    return {1, (error.kind == ErrorKind::InvalidInput ? "ClientError: " : "InternalServerError: ") + error.message +
                   (error.detail.empty() ? "" : " (" + error.detail + ")")};
}

StepFailure not_started(const Error& error) {
    return error.kind == ErrorKind::Conflict ? internal_failure(error)
                                             : StepFailure{127, "ClientError: " + error.message};
}

std::string base_folder(const Variables& variables) {
    const auto given = variables.find("SAGEMAKER_BASE_DIR");
    return given == variables.end() || given->second.empty() ? "/opt/ml" : given->second;
}

Result<TrainingEnvironment> look_around() {
    script_mode::Machine machine = look_at_machine();
    const std::string base = base_folder(machine.variables);
    const std::string config = base + "/input/config/";
    script_mode::ConfigFiles files;
    files.hyperparameters = TRY(read_file(config + "hyperparameters.json"));
    files.input_data = TRY(read_file(config + "inputdataconfig.json"));
    files.resources = TRY(read_file(config + "resourceconfig.json"));
    const auto framework = machine.variables.find("MILLWRIGHT_FRAMEWORK");
    return script_mode::read_environment(
        script_mode::framework_of(framework == machine.variables.end() ? "" : framework->second), base, files, machine);
}

// The script may have explained itself; then that counts.
void write_failure(const std::string& base, const std::string& text) {
    static_cast<void>(make_directories(base + "/output").has_value());
    const auto file = open_file(base + "/output/failure", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
    if (file) static_cast<void>(write_all(file->get(), text).has_value());
}

Step write_files(const LaunchPlan& plan) {
    for (const auto& file : plan.files) {
        auto written = make_directories(file.path.substr(0, file.path.rfind('/')));
        unlink(file.path.c_str());  // a new file gets the mode
        if (written) written = write_file(file.path, file.content, static_cast<mode_t>(file.mode));
        if (!written) return internal_failure(written.error());
    }
    return {};
}

std::string this_program() {
    char path[4096];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    return {path, static_cast<size_t>(std::max<ssize_t>(size, 0))};
}

// "/opt/millwright/environments/<id>"; empty for any other interpreter.
std::string environment_prefix(const TrainingEnvironment& environment) {
    const std::string& python = environment.machine.python;
    return python.starts_with("/opt/millwright/") ? python.substr(0, python.rfind("/bin/")) : "";
}

class Host {
  public:
    explicit Host(TrainingEnvironment environment) : environment_(std::move(environment)) {}

    // The exit of the script, when it came that far.
    Result<Exit, StepFailure> run() {
        TRY(bring_code(environment_));
        const std::vector<std::string> arguments = script_mode::script_arguments(environment_.hyperparameters);
        for (const std::string& argument : arguments)
            if (argument.find('\0') != std::string::npos)
                return StepFailure{
                    1, "ClientError: a hyperparameter contains a NUL character, which no argument can hold"};
        variables_ = environment_.machine.variables;
        for (auto& [name, value] : script_variables(environment_, arguments)) variables_[name] = value;
        const ScriptCommand script = TRY(prepare_script(environment_, arguments, variables_));
        TRY(wait_for_hosts());
        const auto plan = plan_launch(environment_, script);
        if (!plan) return internal_failure(plan.error());
        for (const auto& [name, value] : plan->environment) variables_[name] = value;
        TRY(write_files(*plan));
        const bool stands_ready = variables_.contains(script_mode::kWarmVariable);
        may_be_warm_ = stands_ready && script.kind == ScriptCommand::Kind::PythonScript &&
                       plan->main.command == script.command && !variables_.contains("MILLWRIGHT_INSTALL_REQUIREMENTS");
        if (stands_ready && !may_be_warm_) script_mode::dismiss_warm_interpreter();
        return launch(*plan);
    }

  private:
    Step wait_for_hosts() {
        const auto studio = variables_.find("SM_STUDIO_LOCAL_MODE");
        if (studio != variables_.end() && equals_ignoring_case(studio->second, "true")) return {};
        if (environment_.hosts.size() == 1) return {};
        const auto waited = wait_for_names(environment_.hosts, kNamesLimit);
        return waited ? Step() : internal_failure(waited.error());
    }

    Command command_of(const script_mode::Process& process) const {
        Command out{process.command, variables_, process.folder.empty() ? environment_.code_folder() : process.folder};
        for (const auto& [name, value] : process.environment) out.variables[name] = value;
        return out;
    }

    Result<Exit, StepFailure> launch(const LaunchPlan& plan) {
        auto errors = ErrorPipe::make();
        if (!errors) return internal_failure(errors.error());
        std::vector<Background> helpers;
        std::vector<const Background*> essential;
        helpers.reserve(plan.before.size());
        for (const auto& process : plan.before) {
            auto started = Background::start(command_of(process), process.essential ? errors->writing_end() : -1);
            if (!started) return internal_failure(started.error());
            helpers.push_back(std::move(*started));
            if (process.essential) essential.push_back(&helpers.back());
        }
        for (const auto& peer : plan.peers)
            if (const auto waited = wait_for_peer(peer); !waited) return internal_failure(waited.error());
        if (stop_requested()) return StepFailure{kStopped, ""};

        script_mode::ErrorTail tail;
        Command main = command_of(plan.main);
        // An interpreter stands ready, and nothing was installed that it would have to see.
        if (may_be_warm_) main.arguments.insert(main.arguments.begin(), {this_program(), "warm"});
        const auto exit = run_in_foreground(main, *errors, tail, essential);
        for (const Background& helper : helpers)
            kill(helper.pid(), SIGTERM);  // all at once; they are awaited one by one
        if (!exit) return not_started(exit.error());
        if (exit->failed() && !stop_requested()) {
            if (tail.last_lines().empty() && !plan.launcher.empty()) {
                tail.add(plan.launcher + " ended with exit code " + std::to_string(exit->code) + " and no words");
                tail.finish();
            }
            const script_mode::ScriptEnd end{exit->code, exit->signal, join(plan.main.command, " "),
                                             environment_.code_folder(), environment_prefix(environment_)};
            write_failure(environment_.base, script_mode::failure_text("ExecuteUserScriptError", tail, end,
                                                                       exit->signal != 0 ? kShortFailure : kFailure));
        }
        return *exit;
    }

    TrainingEnvironment environment_;
    Variables variables_;
    bool may_be_warm_ = false;
};

int end_with(const Exit& exit) {
    if (exit.signal == 0) return exit.code;
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    signal(exit.signal, SIG_DFL);
    raise(exit.signal);
    return exit.code;  // as process 1, which such signals do not end
}

int end_with(const std::string& base, const StepFailure& failure) {
    if (stop_requested() || failure.text.empty()) return kStopped;
    static_cast<void>(write_all(STDERR_FILENO, "millwright-runner: " + failure.text + "\n").has_value());
    write_failure(base, failure.text);
    return failure.exit_code;
}

}  // namespace

int train() {
    forward_signals();
    auto environment = look_around();
    if (!environment) {
        const char* given = getenv("SAGEMAKER_BASE_DIR");
        return end_with(given == nullptr ? "/opt/ml" : given, internal_failure(environment.error()));
    }
    const std::string base = environment->base;
    const auto exit = Host(std::move(*environment)).run();
    if (!exit) return end_with(base, exit.error());
    if (!exit->failed()) static_cast<void>(write_file(base + "/output/success", "").has_value());
    return end_with(*exit);
}

}  // namespace millwright::runner
