#include "resources/endpoints/deployment.h"

#include <algorithm>

#include "base/files.h"
#include "base/log.h"
#include "resources/images/images.h"
#include "resources/instance_types/instance_types.h"

namespace millwright::resources {
namespace {

constexpr std::string_view kSocketFolderInside = "/run/millwright";
constexpr std::string_view kSocketName = "serve.sock";

constexpr uint16_t kServedPort = 8080;
constexpr const char* kHostEndpoint = "http://169.254.170.2";
constexpr const char* kProxy = "http://169.254.170.2:3128";

std::string how_it_ended(const executors::RunOutcome& outcome) {
    if (outcome.hosts.empty()) return "";
    const auto& host = outcome.hosts.front();
    if (host.out_of_memory) return "it used more memory than its instance type has";
    return "it ended with exit code " + std::to_string(host.exit_code);
}

executors::Limits limits_of(const VariantSpec& variant, const jobs::Machine& machine) {
    executors::Limits limits;
    const auto type = find_instance_type(variant.instance_type);
    limits.cpus = type ? std::min<double>(type->vcpus, machine.cpus) : machine.cpus;
    limits.memory_bytes = type ? std::min(type->memory_bytes, machine.memory_bytes) : machine.memory_bytes;
    return limits;
}

}  // namespace

std::string endpoint_log_group(std::string_view endpoint) {
    return "/aws/sagemaker/Endpoints/" + std::string(endpoint);
}

Deployment::Deployment(DeploymentSpec spec, const EndpointRow& endpoint, const DeploymentParts& parts)
    : spec_(std::move(spec)), endpoint_(endpoint.name), parts_(parts), variants_(spec_.variants.size()) {}

Result<void> Deployment::adopt() {
    const auto rows = TRY(parts_.store.replicas(spec_.id));
    for (const ReplicaRow& row : rows) {
        Replica replica;
        replica.run_id = row.run_id;
        replica.variant = std::min(static_cast<size_t>(row.variant), spec_.variants.size() - 1);
        replica.since = std::chrono::steady_clock::now();
        replica.route = make_route(replica.variant, row.run_id, row.log_stream);
        replicas_.push_back(std::move(replica));
        const auto adopted = parts_.executor.adopt(row.run_id, run_folder(row.run_id), parts_.listener);
        if (adopted) continue;
        log::warning("cannot adopt a replica of endpoint " + endpoint_.name, adopted.error());
        replicas_.back().state = Replica::State::Ended;
    }
    return {};
}

Deployment::Progress Deployment::advance(Monotonic now, bool deploying) {
    due_ = Monotonic::max();
    if (const auto ready = prepare(); !ready) {
        log::warning("model data of endpoint " + endpoint_.name, ready.error());
        const bool for_user = ready.error().kind != ErrorKind::Internal && ready.error().kind != ErrorKind::Unavailable;
        failure_ = for_user ? ready.error().message : "InternalServerError: the model data could not be prepared.";
        wake_at(now + parts_.settings.restart_pause);
        return Progress::Failed;
    }
    for (Replica& replica : replicas_) watch(replica, now);
    forget_ended();
    bool complete = true;
    for (size_t v = 0; v < spec_.variants.size(); ++v) {
        const auto wanted = static_cast<size_t>(spec_.variants[v].count);
        for (size_t extra = live(v); extra > wanted; --extra) {
            const auto last = std::find_if(replicas_.rbegin(), replicas_.rend(), [&](const Replica& r) {
                return r.variant == v && (r.state == Replica::State::Healthy || r.state == Replica::State::Starting);
            });
            drain(*last, now);
        }
        while (live(v) < wanted && now >= variants_[v].next_start) {
            const auto started = start_replica(v, now);
            if (started) continue;
            if (started.error().kind == ErrorKind::Conflict && interrupted()) {
                wake_at(now);
                return Progress::Pending;
            }
            not_started(v, now, started.error());
        }
        if (live(v) < wanted) wake_at(variants_[v].next_start);
        complete = complete && healthy(v) == wanted;
        if (variants_[v].failures >= parts_.settings.failed_starts) failed_for_good_ = true;
    }
    if (complete) {
        failed_for_good_ = false;
        return Progress::Ready;
    }
    return deploying && failed_for_good_ ? Progress::Failed : Progress::Pending;
}

bool Deployment::interrupted() const { return parts_.interrupted && parts_.interrupted(); }

void Deployment::not_started(size_t variant, Monotonic now, const Error& error) {
    log::warning("cannot start a replica of endpoint " + endpoint_.name, error);
    const bool for_user = error.kind == ErrorKind::NotFound || error.kind == ErrorKind::InvalidInput;
    const VariantSpec& spec = spec_.variants[variant];
    if (spec.container.own_image.empty() || !for_user)
        return note_failure(variant, now, "Could not start production variant " + spec.name + ": " + error.message);
    failed_for_good_ = true;
    note_failure(variant, now,
                 "Please make sure all images included in the model for the production variant " + spec.name +
                     " exist, and that the execution role used to create the model has permissions to access them. (" +
                     error.message + ")");
}

// The marker comes last, so half-fetched data of a killed server is fetched again.
Result<void> Deployment::prepare() {
    if (prepared_) return {};
    const std::string marker = folder() + "/prepared";
    if (!file_exists(marker)) {
        TRY(make_directories(folder(), 0700));
        for (size_t v = 0; v < spec_.variants.size(); ++v) {
            executors::ArchiveLimits limits = parts_.settings.model_data;
            limits.deadline = std::chrono::steady_clock::now() + spec_.variants[v].download_timeout;
            TRY(remove_tree(model_folder(v)));
            TRY(fetch_model_data(parts_.objects, spec_.variants[v].container.data, model_folder(v), limits));
        }
        TRY(write_file(marker, ""));
    }
    prepared_ = true;
    return {};
}

Result<void> Deployment::start_replica(size_t v, Monotonic now) {
    const VariantSpec& variant = spec_.variants[v];
    const std::string run_id = parts_.random.hex(24);
    // First, because it may take long and leaves nothing.
    std::optional<executors::RunImage> image;
    if (!variant.container.own_image.empty()) {
        if (!parts_.images)
            return invalid_input(unsupported_image_message(variant.container.image, ImagePurpose::Serving));
        const auto request = TRY(image_request({endpoint_.account, endpoint_.region}, variant.container.own_image));
        image = TRY(parts_.images->images().prepare(
            request, [](const std::string&) {}, [this] { return interrupted(); }));
    }
    ReplicaRow row;
    row.run_id = run_id;
    row.deployment = spec_.id;
    row.variant = static_cast<int64_t>(v);
    row.log_stream = variant.name + "/i-" + parts_.random.hex(17);
    const std::string log_file = TRY(parts_.logs.open_job_stream(
        {endpoint_.account, endpoint_.region, endpoint_log_group(endpoint_.name), row.log_stream}));
    TRY(make_directories(run_folder(run_id) + "/algo-1/ml/model"));
    TRY(make_directories(run_folder(run_id) + "/s"));
    TRY(parts_.store.add_replica(row));
    Replica replica;
    replica.run_id = run_id;
    replica.variant = v;
    replica.since = now;
    replica.next_ping = now;
    replica.route = make_route(v, run_id, row.log_stream);
    // Listed before the start: its end may be reported from within.
    replicas_.push_back(std::move(replica));
    wake_at(now + parts_.settings.startup_poll);
    const auto started = start(variant, run_id, log_file, std::move(image));
    if (!started) {
        replicas_.back().state = Replica::State::Ended;
        wake_at(now);
    }
    return started;
}

Result<void> Deployment::start(const VariantSpec& variant, const std::string& run_id, const std::string& log_file,
                               std::optional<executors::RunImage> image) {
    executors::RunSpec spec;
    spec.id = run_id;
    spec.folder = run_folder(run_id);
    const size_t v = static_cast<size_t>(&variant - spec_.variants.data());
    spec.mounts = {{model_folder(v), "/opt/ml/model", executors::Mount::Mode::ReadOnly}};
    spec.log_files = {log_file};
    spec.limits = limits_of(variant, parts_.settings.machine);
    spec.stop_grace = parts_.settings.stop_grace;
    spec.image = std::move(image);
    if (spec.image)
        TRY(add_image(variant, spec));
    else
        add_algorithm(variant, spec);
    return parts_.executor.start(spec, parts_.listener);
}

void Deployment::add_algorithm(const VariantSpec& variant, executors::RunSpec& spec) const {
    spec.command = {parts_.settings.algorithms_program, "serve"};
    // Several threads per request cost many times what they bring with small requests; a model may say
    // otherwise.
    spec.environment = {{"OMP_NUM_THREADS", "1"}, {"OPENBLAS_NUM_THREADS", "1"}};
    for (const auto& [name, value] : variant.container.environment) spec.environment[name] = value;
    spec.environment["AWS_REGION"] = endpoint_.region;
    spec.environment["AWS_DEFAULT_REGION"] = endpoint_.region;
    spec.environment["MILLWRIGHT_ALGORITHM"] = variant.container.algorithm;
    spec.environment["MILLWRIGHT_ALGORITHM_VERSION"] = variant.container.algorithm_version;
    spec.environment["MILLWRIGHT_SERVE_SOCKET"] = std::string(kSocketFolderInside) + "/" + std::string(kSocketName);
    spec.mounts.push_back(
        {run_folder(spec.id) + "/s", std::string(kSocketFolderInside), executors::Mount::Mode::Writable});
    spec.network_isolation = true;  // built-in algorithms need no network to serve
}

// "serve" takes the place of the image's Cmd, behind its entry point.
Result<void> Deployment::add_image(const VariantSpec& variant, executors::RunSpec& spec) const {
    spec.command = {"serve"};
    spec.served_port = kServedPort;
    spec.network_isolation = variant.network_isolation;
    auto& variables = spec.environment;
    variables["AWS_REGION"] = variables["AWS_DEFAULT_REGION"] = endpoint_.region;
    variables["SAGEMAKER_BIND_TO_PORT"] = std::to_string(kServedPort);
    spec.limits.gpus = std::min(nvidia_gpus_here(), nvidia_gpus_of(variant.instance_type));
    if (spec.limits.gpus == 0) variables["NVIDIA_VISIBLE_DEVICES"] = "void";
    if (!variant.network_isolation) {
        spec.forward_to = parts_.settings.forward_to;
        spec.egress_socket = parts_.settings.egress_socket;
        variables["AWS_ENDPOINT_URL"] = variables["S3_ENDPOINT_URL"] = kHostEndpoint;
        if (!spec.egress_socket.empty()) variables["PIP_PROXY"] = kProxy;
    }
    if (!variant.network_isolation && !variant.role_arn.empty() && parts_.identity) {
        const Role role = TRY(parts_.identity->resolve_role(endpoint_.account, variant.role_arn));
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] =
            TRY(parts_.identity->grant_job_credentials(spec.id, role));
    }
    for (const auto& [name, value] : variant.container.environment) variables[name] = value;
    if (!variant.container.algorithm.empty()) {
        variables["MILLWRIGHT_ALGORITHM"] = variant.container.algorithm;
        variables["MILLWRIGHT_ALGORITHM_VERSION"] = variant.container.algorithm_version;
    }
    return {};
}

