// One endpoint: brings what runs to what is wanted, and publishes the routes.
//
//   Creating ──healthy──▶ InService ──UpdateEndpoint──▶ Updating ──healthy──▶ InService (new deployment; old
//   one drained)
//      └──failed──▶ Failed     ▲                           └──failed──▶ InService (old one; FailureReason)
//   any ──DeleteEndpoint──▶ Deleting ──everything stopped──▶ gone
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "resources/endpoints/deployment.h"

namespace millwright::resources {

class EndpointController {
  public:
    EndpointController(EndpointRow endpoint, const DeploymentParts& parts, Routes& routes);

    // Thread-safe.
    void note_run_ended(const std::string& run_id, const executors::RunOutcome& outcome);
    void note_changed() { changed_ = true; }  // the row on disk was changed by a call
    const std::string& arn() const { return arn_; }
    std::vector<size_t> healthy_replicas(const std::string& deployment) const;

    // One thread at a time. load() first: takes over what an earlier server left.
    Result<void> load();
    // One round of work; returns when the next one is due if nothing happens. May block as
    // Deployment::advance() does.
    Monotonic step(Monotonic now);
    bool gone() const { return gone_; }
    // True once after each change of the status.
    bool take_status_changed() { return std::exchange(status_changed_, false); }

  private:
    Deployment* find(const std::string& id);
    Result<void> reload();
    void deliver_events(Monotonic now);
    Result<void> work(Monotonic now);
    Result<void> bring_up_target(Monotonic now);
    void retire_others(Monotonic now);
    Result<void> finish_delete();
    void publish();
    void note_healthy();
    void publish_route(Deployment* current, const std::string& status);

    const std::string arn_;
    EndpointRow row_;
    DeploymentParts parts_;
    Routes& routes_;
    std::vector<std::unique_ptr<Deployment>> deployments_;
    bool gone_ = false, status_changed_ = false;
    Monotonic due_{};
    std::string published_;  // what the last snapshot was made of
    std::atomic<bool> changed_{false};

    mutable Mutex mutex_;
    std::vector<std::pair<std::string, executors::RunOutcome>> ended_ GUARDED_BY(mutex_);
    std::vector<std::pair<std::string, std::vector<size_t>>> healthy_ GUARDED_BY(mutex_);  // by deployment and variant
};

}  // namespace millwright::resources
