#include "resources/training_jobs/script_environment.h"

#include "base/files.h"
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
    auto text = executors::read_archive_member(object.fd.get(), "requirements.txt", kMaxRequirementsBytes);
    if (text) return text;
    if (text.error().kind == ErrorKind::NotFound) return std::string();
    return bad_code(uri, text.error());
}

}  // namespace

Result<ScriptEnvironment> provide_script_environment(object_store::ObjectStore& objects, Environments& environments,
                                                     const TrainingCommand& command, const std::atomic<bool>& stop,
                                                     const Environments::Progress& progress) {
    EnvironmentWish wish{*command.framework, ""};
    ScriptEnvironment script;
    // A command of its own installs what it wants itself.
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
    if (auto done = executors::extract_archive(object.fd.get(), object.info.size, code, kCodeLimits); !done) {
        if (done.error().kind == ErrorKind::Internal) return done.error();
        return bad_code(uri, done.error());
    }
    return executors::Mount{code, kCodeInside, executors::Mount::Mode::Overlay};
}

}  // namespace millwright::resources