std::shared_ptr<const ReplicaRoute> Deployment::make_route(size_t variant, const std::string& run_id,
                                                           const std::string& log_stream) const {
    auto route = std::make_shared<ReplicaRoute>();
    route->log_stream = log_stream;
    if (spec_.variants[variant].container.own_image.empty())
        route->channel = parts_.open_channel("unix:" + run_folder(run_id) + "/s/" + std::string(kSocketName));
    return route;
}

PingAnswer Deployment::ping(Replica& replica) {
    if (!replica.route->channel) {
        const auto address = parts_.executor.served_at(replica.run_id, 0);
        if (!address) return {0, "the container has not started"};
        auto route = std::make_shared<ReplicaRoute>();
        route->log_stream = replica.route->log_stream;
        route->channel = parts_.open_channel(*address);
        replica.route = std::move(route);
    }
    auto answer = replica.route->channel->ping(parts_.settings.ping_timeout);
    // The connection ends before the container, so that it breaks when nothing listens behind.
    if (answer.status == 0 && !spec_.variants[replica.variant].container.own_image.empty())
        answer.why = "no answer on port " + std::to_string(kServedPort) + " of the container (" + answer.why + ")";
    return answer;
}

// `end`: how the container ended; empty: it still runs.
std::string Deployment::ping_failure(const Replica& replica, const std::string& end) const {
    std::string text = "The primary container for production variant " + spec_.variants[replica.variant].name +
                       " did not pass the ping health check. Please check CloudWatch logs for this endpoint.";
    std::string more;
    if (replica.asked.at != Timestamp{}) {
        more = "/ping was last asked at " + format_iso8601(replica.asked.at) + ": ";
        const bool answered = replica.asked.answer.status != 0;
        if (answered) more += "it answered " + std::to_string(replica.asked.answer.status);
        if (!answered) more += replica.asked.answer.why;
        if (!answered && replica.answered.at != Timestamp{})
            more += "; at " + format_iso8601(replica.answered.at) + " it answered " +
                    std::to_string(replica.answered.answer.status);
    }
    if (!end.empty()) more += (more.empty() ? "" : "; then ") + end;
    return more.empty() ? text : text + " (" + more + ")";
}

