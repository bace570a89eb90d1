#include "resources/training_jobs/warm_start.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr size_t kMaxFiles = 200, kMaxNames = 200, kMaxNameLength = 100;
constexpr size_t kMaxFileBytes = size_t{1} << 20;

// Settings of libraries and of the interpreter that take effect when they are loaded, and that hold no secret; a script
// whose settings differ starts an interpreter of its own (python/millwright_warm).
constexpr std::string_view kEarlySettings[] = {"OMP_NUM_THREADS",
                                               "MKL_NUM_THREADS",
                                               "OPENBLAS_NUM_THREADS",
                                               "NUMEXPR_NUM_THREADS",
                                               "OMP_PROC_BIND",
                                               "OMP_WAIT_POLICY",
                                               "KMP_AFFINITY",
                                               "KMP_BLOCKTIME",
                                               "TF_CPP_MIN_LOG_LEVEL",
                                               "TF_ENABLE_ONEDNN_OPTS",
                                               "TF_USE_LEGACY_KERAS",
                                               "TF_DETERMINISTIC_OPS",
                                               "KERAS_BACKEND",
                                               "CUDA_VISIBLE_DEVICES",
                                               "PYTHONHASHSEED",
                                               "PYTHONFAULTHANDLER",
                                               "PYTHONWARNINGS",
                                               "PYTHONUNBUFFERED",
                                               "PYTHONIOENCODING",
                                               "MPLBACKEND",
                                               "LANG",
                                               "LC_ALL",
                                               "TZ"};

// What scripts of a framework import, should the code not be at hand.
std::vector<std::string> usual_modules(const std::string& framework) {
    if (framework == "pytorch") return {"numpy", "torch"};
    if (framework == "tensorflow") return {"numpy", "tensorflow"};
    if (framework == "scikit-learn") return {"joblib", "numpy", "sklearn"};
    if (framework == "xgboost") return {"numpy", "xgboost"};
    if (framework == "chainer") return {"chainer", "numpy"};
    return {};
}

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > kMaxNameLength) return false;
    for (const auto part : split(text, '.')) {
        if (part.empty() || (part[0] >= '0' && part[0] <= '9')) return false;
        const auto plain = [](char c) {
            return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        };
        if (!std::all_of(part.begin(), part.end(), plain)) return false;
    }
    return true;
}

void add(std::set<std::string>& names, std::string_view text) {
    const auto name = trim(text.substr(0, text.find_first_of(" \t(;#\\")));
    if (is_name(name) && names.size() < kMaxNames) names.emplace(name);
}

// "import a, b.c as d" and "from a.b import c", at any depth. A line of a text that looks so costs an import in vain.
void read_line(std::string_view line, std::set<std::string>& names) {
    line = trim(line);
    if (line.starts_with("from ")) {
        const auto end = line.find(" import");
        if (end != std::string_view::npos) add(names, trim(line.substr(5, end - 5)));
        return;
    }
    if (!line.starts_with("import ")) return;
    for (const auto part : split(line.substr(7), ',')) add(names, trim(part));
}

}  // namespace

std::string warm_pool_match(const TrainingJob& job) {
    const auto& request = job.request;
    const auto& resources = request["ResourceConfig"];
    auto match = Json::array({job.account, job.region, request["RoleArn"].string_or("")});
    for (const auto* member : {"InstanceType", "InstanceCount", "InstanceGroups", "VolumeSizeInGB", "VolumeKmsKeyId"})
        match.push_back(resources[member]);
    for (const auto* member : {"SecurityGroupIds", "Subnets"}) match.push_back(request["VpcConfig"][member]);
    for (const auto* member : {"EnableNetworkIsolation", "EnableInterContainerTrafficEncryption"})
        match.push_back(request[member].bool_or(false));
    return match.dump();
}

std::vector<std::string> imported_modules(const std::string& folder) {
    namespace fs = std::filesystem;
    std::set<std::string> names;
    std::error_code failure;
    size_t files = 0;
    // Links are not followed: the code is the user's.
    fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, failure);
    for (; !failure && at != fs::recursive_directory_iterator() && files < kMaxFiles; at.increment(failure)) {
        std::error_code ignored;
        const auto status = at->symlink_status(ignored);
        if (status.type() != fs::file_type::regular || at->path().extension() != ".py") continue;
        ++files;
        const auto text = read_file(at->path().string(), kMaxFileBytes);
        if (!text) continue;
        for (const auto line : split(*text, '\n')) read_line(line, names);
    }
    return {names.begin(), names.end()};
}

WarmSpare warm_spare(const TrainingRunContext& context, const CommandedRun& run, executors::RunSpec instances) {
    const auto& environment = run.script->environment;
    WarmSpare spare{std::move(instances), environment.choice.id};
    auto& spec = spare.spec;
    spec.environment = interpreter_variables(run);
    for (const auto name : kEarlySettings)
        if (const auto asked = run.plan.environment.find(std::string(name)); asked != run.plan.environment.end())
            spec.environment[asked->first] = asked->second;
    spec.mounts = environment.mounts;
    spec.mounts.push_back({context.settings.python_folder, kPythonInside, executors::Mount::Mode::ReadOnly});
    spec.command = {environment.prefix + "/bin/python", std::string(kPythonInside) + "/millwright_warm/__main__.py"};
    auto modules = imported_modules(run.folder + "/shared/code");
    if (modules.empty()) modules = usual_modules(run.plan.command.framework->framework);
    spec.command.insert(spec.command.end(), modules.begin(), modules.end());
    return spare;
}

void run_on_spare(executors::RunSpec& spec) {
    spec.on_spare = true;
    spec.environment["MILLWRIGHT_WARM"] = "1";  // script_mode/warm_interpreter.h
}

Result<void> add_warm_cache(executors::RunSpec& spec) {
    for (int host = 0; host < spec.hosts; ++host)
        TRY(make_directories(warm_cache_folder(spec.folder, executors::algo_name(host)), 0755));
    spec.mounts.push_back(
        {warm_cache_folder(spec.folder, "{host}"), kWarmCacheInside, executors::Mount::Mode::Writable});
    return {};
}

}  // namespace millwright::resources
