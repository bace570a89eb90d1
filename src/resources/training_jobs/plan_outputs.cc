#include "resources/training_jobs/plan_outputs.h"

#include "executors/contract/local_path.h"
#include "resources/training_jobs/plan_channels.h"
#include "resources/training_jobs/request_members.h"

namespace millwright::resources {
namespace {

using executors::LiveOutput;

struct Kind {
    const char* member;      // of the request
    const char* config;      // of /opt/ml/input/config
    const char* sub_prefix;  // below <S3OutputPath>/<job>/
    const char* local_path;  // unless LocalPath says otherwise
    bool tells_local_path;   // in the configuration file
};

constexpr Kind kKinds[] = {
    {"DebugHookConfig", "debughookconfig", "debug-output", "/opt/ml/output/tensors", true},
    {"TensorBoardOutputConfig", "tensorboardoutputconfig", "tensorboard-output", "/opt/ml/output/tensorboard", true},
    {"ProfilerConfig", "profilerconfig", "profiler-output", "/opt/ml/output/profiler", false},
};

constexpr std::string_view kOutput = "/opt/ml/output/";

bool overlap(const std::string& a, const std::string& b) {
    return (a + "/").starts_with(b + "/") || (b + "/").starts_with(a + "/");
}

// Inside /opt/ml/output the job's own folder is read; elsewhere a folder of the run is shown.
Result<LiveOutput> place(const Kind& kind, const std::string& asked, const executors::TrainingDescription& training) {
    const auto member = std::string(kind.member) + ".LocalPath";
    LiveOutput output;
    auto path = TRY(executors::clean_local_path(asked.empty() ? kind.local_path : asked));
    path = "/" + path;
    if (!asked.empty() && asked.front() != '/')
        return invalid_input(member + " '" + asked + "' must be an absolute path.");
    if (path.starts_with(kOutput)) {
        output.inside = path.substr(std::string_view("/opt/ml/").size());
        return output;
    }
    output.mount_at = TRY(executors::check_checkpoint_path(path, member));
    const auto taken = [&](const std::string& other) {
        return invalid_input(member + " '" + path + "' overlaps '" + other + "', which is uploaded, too.");
    };
    if (training.checkpoints && overlap(path, training.checkpoints->local_path))
        return taken(training.checkpoints->local_path);
    for (const auto& other : training.live_outputs) {
        if (!other.mount_at.empty() && overlap(path, other.mount_at)) return taken(other.mount_at);
    }
    return output;
}

Json config_of(const Kind& kind, const Json& asked) {
    auto config = asked;
    if (kind.tells_local_path && !config.has("LocalPath")) config.set("LocalPath", kind.local_path);
    if (std::string_view(kind.member) != "DebugHookConfig") return config;
    if (!config.has("HookParameters")) config.set("HookParameters", Json::object());
    if (!config.has("CollectionConfigurations")) config.set("CollectionConfigurations", Json::array());
    return config;
}

}  // namespace

Result<void> plan_live_outputs(const Json& request, executors::TrainingDescription& training) {
    for (const auto& kind : kKinds) {
        const auto& asked = request[kind.member];
        if (!asked.is_object()) continue;
        training.further_configs.emplace_back(kind.config, config_of(kind, asked));
        const auto uri = asked["S3OutputPath"].string_or("");
        if (asked["DisableProfiler"].bool_or(false) || uri.empty()) continue;
        auto output = TRY(place(kind, asked["LocalPath"].string_or(""), training));
        output.uri = TRY(parse_s3_member(uri, std::string(kind.member) + ".S3OutputPath"));
        auto& key = output.uri.key;
        if (!key.empty() && key.back() != '/') key += '/';
        key += request["TrainingJobName"].string_or("") + "/" + kind.sub_prefix + "/";
        training.live_outputs.push_back(std::move(output));
    }
    return {};
}

}  // namespace millwright::resources