void Deployment::watch(Replica& replica, Monotonic now) {
    const EndpointSettings& settings = parts_.settings;
    const VariantSpec& variant = spec_.variants[replica.variant];
    const bool pinged = replica.state == Replica::State::Starting || replica.state == Replica::State::Healthy;
    if (pinged && now < replica.next_ping) return wake_at(replica.next_ping);
    if (replica.state == Replica::State::Draining) return drain(replica, now);
    if (!pinged) return;
    const PingAnswer answer = ping(replica);
    if (!answer.healthy()) {
        replica.asked = {answer, parts_.clock.now()};
        if (answer.status != 0) replica.answered = replica.asked;
    }
    if (answer.healthy()) {
        replica.asked = replica.answered = {};
        if (replica.state == Replica::State::Starting) {
            replica.state = Replica::State::Healthy;
            replica.since = now;
        }
        replica.failed_pings = 0;
        // Healthy for a while: what failed before is forgiven.
        if (now - replica.since > settings.longest_restart_pause) variants_[replica.variant].failures = 0;
        replica.next_ping = now + settings.ping_interval;
    } else if (replica.state == Replica::State::Starting) {
        if (now - replica.since > variant.startup_timeout) {
            failed_for_good_ = true;
            note_failure(replica.variant, now, ping_failure(replica, ""));
            return stop(replica, now);
        }
        // Young replicas answer within milliseconds, old ones are slow to load: ask less often.
        const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - replica.since);
        replica.next_ping = now + std::clamp(age / 10, settings.startup_poll, settings.startup_poll * 25);
    } else if (++replica.failed_pings >= settings.failed_pings) {
        note_failure(replica.variant, now, ping_failure(replica, ""));
        const auto killed = parts_.executor.kill(replica.run_id);
        if (!killed) log::warning("cannot kill a replica", killed.error());
        return stop(replica, now);
    } else {
        replica.next_ping = now + std::min(settings.ping_interval, std::chrono::milliseconds(500));
    }
    wake_at(replica.next_ping);
}

