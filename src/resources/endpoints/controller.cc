#include "resources/endpoints/controller.h"

#include <algorithm>

#include "base/log.h"

namespace millwright::resources {
namespace {

constexpr std::chrono::seconds kPauseAfterFailure{1};

}  // namespace

EndpointController::EndpointController(EndpointRow endpoint, const DeploymentParts& parts, Routes& routes)
    : arn_(endpoint.arn), row_(std::move(endpoint)), parts_(parts), routes_(routes) {
    parts_.interrupted = [this, outer = parts.interrupted] { return changed_ || (outer && outer()); };
}

void EndpointController::note_run_ended(const std::string& run_id, const executors::RunOutcome& outcome) {
    const MutexLock lock(mutex_);
    ended_.emplace_back(run_id, outcome);
}

std::vector<size_t> EndpointController::healthy_replicas(const std::string& deployment) const {
    const MutexLock lock(mutex_);
    for (const auto& [id, counts] : healthy_)
        if (id == deployment) return counts;
    return {};
}

Result<void> EndpointController::load() {
    auto specs = TRY(parts_.store.deployments(arn_));
    for (DeploymentSpec& spec : specs) {
        deployments_.push_back(std::make_unique<Deployment>(std::move(spec), row_, parts_));
        TRY(deployments_.back()->adopt());
    }
    publish();
    return {};
}

Deployment* EndpointController::find(const std::string& id) {
    for (const auto& deployment : deployments_)
        if (deployment->spec().id == id) return deployment.get();
    return nullptr;
}

Monotonic EndpointController::step(Monotonic now) {
    due_ = Monotonic::max();
    deliver_events(now);
    if (const auto worked = work(now); !worked) {
        log::warning("endpoint " + row_.name.name, worked.error());
        due_ = std::min(due_, now + kPauseAfterFailure);
    }
    if (!gone_) publish();
    return due_;
}

void EndpointController::deliver_events(Monotonic now) {
    std::vector<std::pair<std::string, executors::RunOutcome>> ended;
    {
        const MutexLock lock(mutex_);
        ended.swap(ended_);
    }
    for (const auto& [run_id, outcome] : ended)
        for (const auto& deployment : deployments_)
            if (deployment->owns(run_id)) deployment->run_ended(run_id, outcome, now);
}

Result<void> EndpointController::reload() {
    auto row = parts_.store.find(row_.name);
    if (!row) {
        changed_ = true;
        return row.error();
    }
    row_ = std::move(*row);
    auto specs = parts_.store.deployments(arn_);
    if (!specs) {
        changed_ = true;
        return specs.error();
    }
    for (DeploymentSpec& spec : *specs) {
        if (Deployment* known = find(spec.id))
            known->set_spec(std::move(spec));
        else
            deployments_.push_back(std::make_unique<Deployment>(std::move(spec), row_, parts_));
    }
    status_changed_ = true;
    return {};
}

Result<void> EndpointController::work(Monotonic now) {
    if (changed_.exchange(false)) TRY(reload());
    if (row_.status == "Deleting") {
        publish();  // before the first drain: nothing new goes to what is about to stop
        retire_others(now);
        return deployments_.empty() ? finish_delete() : Result<void>();
    }
    if (Deployment* current = find(row_.current); current && row_.current != row_.target) {
        current->advance(now, false);
        due_ = std::min(due_, current->due());
    }
    TRY(bring_up_target(now));
    retire_others(now);
    return {};
}

Result<void> EndpointController::bring_up_target(Monotonic now) {
    Deployment* target = find(row_.target);
    if (!target) return {};
    const bool deploying = row_.status == "Creating" || row_.status == "Updating";
    const Deployment::Progress progress = target->advance(now, deploying);
    due_ = std::min(due_, target->due());
    if (!deploying || progress == Deployment::Progress::Pending) return {};
    const std::string id = target->spec().id;
    // Before the commit that tells of it: who has read the new status must not reach the old version.
    if (progress == Deployment::Progress::Ready) publish_route(target, "InService");
    note_healthy();
    const bool done = progress == Deployment::Progress::Ready
                          ? TRY(parts_.store.finish_deployment(row_, id))
                          : TRY(parts_.store.fail_deployment(row_, id, target->failure()));
    // Not done: a call changed the row meanwhile, and has told us or will.
    if (done || changed_.exchange(false)) TRY(reload());
    publish();
    return {};
}

void EndpointController::retire_others(Monotonic now) {
    const bool deleting = row_.status == "Deleting";
    for (auto& deployment : deployments_) {
        const std::string id = deployment->spec().id;
        if (!deleting && (id == row_.current || id == row_.target)) continue;
        const bool over = deployment->retire(now);
        due_ = std::min(due_, deployment->due());
        if (!over) continue;
        if (const auto forgotten = parts_.store.forget_deployment(id); !forgotten) {
            log::warning("cannot forget a deployment", forgotten.error());
            due_ = std::min(due_, now + kPauseAfterFailure);
            continue;
        }
        deployment.reset();
    }
    std::erase(deployments_, nullptr);
}

Result<void> EndpointController::finish_delete() {
    // The route goes first: after the row is gone the name may be taken again.
    routes_.erase(row_.name.account, row_.name.region, row_.name.name);
    TRY(parts_.store.forget_endpoint(row_));
    gone_ = true;
    status_changed_ = true;
    return {};
}

void EndpointController::publish_route(Deployment* current, const std::string& status) {
    auto route = std::make_shared<EndpointRoute>();
    route->name = row_.name.name;
    route->log_group = endpoint_log_group(row_.name.name);
    route->status = status;
    if (current) route->variants = current->routes();
    std::string made_of = status + " " + (current ? current->spec().id : "");
    for (const VariantRoute& variant : route->variants) {
        made_of += " " + variant.name + "=" + std::to_string(variant.weight);
        for (const auto& replica : variant.replicas) made_of += " " + replica->log_stream;
    }
    if (made_of != published_) {
        routes_.set(row_.name.account, row_.name.region, row_.name.name, std::move(route));
        published_ = std::move(made_of);
    }
}

void EndpointController::publish() {
    publish_route(row_.status == "Deleting" ? nullptr : find(row_.current), row_.status);
    note_healthy();
}

void EndpointController::note_healthy() {
    const MutexLock lock(mutex_);
    healthy_.clear();
    for (const auto& deployment : deployments_) {
        if (!deployment) continue;
        std::vector<size_t> counts;
        for (size_t v = 0; v < deployment->spec().variants.size(); ++v) counts.push_back(deployment->healthy(v));
        healthy_.emplace_back(deployment->spec().id, std::move(counts));
    }
}

}  // namespace millwright::resources
