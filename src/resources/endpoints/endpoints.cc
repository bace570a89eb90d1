#include "resources/endpoints/endpoints.h"

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "jobs/worker_pool.h"
#include "resources/models/supported_members.h"

namespace millwright::resources {
namespace {

class RunningEndpoints final : public Endpoints, private executors::RunListener {
  public:
    RunningEndpoints(const EndpointSettings& settings, const Parts& parts, EndpointStore store)
        : settings_(settings),
          parts_(parts),
          store_(std::move(store)),
          pool_(std::make_unique<jobs::WorkerPool>(settings.workers)) {}
    ~RunningEndpoints() override { shut_down(); }

    Result<void> begin();

    Result<Endpoint> create(std::string_view account, std::string_view region, const Json& request) override;
    Result<Endpoint> update(std::string_view account, std::string_view region, const Json& request) override;
    Result<Endpoint> update_weights_and_capacities(std::string_view account, std::string_view region,
                                                   const Json& request) override;
    Result<void> remove(std::string_view account, std::string_view region, std::string_view name) override;
    Result<Endpoint> describe(std::string_view account, std::string_view region, std::string_view name) override;
    Result<Endpoint> describe_changed(std::string_view account, std::string_view region, std::string_view name,
                                      std::chrono::milliseconds longest) override;
    Result<RecordPage> list(std::string_view account, std::string_view region, const RecordQuery& query) override {
        return store_.list(account, region, query);
    }
    const Routes& routes() const override { return routes_; }
    void shut_down() override;

  private:
    struct Entry {
        std::shared_ptr<EndpointController> controller;
        Monotonic due{};
        bool running = false, again = false;
    };

    void run_started(const std::string&, Timestamp) override {}
    void run_ended(const std::string& run_id, const executors::RunOutcome& outcome) override;

    DeploymentParts deployment_parts() {
        return {settings_,    store_,        parts_.objects,      parts_.executor,
                *this,        parts_.logs,   parts_.open_channel, parts_.random,
                parts_.clock, parts_.images, parts_.identity,     [this] {
                    return leaving_.load(); }};
    }
    Result<DeploymentSpec> make_deployment(std::string_view account, std::string_view region,
                                           std::string_view config_name);
    Result<VariantSpec> make_variant(std::string_view account, std::string_view region, const Json& variant);
    Result<void> retain_properties(const EndpointRow& endpoint, const Json& request, DeploymentSpec& deployment);
    Result<Endpoint> with_variants(const EndpointRow& row);
    void add(const EndpointRow& row);
    void wake(const std::string& arn);
    void schedule(const std::stop_token& stop);
    void step(const std::shared_ptr<EndpointController>& controller);

    const EndpointSettings settings_;
    const Parts parts_;
    EndpointStore store_;
    Routes routes_;

    std::atomic<bool> leaving_{false};