// First call: takes it out of the routes. Later ones: stops it when no snapshot of the routes holds it any
// more, so no request can be on its way to it.
void Deployment::drain(Replica& replica, Monotonic now) {
    switch (replica.state) {
        case Replica::State::Starting:
            return stop(replica, now);
        case Replica::State::Healthy:
            replica.state = Replica::State::Draining;
            replica.since = now;
            break;
        case Replica::State::Draining:
            if (replica.route.use_count() == 1 || now - replica.since > parts_.settings.longest_drain)
                return stop(replica, now);
            break;
        case Replica::State::Stopping:
        case Replica::State::Ended:
            return;
    }
    wake_at(now + std::chrono::milliseconds(10));
}

void Deployment::stop(Replica& replica, Monotonic now) {
    replica.state = Replica::State::Stopping;
    replica.since = now;
    const auto asked = parts_.executor.request_stop(replica.run_id);
    if (!asked) log::warning("cannot stop a replica of endpoint " + endpoint_.name, asked.error());
}

void Deployment::note_failure(size_t variant, Monotonic now, std::string reason) {
    VariantState& state = variants_[variant];
    failure_ = std::move(reason);
    const auto pause = parts_.settings.restart_pause * (int64_t{1} << std::min(state.failures, 16));
    ++state.failures;
    state.next_start = now + std::min<std::chrono::milliseconds>(pause, parts_.settings.longest_restart_pause);
    wake_at(state.next_start);
}

