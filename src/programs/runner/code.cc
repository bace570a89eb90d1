#include "programs/runner/code.h"

#include <dirent.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::runner {
namespace {

using script_mode::ScriptCommand;
using script_mode::TrainingEnvironment;

constexpr size_t kMaxNamesTold = 20;

StepFailure client_error(const std::string& message) { return {1, "ClientError: " + message}; }

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder.c_str()), closedir);
    while (const dirent* entry = open ? readdir(open.get()) : nullptr) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") out.push_back(name);
    }
    std::sort(out.begin(), out.end());
    return out;
}

// "a.py, b.py and 3 more"
std::string told(std::vector<std::string> names) {
    const size_t count = names.size();
    if (count == 0) return "nothing";
    names.resize(std::min(count, kMaxNamesTold));
    return join(names, ", ") + (count > kMaxNamesTold ? " and " + std::to_string(count - kMaxNamesTold) + " more" : "");
}

Result<void, StepFailure> run_step(const char* error_class, const Command& command) {
    script_mode::ErrorTail tail;
    auto errors = ErrorPipe::make();
    if (!errors) return StepFailure{1, "InternalServerError: " + errors.error().message};
    const auto exit = run_in_foreground(command, *errors, tail);
    if (!exit && exit.error().kind == ErrorKind::Conflict) return StepFailure{1, ""};  // to stop
    if (!exit) return client_error(exit.error().message);
    if (!exit->failed()) return {};
    const script_mode::ScriptEnd end{exit->code, exit->signal, join(command.arguments, " "), command.folder};
    return StepFailure{exit->code, script_mode::failure_text(error_class, tail, end)};
}

// Python would fetch setuptools for the build otherwise, which takes a network.
bool has_setuptools(const std::string& python) {
    const std::string prefix = python.substr(0, python.rfind("/bin/"));
    glob_t found{};
    const bool has = glob((prefix + "/lib/python3*/site-packages/setuptools").c_str(), 0, nullptr, &found) == 0;
    globfree(&found);
    return has;
}

Result<void, StepFailure> install(const TrainingEnvironment& environment, const Variables& variables, bool package) {
    const std::string code = environment.code_folder();
    const auto wanted = variables.find("MILLWRIGHT_INSTALL_REQUIREMENTS");
    const bool requirements =
        wanted != variables.end() && wanted->second == "1" && file_exists(code + "/requirements.txt");
    if (!package && !requirements) return {};
    if (variables.contains("CA_REPOSITORY_ARN"))
        return client_error(
            "CA_REPOSITORY_ARN is set, but there is no CodeArtifact here; remove it, or set PIP_INDEX_URL");
    std::vector<std::string> arguments = {
        environment.machine.python, "-m", "pip", "install", "--disable-pip-version-check", "--root-user-action=ignore"};
    if (package && !file_exists(code + "/pyproject.toml") && has_setuptools(environment.machine.python))
        arguments.push_back("--no-build-isolation");
    if (package) arguments.push_back(".");
    if (requirements) arguments.insert(arguments.end(), {"-r", "requirements.txt"});
    return run_step(package ? "InstallModuleError" : "InstallRequirementsError", {arguments, variables, code});
}

}  // namespace

Result<void, StepFailure> bring_code(const TrainingEnvironment& environment) {
    const std::string code = environment.code_folder();
    if (const auto made = make_directories(code); !made) return client_error(made.error().message);
    if (!names_in(code).empty()) return {};
    const std::string& source = environment.submit_directory;
    if (source == code)
        return client_error("there is no code: " + code +
                            " is empty, and hyperparameter sagemaker_submit_directory names no other place");
    if (environment.machine.python.empty())
        return client_error("there is no Python to fetch the code " + source + " with");
    Variables variables = environment.machine.variables;
    if (!environment.machine.toolkit.empty()) variables["PYTHONPATH"] = environment.machine.toolkit;
    return run_step("ClientError",
                    {{environment.machine.python, "-m", "millwright_fetch", source, code}, variables, "/"});
}

Result<ScriptCommand, StepFailure> prepare_script(const TrainingEnvironment& environment,
                                                  const std::vector<std::string>& arguments,
                                                  const Variables& variables) {
    const std::string code = environment.code_folder();
    const std::string& program = environment.program;
    if (program.empty())
        return client_error(
            "nothing to run: neither hyperparameter sagemaker_program nor variable SAGEMAKER_PROGRAM is set");
    const bool python = program.ends_with(".py");
    const bool package = !program.ends_with(".sh") && file_exists(code + "/setup.py");
    if (!package && !file_exists(code + "/" + program))
        return client_error("the code has no " + program + " (hyperparameter sagemaker_program); it has " +
                            told(names_in(code)));
    ScriptCommand script;
    script.arguments = arguments;
    if (!package && !python) {
        const std::string path = code + "/" + program;
        chmod(path.c_str(), 0777);
        script.kind = ScriptCommand::Kind::Shell;
        script.target = "./" + program;
        script.command = {script.target};
    } else {
        if (environment.machine.python.empty()) return client_error("there is no Python in this environment");
        if (const auto installed = install(environment, variables, package); !installed) return installed.error();
        if (script_mode::splits_arguments(environment.framework))
            script.arguments = script_mode::split_as_shell(arguments);
        script.kind = package ? ScriptCommand::Kind::PythonModule : ScriptCommand::Kind::PythonScript;
        script.target = package ? replace_all(program, ".py", "") : program;
        script.command = {environment.machine.python};
        if (package) script.command.push_back("-m");
        script.command.push_back(script.target);
    }
    script.command.insert(script.command.end(), script.arguments.begin(), script.arguments.end());
    return script;
}

}  // namespace millwright::runner