    Mutex mutex_;
    Condition work_to_do_, status_changed_;
    std::map<std::string, Entry> entries_ GUARDED_BY(mutex_);  // by ARN
    uint64_t changes_ GUARDED_BY(mutex_) = 0;
    size_t held_ GUARDED_BY(mutex_) = 0;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::unique_ptr<jobs::WorkerPool> pool_;
    std::jthread scheduler_;
};

Result<void> RunningEndpoints::begin() {
    TRY(make_directories(settings_.folder, 0700));
    const auto rows = TRY(store_.all());
    for (const EndpointRow& row : rows) {
        auto controller = std::make_shared<EndpointController>(row, deployment_parts(), routes_);
        {
            const MutexLock lock(mutex_);
            entries_[row.arn].controller = controller;  // known before its runs are adopted: they may report at once
        }
        TRY(controller->load());
    }
    scheduler_ = std::jthread([this](const std::stop_token& stop) { schedule(stop); });
    return {};
}

void RunningEndpoints::shut_down() {
    leaving_ = true;
    {
        const MutexLock lock(mutex_);
        stopping_ = true;
        work_to_do_.notify_all();
        status_changed_.notify_all();
    }
    scheduler_ = std::jthread();
    pool_.reset();  // waits for the steps that run
}

// --- the loop ---

void RunningEndpoints::schedule(const std::stop_token&) {
    const MutexLock lock(mutex_);
    while (!stopping_) {
        const Monotonic now = std::chrono::steady_clock::now();
        Monotonic next = now + std::chrono::hours(1);
        for (auto& [arn, entry] : entries_) {
            if (entry.running) continue;
            if (entry.due > now) {
                next = std::min(next, entry.due);
                continue;
            }
            entry.running = true;
            entry.again = false;
            pool_->post([this, controller = entry.controller] { step(controller); });
        }
        work_to_do_.wait_until(mutex_, next);
    }
}

void RunningEndpoints::step(const std::shared_ptr<EndpointController>& controller) {
    const Monotonic due = controller->step(std::chrono::steady_clock::now());
    const bool changed = controller->take_status_changed();
    const MutexLock lock(mutex_);
    const auto entry = entries_.find(controller->arn());
    if (entry != entries_.end() && entry->second.controller == controller) {
        entry->second.running = false;
        entry->second.due = entry->second.again ? Monotonic() : due;
        if (controller->gone()) entries_.erase(entry);
    }
    if (changed) {
        ++changes_;
        status_changed_.notify_all();
    }
    work_to_do_.notify_all();
}

void RunningEndpoints::run_ended(const std::string& run_id, const executors::RunOutcome& outcome) {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    // Runs are not indexed: a controller ignores those that are not its own, and ends are rare.
    for (auto& [arn, entry] : entries_) {
        entry.controller->note_run_ended(run_id, outcome);
        entry.due = Monotonic();
        entry.again = true;
    }
    work_to_do_.notify_all();
}

void RunningEndpoints::add(const EndpointRow& row) {
    const MutexLock lock(mutex_);
    Entry& entry = entries_[row.arn];
    // The name may be taken again while the last step of the one before returns.
    entry = Entry();
    entry.controller = std::make_shared<EndpointController>(row, deployment_parts(), routes_);
    entry.controller->note_changed();
    ++changes_;
    work_to_do_.notify_all();
}

void RunningEndpoints::wake(const std::string& arn) {
    const MutexLock lock(mutex_);
    const auto entry = entries_.find(arn);
    if (entry == entries_.end()) return;
    entry->second.controller->note_changed();
    entry->second.due = Monotonic();
    entry->second.again = true;
    ++changes_;
    status_changed_.notify_all();
    work_to_do_.notify_all();
}

// --- calls ---

Result<VariantSpec> RunningEndpoints::make_variant(std::string_view account, std::string_view region,
                                                   const Json& variant) {
    VariantSpec out;
    out.name = variant["VariantName"].string_or("");
    out.model_name = variant["ModelName"].string_or("");
    out.instance_type = variant["InstanceType"].string_or("");
    out.count = variant["InitialInstanceCount"].int_or(1);
    out.weight = variant["InitialVariantWeight"].double_or(1);
    out.random_replica = variant["RoutingConfig"]["RoutingStrategy"].string_or("") == "RANDOM";
    out.startup_timeout = std::chrono::seconds(variant["ContainerStartupHealthCheckTimeoutInSeconds"].int_or(480));
    out.download_timeout = std::chrono::seconds(variant["ModelDataDownloadTimeoutInSeconds"].int_or(3600));
    const Model model = TRY(parts_.models.find(account, region, out.model_name));
    const auto& container = model.request["PrimaryContainer"];
    const auto image = TRY(meaning_of_model_image(parts_.images, account, region, container));
    out.container = TRY(read_container(container, image));
    out.role_arn = model.request["ExecutionRoleArn"].string_or("");
    out.network_isolation = model.request["EnableNetworkIsolation"].bool_or(false);
    return out;
}

Result<DeploymentSpec> RunningEndpoints::make_deployment(std::string_view account, std::string_view region,
                                                         std::string_view config_name) {
    const auto config = parts_.configs.find(account, region, config_name);
    // What is missing is part of the request, not what the call is about.
    if (!config && config.error().kind == ErrorKind::NotFound) return invalid_input(config.error().message);
    if (!config) return config.error();
    DeploymentSpec out;
    out.id = parts_.random.hex(16);
    out.config_name = config->name.name;
    for (const Json& variant : config->request["ProductionVariants"].items()) {
        auto made = make_variant(account, region, variant);
        if (!made && made.error().kind == ErrorKind::NotFound) return invalid_input(made.error().message);
        if (!made) return made.error();
        out.variants.push_back(std::move(*made));
    }
    return out;
}

Result<Endpoint> RunningEndpoints::create(std::string_view account, std::string_view region, const Json& request) {
    TRY(only_supported(request, "", {"EndpointName", "EndpointConfigName", "Tags"}));
    const TagList tags = TRY(parse_tags(request["Tags"]));
    const DeploymentSpec deployment = TRY(make_deployment(account, region, request["EndpointConfigName"].as_string()));
    const RecordName name{std::string(account), std::string(region), request["EndpointName"].as_string()};
    const EndpointRow row = TRY(store_.create(name, deployment, tags));
    add(row);
    return with_variants(row);
}

Result<void> RunningEndpoints::retain_properties(const EndpointRow& endpoint, const Json& request,
                                                 DeploymentSpec& deployment) {
    if (!request["RetainAllVariantProperties"].bool_or(false) || endpoint.current.empty()) return {};
    std::set<std::string> excluded;
    for (const Json& property : request["ExcludeRetainedVariantProperties"].items())
        excluded.insert(property["VariantPropertyType"].string_or(""));
    const DeploymentSpec current = TRY(store_.deployment(endpoint.current));
    for (VariantSpec& variant : deployment.variants)
        for (const VariantSpec& before : current.variants) {
            if (before.name != variant.name) continue;
            if (!excluded.contains("DesiredInstanceCount")) variant.count = before.count;
            if (!excluded.contains("DesiredWeight")) variant.weight = before.weight;
        }
    return {};
}

Result<Endpoint> RunningEndpoints::update(std::string_view account, std::string_view region, const Json& request) {
    // RetainDeploymentConfig keeps the last DeploymentConfig, of which there is none here.
    TRY(only_supported(request, "",
                       {"EndpointName", "EndpointConfigName", "RetainAllVariantProperties",
                        "ExcludeRetainedVariantProperties", "RetainDeploymentConfig"}));
    const RecordName name{std::string(account), std::string(region), request["EndpointName"].as_string()};
    const EndpointRow before = TRY(store_.find(name));
    DeploymentSpec deployment = TRY(make_deployment(account, region, request["EndpointConfigName"].as_string()));
    TRY(retain_properties(before, request, deployment));
    const EndpointRow row = TRY(store_.begin_update(name, deployment));
    wake(row.arn);
    return with_variants(row);
}

Result<Endpoint> RunningEndpoints::update_weights_and_capacities(std::string_view account, std::string_view region,
                                                                 const Json& request) {
    const RecordName name{std::string(account), std::string(region), request["EndpointName"].as_string()};
    const EndpointRow before = TRY(store_.find(name));
    if (before.status != "InService")
        return Error{ErrorKind::Conflict, "Cannot update in-progress endpoint \"" + before.arn + "\".", ""};
    DeploymentSpec deployment = TRY(store_.deployment(before.current));
    for (const Json& wish : request["DesiredWeightsAndCapacities"].items()) {
        TRY(only_supported(wish, "DesiredWeightsAndCapacities.",
                           {"VariantName", "DesiredWeight", "DesiredInstanceCount"}));
        bool found = false;
        for (VariantSpec& variant : deployment.variants) {
            if (variant.name != wish["VariantName"].string_or("")) continue;
            found = true;
            variant.weight = wish["DesiredWeight"].double_or(variant.weight);
            variant.count = wish["DesiredInstanceCount"].int_or(variant.count);
            if (variant.count < 1 || variant.count > kMaxReplicasPerVariant)
                return invalid_input("DesiredInstanceCount must be from 1 to " +
                                     std::to_string(kMaxReplicasPerVariant) + ".");
        }
        if (!found)
            return invalid_input("Could not find production variant \"" + wish["VariantName"].string_or("") + "\".");
    }
    double weights = 0;
    for (const VariantSpec& variant : deployment.variants) weights += variant.weight;
    if (!(weights > 0)) return invalid_input("At least one production variant must have a weight greater than zero.");
    TRY(store_.change_deployment(before, deployment));
    wake(before.arn);
    return describe(account, region, name.name);
}

Result<void> RunningEndpoints::remove(std::string_view account, std::string_view region, std::string_view name) {
    const EndpointRow row = TRY(store_.begin_delete({std::string(account), std::string(region), std::string(name)}));
    wake(row.arn);
    return {};
}

Result<Endpoint> RunningEndpoints::with_variants(const EndpointRow& row) {
    Endpoint out{row.name, row.arn, row.status, row.failure_reason, row.config_name, row.created, row.modified, {}};
    const std::string& shown = row.current.empty() ? row.target : row.current;
    if (shown.empty()) return out;
    const auto deployment = store_.deployment(shown);
    if (!deployment) return out;  // it went while we looked
    std::vector<size_t> healthy;
    {
        const MutexLock lock(mutex_);
        const auto entry = entries_.find(row.arn);
        if (entry != entries_.end()) healthy = entry->second.controller->healthy_replicas(shown);
    }
    for (size_t v = 0; v < deployment->variants.size(); ++v) {
        const VariantSpec& variant = deployment->variants[v];
        EndpointVariant shown_variant;
        shown_variant.name = variant.name;
        shown_variant.image = variant.container.image;
        shown_variant.desired_weight = variant.weight;
        shown_variant.desired_count = variant.count;
        shown_variant.current_weight = row.current.empty() ? 0 : variant.weight;
        shown_variant.current_count = v < healthy.size() && !row.current.empty() ? static_cast<int64_t>(healthy[v]) : 0;
        shown_variant.random_replica = variant.random_replica;
        if (out.changing()) shown_variant.status = row.status;
        out.variants.push_back(std::move(shown_variant));
    }
    return out;
}

Result<Endpoint> RunningEndpoints::describe(std::string_view account, std::string_view region, std::string_view name) {
    return with_variants(TRY(store_.find({std::string(account), std::string(region), std::string(name)})));
}

Result<Endpoint> RunningEndpoints::describe_changed(std::string_view account, std::string_view region,
                                                    std::string_view name, std::chrono::milliseconds longest) {
    const Monotonic until = std::chrono::steady_clock::now() + longest;
    uint64_t seen;
    {
        const MutexLock lock(mutex_);
        seen = changes_;
    }
    const Endpoint first = TRY(describe(account, region, name));
    for (;;) {
        Endpoint now = TRY(describe(account, region, name));
        if (!now.changing() || now.status != first.status || now.arn != first.arn) return now;
        const MutexLock lock(mutex_);
        if (held_ >= settings_.max_held_describes) return now;
        ++held_;
        bool in_time = true;
        while (in_time && !stopping_ && changes_ == seen) in_time = status_changed_.wait_until(mutex_, until);
        --held_;
        if (!in_time || stopping_) return now;
        seen = changes_;
    }
}

}  // namespace

Result<std::unique_ptr<Endpoints>> Endpoints::open(const EndpointSettings& settings, const Parts& parts) {
    auto store = TRY(EndpointStore::open(parts.database, parts.tags, parts.clock));
    auto endpoints = std::make_unique<RunningEndpoints>(settings, parts, std::move(store));
    TRY(endpoints->begin());
    return std::unique_ptr<Endpoints>(std::move(endpoints));
}

}  // namespace millwright::resources