bool Deployment::owns(const std::string& run_id) const {
    return std::any_of(replicas_.begin(), replicas_.end(), [&](const Replica& r) { return r.run_id == run_id; });
}

void Deployment::run_ended(const std::string& run_id, const executors::RunOutcome& outcome, Monotonic now) {
    for (Replica& replica : replicas_) {
        if (replica.run_id != run_id || replica.state == Replica::State::Ended) continue;
        const bool unwanted = replica.state == Replica::State::Starting || replica.state == Replica::State::Healthy;
        replica.state = Replica::State::Ended;
        const VariantSpec& variant = spec_.variants[replica.variant];
        const bool not_launched = outcome.cause == executors::RunOutcome::Cause::LaunchFailed;
        // A run of a server before us that is lost was not at fault.
        if (unwanted && outcome.cause != executors::RunOutcome::Cause::Lost)
            note_failure(replica.variant, now,
                         not_launched ? "Could not start production variant " + variant.name + ": " + outcome.message +
                                            missing_program_advice(outcome.message, "serve")
                                      : ping_failure(replica, how_it_ended(outcome)));
        wake_at(now);
    }
}

void Deployment::forget_ended() {
    for (const Replica& replica : replicas_) {
        if (replica.state != Replica::State::Ended) continue;
        parts_.executor.clean_up(replica.run_id, run_folder(replica.run_id));
        if (const auto removed = remove_tree(run_folder(replica.run_id)); !removed)
            log::warning("cannot remove the files of a replica", removed.error());
        if (parts_.identity && !spec_.variants[replica.variant].container.own_image.empty()) {
            if (const auto withdrawn = parts_.identity->withdraw_job_credentials(replica.run_id); !withdrawn)
                log::warning("cannot withdraw the keys of a replica", withdrawn.error());
        }
        if (const auto forgotten = parts_.store.forget_replica(replica.run_id); !forgotten)
            log::warning("cannot forget a replica", forgotten.error());
    }
    std::erase_if(replicas_, [](const Replica& r) { return r.state == Replica::State::Ended; });
}

bool Deployment::retire(Monotonic now) {
    due_ = Monotonic::max();
    for (Replica& replica : replicas_) drain(replica, now);
    forget_ended();
    if (!replicas_.empty()) return false;
    if (const auto removed = remove_tree(folder()); !removed)
        log::warning("cannot remove model files", removed.error());
    return true;
}

size_t Deployment::live(size_t variant) const {
    return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(), [&](const Replica& r) {
        return r.variant == variant && (r.state == Replica::State::Starting || r.state == Replica::State::Healthy);
    }));
}

size_t Deployment::healthy(size_t variant) const {
    return static_cast<size_t>(std::count_if(replicas_.begin(), replicas_.end(), [&](const Replica& r) {
        return r.variant == variant && r.state == Replica::State::Healthy;
    }));
}

std::vector<VariantRoute> Deployment::routes() const {
    std::vector<VariantRoute> out;
    for (size_t v = 0; v < spec_.variants.size(); ++v) {
        VariantRoute route;
        route.name = spec_.variants[v].name;
        route.weight = spec_.variants[v].weight;
        route.random_replica = spec_.variants[v].random_replica;
        for (const Replica& replica : replicas_)
            if (replica.variant == v && replica.state == Replica::State::Healthy)
                route.replicas.push_back(replica.route);
        out.push_back(std::move(route));
    }
    return out;
}

}  // namespace millwright::resources
