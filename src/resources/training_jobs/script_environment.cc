#include "resources/training_jobs/script_environment.h"

#include <algorithm>
#include <string_view>

#include "base/files.h"
#include "base/strings.h"
#include "executors/contract/archive.h"

namespace millwright::resources {
namespace {

constexpr size_t kMaxRequirementsBytes = size_t{1} << 20;
constexpr executors::ArchiveLimits kCodeLimits{
    .max_bytes = uint64_t{4} << 30, .max_entries = 100'000, .max_ratio = 500, .ratio_floor_bytes = uint64_t{64} << 20};

Result<object_store::OpenObject> open_code(object_store::ObjectStore& objects, const object_store::S3Uri& uri) {
    auto object = objects.get(uri.bucket, uri.key);
    if (object || object.error().kind != ErrorKind::NotFound) return object;
    return not_found("Cannot find the source code s3://" + uri.bucket + "/" + uri.key +
                     " (sagemaker_submit_directory). Please ensure that the object exists.");
}

Error bad_code(const object_store::S3Uri& uri, const Error& error) {
    return {error.kind, "Cannot unpack the source code s3://" + uri.bucket + "/" + uri.key + ": " + error.message,
            error.detail};
}

// Empty when the code has none.
Result<std::string> read_requirements(object_store::ObjectStore& objects, const object_store::S3Uri& uri) {
    const auto object = TRY(open_code(objects, uri));
    const Fd archive = TRY(object.descriptor());
    auto text = executors::read_archive_member(archive.get(), "requirements.txt", kMaxRequirementsBytes);
    if (text) return text;
    if (text.error().kind == ErrorKind::NotFound) return std::string();
    return bad_code(uri, text.error());
}

bool is_version(std::string_view text) {
    constexpr std::string_view kAllowed = "0123456789.abcdefghijklmnopqrstuvwxyz";
    return !text.empty() && text.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string remote_function_requirements(const TrainingCommand& command) {
    constexpr std::string_view kBootstrap = "/opt/ml/input/data/sagemaker_remote_function_bootstrap/";
    const auto& entrypoint = command.entrypoint;
    const auto bootstraps = [&](const std::string& word) { return word.starts_with(kBootstrap); };
    if (std::none_of(entrypoint.begin(), entrypoint.end(), bootstraps)) return "";
    const auto& words = command.arguments;
    const auto name = std::find(words.begin(), words.end(), "--client_sagemaker_pysdk_version");
    if (name == words.end() || name + 1 == words.end() || !is_version(name[1])) return "";
    const std::vector<std::string_view> version = split(name[1], '.');
    if (version[0] == "2") return "sagemaker==" + name[1] + "\n";
    // Version 3.N of the SDK has the functions' side in sagemaker-core 2.N; the rest of it is not needed in a job.
    if (version[0] == "3" && version.size() > 1) return "sagemaker-core==2." + std::string(version[1]) + ".*\n";
    return "";
}

Result<ScriptEnvironment> provide_script_environment(object_store::ObjectStore& objects, Environments& environments,
                                                     const TrainingCommand& command, const std::atomic<bool>& stop,
                                                     const Environments::Progress& progress) {
    EnvironmentWish wish{*command.framework, ""};
    ScriptEnvironment script;
    // A command of its own installs what it wants itself.
    wish.requirements = remote_function_requirements(command);
    if (command.entrypoint.empty() && command.arguments.empty()) {
        if (command.submit_directory) {
            wish.requirements = TRY(read_requirements(objects, *command.submit_directory));
            script.install_requirements = !can_be_shared(wish.requirements);
            if (script.install_requirements) wish.requirements.clear();
        } else {
            script.install_requirements = true;
        }
    }
    if (auto ready = environments.find(wish)) {
        script.environment = std::move(*ready);
        return script;
    }
    script.environment = TRY(environments.provide(wish, stop, progress));
    return script;
}

Result<executors::Mount> stage_code(object_store::ObjectStore& objects, const TrainingCommand& command,
                                    const std::string& folder) {
    const auto& uri = *command.submit_directory;
    const auto object = TRY(open_code(objects, uri));
    const auto code = folder + "/shared/code";
    TRY(make_directories(code));
    const Fd archive = TRY(object.descriptor());
    if (auto done = executors::extract_archive(archive.get(), object.info.size, code, kCodeLimits); !done) {
        if (done.error().kind == ErrorKind::Internal) return done.error();
        return bad_code(uri, done.error());
    }
    return executors::Mount{code, kCodeInside, executors::Mount::Mode::Overlay};
}

}  // namespace millwright::resources
