#include "algorithms/common/training_environment.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::algorithms {
namespace {

constexpr size_t kMaxConfigBytes = size_t{16} << 20;
constexpr size_t kMaxFailureBytes = 64 * 1024;

std::atomic<bool> termination{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // written in a signal handler

std::string environment_or(const char* name, std::string_view otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : std::string(otherwise);
}

enum class Presence { Required, Optional };

Result<Json> read_config(const std::string& base, std::string_view name, Presence presence) {
    const std::string path = base + "/input/config/" + std::string(name);
    if (presence == Presence::Optional && !file_exists(path)) return Json::object();
    const std::string text = TRY(read_file(path, kMaxConfigBytes));
    auto parsed = Json::parse(text);
    if (!parsed) return internal_error(path + " is not JSON: " + parsed.error().message);
    if (!parsed->is_object()) return internal_error(path + " is not a JSON object");
    return *std::move(parsed);
}

// Numbers and booleans are accepted for platforms that do not make everything a string.
std::map<std::string, std::string> strings(const Json& document) {
    std::map<std::string, std::string> out;
    for (const JsonMember& member : document.members()) {
        out[member.name] = member.value.is_string() ? member.value.as_string() : member.value.dump();
    }
    return out;
}

Channel make_channel(const std::string& base, const JsonMember& member) {
    Channel channel;
    channel.name = member.name;
    channel.path = base + "/input/data/" + member.name;
    channel.content_type = member.value["ContentType"].string_or("");
    channel.mode = member.value["TrainingInputMode"].string_or("File");
    channel.distribution = member.value["S3DistributionType"].string_or("") == "ShardedByS3Key"
                               ? Distribution::ShardedByS3Key
                               : Distribution::FullyReplicated;
    channel.record_wrapped = member.value["RecordWrapperType"].string_or("None") == "RecordIO";
    return channel;
}

// The introduction's fit({'training': …}) feeds the algorithms too:
// docs/decisions/0003-training-channel-alias.md.
void accept_training_as_train(std::vector<Channel>& channels) {
    const auto named = [&](std::string_view name) {
        return std::find_if(channels.begin(), channels.end(), [&](const Channel& one) { return one.name == name; });
    };
    const auto training = named("training");
    if (training == channels.end() || named("train") != channels.end()) return;
    training->name = "train";
    std::printf("Using the channel 'training' as 'train'.\n");
}

// "algo-10" after "algo-2".
bool host_before(const std::string& a, const std::string& b) {
    const auto parts = [](const std::string& host) {
        const size_t digits = host.find_last_not_of("0123456789") + 1;
        return std::pair(host.substr(0, digits), parse_int(std::string_view(host).substr(digits)).value_or(0));
    };
    return std::pair(parts(a), a) < std::pair(parts(b), b);
}

std::string_view prefix(Fault fault) {
    switch (fault) {
        case Fault::Client:
            return "ClientError: ";
        case Fault::Algorithm:
            return "AlgorithmError: ";
        case Fault::Internal:
            return "InternalServerError: ";
    }
    return "AlgorithmError: ";
}

int exit_code(Fault fault) {
    switch (fault) {
        case Fault::Client:
            return kClientErrorExit;
        case Fault::Algorithm:
            return kAlgorithmErrorExit;
        case Fault::Internal:
            return kInternalErrorExit;
    }
    return kAlgorithmErrorExit;
}

void on_termination(int) { termination.store(true, std::memory_order_relaxed); }

}  // namespace

Result<TrainingEnvironment> TrainingEnvironment::load() {
    return load_from(environment_or("SAGEMAKER_BASE_DIR", "/opt/ml"));
}

Result<TrainingEnvironment> TrainingEnvironment::load_from(const std::string& base) {
    TrainingEnvironment out;
    out.base = base;
    out.model_dir = base + "/model";
    out.output_data_dir = base + "/output/data";
    out.failure_path = base + "/output/failure";
    out.algorithm = environment_or("MILLWRIGHT_ALGORITHM", "");
    out.algorithm_version = environment_or("MILLWRIGHT_ALGORITHM_VERSION", "");

    out.hyperparameters = strings(TRY(read_config(base, "hyperparameters.json", Presence::Required)));
    const Json data = TRY(read_config(base, "inputdataconfig.json", Presence::Required));
    for (const JsonMember& member : data.members()) out.channels.push_back(make_channel(base, member));
    accept_training_as_train(out.channels);
    std::sort(out.channels.begin(), out.channels.end(),
              [](const Channel& a, const Channel& b) { return a.name < b.name; });

    const Json resources = TRY(read_config(base, "resourceconfig.json", Presence::Required));
    for (const Json& host : resources["hosts"].items()) out.hosts.push_back(host.string_or(""));
    std::sort(out.hosts.begin(), out.hosts.end(), host_before);
    out.current_host = resources["current_host"].string_or("");
    out.network_interface = resources["network_interface_name"].string_or("eth0");
    if (std::find(out.hosts.begin(), out.hosts.end(), out.current_host) == out.hosts.end()) {
        return internal_error("resourceconfig.json: current_host is not among hosts");
    }
    const Json checkpoints = TRY(read_config(base, "checkpointconfig.json", Presence::Optional));
    out.checkpoint_dir = checkpoints["LocalPath"].string_or("");
    return out;
}

const Channel* TrainingEnvironment::channel(std::string_view name) const {
    const auto found =
        std::find_if(channels.begin(), channels.end(), [&](const Channel& one) { return one.name == name; });
    return found != channels.end() ? &*found : nullptr;
}

size_t TrainingEnvironment::host_index() const {
    return static_cast<size_t>(std::find(hosts.begin(), hosts.end(), current_host) - hosts.begin());
}

int fail(const std::string& failure_path, Fault fault, std::string_view message) {
    const bool prefixed = message.starts_with("ClientError: ") || message.starts_with("AlgorithmError: ") ||
                          message.starts_with("InternalServerError: ");
    const std::string text = valid_utf8((prefixed ? std::string() : std::string(prefix(fault))) +
                                        std::string(message.substr(0, kMaxFailureBytes)));
    std::fprintf(stderr, "%s\n", text.c_str());
    if (const auto written = write_file(failure_path, text); !written) {
        std::fprintf(stderr, "%s: %s\n", written.error().message.c_str(), written.error().detail.c_str());
    }
    return exit_code(fault);
}

int fail(const std::string& failure_path, const Error& error) {
    if (!error.detail.empty()) std::fprintf(stderr, "%s\n", error.detail.c_str());
    return fail(failure_path, error.kind == ErrorKind::InvalidInput ? Fault::Client : Fault::Algorithm, error.message);
}

void watch_for_termination() {
    struct sigaction action {};
    action.sa_handler = on_termination;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, nullptr);
}

bool termination_requested() { return termination.load(std::memory_order_relaxed); }

}  // namespace millwright::algorithms
