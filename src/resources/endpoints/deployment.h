// The replicas of one version of an endpoint: started, watched, restarted, drained and stopped.
//
//   start ─▶ Starting ──200 on /ping──▶ Healthy ──3 failed pings──▶ Stopping ─▶ Ended ─▶ (row and files
//   removed)
//               │  └─ startup timeout ─────────────────────────────────▲          ▲
//               │                        └─ no longer wanted ─▶ Draining          │
//               └── the run ended ────────────────────────────────────────────────┘
//
// What ends unwanted is started again after a pause that grows with each failure.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "executors/executor.h"
#include "jobs/capacity.h"
#include "object_store/object_store.h"
#include "resources/endpoints/endpoint_store.h"
#include "resources/endpoints/routes.h"
#include "resources/logs/logs.h"
#include "resources/models/model_data.h"

namespace millwright::resources {

struct EndpointSettings {
    std::string folder;              // <data-dir>/endpoints
    std::string algorithms_program;  // absolute path of millwright-algorithms
    std::string forward_to{};        // of images, as executors::RunSpec has them
    std::string egress_socket{};
    jobs::Machine machine = jobs::this_machine();
    executors::ArchiveLimits model_data = {};
    std::chrono::milliseconds startup_poll{20}, ping_interval{5'000}, ping_timeout{2'000};
    int failed_pings = 3;   // in a row, then the replica is replaced
    int failed_starts = 3;  // in a row during a deployment, then it has failed
    std::chrono::milliseconds restart_pause{500}, longest_restart_pause{60'000};
    std::chrono::milliseconds longest_drain{70'000};  // a request lasts 60 s at most
    std::chrono::seconds stop_grace{30};
    size_t workers = 8;
    size_t max_held_describes = 32;  // beyond that, describe_changed answers at once
};

struct DeploymentParts {
    const EndpointSettings& settings;
    EndpointStore& store;
    object_store::ObjectStore& objects;
    executors::Executor& executor;
    executors::RunListener& listener;  // forwards to run_ended() below
    Logs& logs;
    OpenChannel open_channel;
    Random& random;
    const Clock& clock;
    ImageNames* images = nullptr;
    Identity* identity = nullptr;
    std::function<bool()> interrupted{};  // true: what takes long is given up, and asked for again
};

// Used by one thread at a time.
class Deployment {
  public:
    enum class Progress { Pending, Ready, Failed };

    Deployment(DeploymentSpec spec, const EndpointRow& endpoint, const DeploymentParts& parts);

    const DeploymentSpec& spec() const { return spec_; }
    void set_spec(DeploymentSpec spec) { spec_ = std::move(spec); }  // same id and variants, other counts and weights
    // After a restart of the server: watches the runs that are known.
    Result<void> adopt();

    // One round of work towards `count` healthy replicas of each variant. While `deploying`, failures are
    // final: Failed, with failure() for the user. Blocks while model data is fetched and during pings.
    Progress advance(Monotonic now, bool deploying);
    const std::string& failure() const { return failure_; }
    // One round towards nothing: drains, stops and cleans up. True when no run and no file is left. The
    // routes of a snapshot taken before must have been replaced, or draining lasts its full time.
    bool retire(Monotonic now);

    bool owns(const std::string& run_id) const;
    void run_ended(const std::string& run_id, const executors::RunOutcome& outcome, Monotonic now);

    std::vector<VariantRoute> routes() const;  // healthy replicas only
    size_t healthy(size_t variant) const;
    // When advance() or retire() should be called again if nothing happens.
    Monotonic due() const { return due_; }

  private:
    struct Pinged {
        PingAnswer answer{};
        Timestamp at{};  // {}: never
    };
    struct Replica {
        enum class State { Starting, Healthy, Draining, Stopping, Ended };
        std::string run_id;
        size_t variant = 0;
        State state = State::Starting;
        Monotonic since{}, next_ping{};  // of the state; of this replica
        int failed_pings = 0;
        Pinged asked{};                             // the last time that it was not healthy
        Pinged answered{};                          // the last time that an answer came, while it was not healthy
        std::shared_ptr<const ReplicaRoute> route;  // without a channel until an image's port is known
    };
    struct VariantState {
        int failures = 0;
        Monotonic next_start{};
    };

    Result<void> prepare();
    Result<void> start_replica(size_t variant, Monotonic now);
    Result<void> start(const VariantSpec& variant, const std::string& run_id, const std::string& log_file,
                       std::optional<executors::RunImage> image);
    void add_algorithm(const VariantSpec& variant, executors::RunSpec& spec) const;
    Result<void> add_image(const VariantSpec& variant, executors::RunSpec& spec) const;
    bool interrupted() const;
    void not_started(size_t variant, Monotonic now, const Error& error);
    PingAnswer ping(Replica& replica);
    std::string ping_failure(const Replica& replica, const std::string& end) const;
    void watch(Replica& replica, Monotonic now);
    void drain(Replica& replica, Monotonic now);
    void stop(Replica& replica, Monotonic now);
    void note_failure(size_t variant, Monotonic now, std::string reason);
    void forget_ended();
    void wake_at(Monotonic when) { due_ = std::min(due_, when); }
    size_t live(size_t variant) const;
    std::string folder() const { return parts_.settings.folder + "/" + spec_.id; }
    std::string run_folder(const std::string& run_id) const { return folder() + "/" + run_id; }
    std::string model_folder(size_t variant) const { return folder() + "/model" + std::to_string(variant); }
    std::shared_ptr<const ReplicaRoute> make_route(size_t variant, const std::string& run_id,
                                                   const std::string& log_stream) const;

    DeploymentSpec spec_;
    RecordName endpoint_;
    DeploymentParts parts_;
    bool prepared_ = false;
    std::vector<Replica> replicas_;
    std::vector<VariantState> variants_;
    std::string failure_;
    bool failed_for_good_ = false;
    Monotonic due_ = Monotonic::max();
};

std::string endpoint_log_group(std::string_view endpoint);

}  // namespace millwright::resources
