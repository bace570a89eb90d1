#include "resources/training_jobs/training_run.h"

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "base/log.h"
#include "executors/contract/artifacts.h"
#include "executors/contract/failure.h"

namespace millwright::resources {
namespace {

using executors::RunOutcome;
using executors::RunSpec;
using jobs::After;
using jobs::Ending;

constexpr const char* kLogGroup = "/aws/sagemaker/TrainingJobs";
constexpr const char* kJobEndpoint = "http://169.254.170.2";
constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

class TrainingRun : public jobs::Work {
  public:
    TrainingRun(const TrainingRunContext& context, const TrainingJobRow& row, TrainingPlan plan,
                const jobs::Grant& grant)
        : context_(context),
          id_(row.id),
          job_(row.job),
          owner_(row.owner),
          run_id_(row.run_id),
          plan_(std::move(plan)),
          grant_(grant) {}

    std::string key() const override { return training_run_key(id_); }
    std::string owner() const override { return owner_; }
    jobs::Demand demand() const override {
        const auto hosts = plan_.training.hosts;
        return {grant_.per_host.cpus * hosts, grant_.per_host.memory_bytes * static_cast<uint64_t>(hosts)};
    }

    void waiting(const std::string& reason) override;
    Result<RunSpec> prepare(const jobs::StopFlag& stop) override;
    void started(Timestamp when) override;
    Result<After> finish(const Ending& ending) override;
    void discard() override;

  private:
    struct Verdict {
        std::string status, secondary_status, message, failure_reason;
    };

    Timestamp now() const { return context_.parts.clock.now(); }
    std::string folder() const { return training_run_folder(context_.settings, run_id_); }
    Result<bool> change(const TrainingJobChange& change);
    Result<std::vector<std::string>> open_logs();
    Result<std::map<std::string, std::string>> environment();
    Result<RunSpec> run_spec(executors::StagedTree tree);
    Result<After> finish_run(const TrainingJobRow& row, const RunOutcome& outcome);
    Result<After> end(const TrainingJobRow& row, const Verdict& verdict, const std::string& artifacts,
                      const std::optional<RunOutcome>& outcome);
    Result<std::string> upload();
    Verdict judge(const TrainingJobRow& row, const RunOutcome& outcome) const;
    ScrapedJob scraped(std::vector<std::string> logs) const;
    CheckpointedJob checkpointed() const;

    const TrainingRunContext& context_;
    const int64_t id_;
    const TrainingJob job_;
    const std::string owner_;
    std::string run_id_;
    const TrainingPlan plan_;
    const jobs::Grant grant_;
};

// Faults of the user's data or request, as opposed to ours.
bool is_users_fault(const Error& error) {
    return error.kind == ErrorKind::InvalidInput || error.kind == ErrorKind::NotFound ||
           error.kind == ErrorKind::LimitExceeded;
}

// An upload that fails for such a reason is tried again.
bool heals(const Error& error) { return !is_users_fault(error) || error.kind == ErrorKind::LimitExceeded; }

std::string reason_of(const Error& error) {
    return is_users_fault(error) ? executors::client_error(error.message)
                                 : executors::internal_server_error(error.message);
}

bool never_ran(const RunOutcome& outcome) {
    return outcome.cause == RunOutcome::Cause::Lost && outcome.started == Timestamp{};
}

Result<bool> TrainingRun::change(const TrainingJobChange& change) {
    const bool done = TRY(context_.store.change(id_, change, now()));
    if (done) context_.changed(id_);
    return done;
}

void TrainingRun::waiting(const std::string& reason) {
    if (auto explained = context_.store.explain_waiting(id_, reason, now()); !explained) {
        return log::warning("recording why " + key() + " waits", explained.error());
    }
    context_.changed(id_);
}

// The run id is new for each attempt and recorded first, so whatever lies in other folders of the jobs directory
// belongs to nobody. From the commit of Launching on the executor may know the run, and only its word counts.
Result<RunSpec> TrainingRun::prepare(const jobs::StopFlag& stop) {
    run_id_ = context_.parts.random.hex(32);
    const bool mine = TRY(change({.to = Phase::Staging,
                                  .from = {Phase::Queued, Phase::Staging},
                                  .secondary_status = "Downloading",
                                  .message = "Downloading input data",
                                  .run_id = run_id_}));
    if (!mine) return internal_error("the job is not waiting any more");
    TRY(make_directories(folder(), 0700));
    auto tree = TRY(executors::write_training_tree(context_.parts.objects, plan_.training, folder(), stop));
    auto spec = TRY(run_spec(std::move(tree)));
    TRY(change({.to = Phase::Launching, .from = {Phase::Staging}}));
    return spec;
}

Result<std::vector<std::string>> TrainingRun::open_logs() {
    // The time of creation, not of this attempt: a second attempt continues the same streams.
    const auto epoch = std::to_string(static_cast<int64_t>(to_epoch_seconds(job_.created)));
    std::vector<std::string> files;
    for (int host = 0; host < plan_.training.hosts; ++host) {
        const auto stream = job_.name + "/" + executors::algo_name(host) + "-" + epoch;
        files.push_back(TRY(context_.parts.logs.open_job_stream({job_.account, job_.region, kLogGroup, stream})));
    }
    return files;
}

Result<std::map<std::string, std::string>> TrainingRun::environment() {
    std::map<std::string, std::string> variables = {
        {"PATH", kSearchPath},
        {"HOME", "/root"},
        {"LANG", "C.UTF-8"},
        {"TRAINING_JOB_NAME", job_.name},
        {"TRAINING_JOB_ARN", job_.arn},
        {"AWS_REGION", job_.region},
        {"AWS_DEFAULT_REGION", job_.region},
        {"DMLC_INTERFACE", "eth0"},
        {"NVIDIA_VISIBLE_DEVICES", "void"},
        {"SAGEMAKER_METRICS_DIRECTORY", "/opt/ml/output/metrics/sagemaker"},
    };
    const auto threads = std::to_string(std::max(1, static_cast<int>(std::floor(grant_.per_host.cpus))));
    for (const auto* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) variables[name] = threads;
    if (!plan_.network_isolation) {
        const auto role =
            TRY(context_.parts.identity.resolve_role(job_.account, job_.request["RoleArn"].string_or("")));
        variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] =
            TRY(context_.parts.identity.grant_job_credentials(run_id_, role));
        variables["AWS_ENDPOINT_URL"] = kJobEndpoint;
        variables["S3_ENDPOINT_URL"] = kJobEndpoint;
    }
    for (const auto& [name, value] : plan_.environment) variables[name] = value;
    variables["MILLWRIGHT_ALGORITHM"] = plan_.command.algorithm->algorithm;
    variables["MILLWRIGHT_ALGORITHM_VERSION"] = plan_.command.algorithm->version;
    return variables;
}

Result<RunSpec> TrainingRun::run_spec(executors::StagedTree tree) {
    RunSpec spec;
    spec.id = run_id_;
    spec.folder = folder();
    spec.hosts = plan_.training.hosts;
    spec.command = {context_.settings.algorithms_program, "train"};
    spec.environment = TRY(environment());
    spec.mounts = std::move(tree.mounts);
    spec.companions = std::move(tree.companions);
    spec.log_files = TRY(open_logs());
    spec.limits.cpus = grant_.per_host.cpus;
    spec.limits.memory_bytes = grant_.per_host.memory_bytes;
    spec.network_isolation = plan_.network_isolation;
    if (!plan_.network_isolation) spec.forward_to = context_.settings.forward_to;
    spec.max_runtime = plan_.max_runtime;
    spec.stop_grace = context_.settings.stop_grace;
    return spec;
}

void TrainingRun::started(Timestamp when) {
    // Not decisive: finish() records all of it again from the outcome.
    auto recorded = change({.to = Phase::Running,
                            .from = {Phase::Launching},
                            .secondary_status = "Training",
                            .message = "Training image download completed. Training in progress.",
                            .training_start = when});
    if (!recorded) log::warning("recording the start of " + key(), recorded.error());
    if (plan_.training.checkpoints) context_.checkpoints.watch(checkpointed());
    auto logs = open_logs();
    if (!logs) return log::warning("following the logs of " + key(), logs.error());
    if (auto watched = context_.scraper.watch(scraped(std::move(*logs))); !watched) {
        log::warning("following the logs of " + key(), watched.error());
    }
}

ScrapedJob TrainingRun::scraped(std::vector<std::string> logs) const {
    return {id_, job_.account, job_.region, job_.name, plan_.metric_definitions, std::move(logs)};
}

// REQUIRES: the plan has checkpoints.
CheckpointedJob TrainingRun::checkpointed() const {
    return {
        id_, job_.name, {.uri = plan_.training.checkpoints->uri, .folder = folder(), .hosts = plan_.training.hosts}};
}

Result<After> TrainingRun::finish(const Ending& ending) {
    const auto row = TRY(context_.store.load(id_));
    if (row.phase == Phase::Ended) return After::Done;
    run_id_ = row.run_id;
    if (ending.outcome && never_ran(*ending.outcome) && row.phase == Phase::Launching) {
        // The server died between the record and the start. No launcher will come to life later either: adopt() has
        // made sure of it, and the folder goes before the job is queued again.
        TRY(change({.to = Phase::Queued, .from = {Phase::Launching}}));
        return After::QueueAgain;
    }
    if (ending.outcome) return finish_run(row, *ending.outcome);
    if (ending.error && !row.stop_requested) {
        return end(row, {"Failed", "Failed", "Training job failed", reason_of(*ending.error)}, "", std::nullopt);
    }
    return end(row, {"Stopped", "Stopped", "Training job stopped", ""}, "", std::nullopt);
}

Result<After> TrainingRun::finish_run(const TrainingJobRow& row, const RunOutcome& outcome) {
    const bool ran = outcome.cause != RunOutcome::Cause::LaunchFailed && outcome.cause != RunOutcome::Cause::Lost;
    if (!ran) return end(row, judge(row, outcome), "", outcome);
    TRY(change({.to = Phase::Finishing,
                .from = {Phase::Launching, Phase::Running},
                .secondary_status = "Uploading",
                .message = "Uploading generated training model",
                .training_start = outcome.started,
                .outcome = outcome_to_json(outcome)}));
    auto verdict = judge(row, outcome);
    const auto failed = [&verdict](const Error& error) {
        verdict = {"Failed", "Failed", "Training job failed", executors::client_error(error.message)};
    };
    // First, because a model that cannot be packed must not take the checkpoints along.
    const auto checkpoints = plan_.training.checkpoints ? context_.checkpoints.finish(checkpointed()) : Result<void>();
    if (!checkpoints && heals(checkpoints.error())) return checkpoints.error();
    const auto artifacts = upload();
    if (!artifacts && heals(artifacts.error())) return artifacts.error();
    if (!checkpoints) failed(checkpoints.error());
    if (!artifacts) failed(artifacts.error());
    return end(row, verdict, artifacts ? *artifacts : "", outcome);
}

TrainingRun::Verdict TrainingRun::judge(const TrainingJobRow& row, const RunOutcome& outcome) const {
    using Cause = RunOutcome::Cause;
    if (outcome.cause == Cause::MaxRuntime) {
        return {"Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided", ""};
    }
    if (row.stop_requested || outcome.cause == Cause::StopRequested)
        return {"Stopped", "Stopped", "Training job stopped", ""};
    const bool ran_well =
        outcome.cause == Cause::Exited &&
        std::all_of(outcome.hosts.begin(), outcome.hosts.end(), [](const auto& host) { return host.exit_code == 0; });
    if (ran_well) return {"Completed", "Completed", "Training job completed", ""};
    return {"Failed", "Failed", "Training job failed",
            executors::training_failure_reason(folder(), outcome, grant_.per_host.memory_bytes)};
}

Result<std::string> TrainingRun::upload() {
    if (!file_exists(folder())) return internal_error("the files of the run are gone", folder());
    const executors::ArtifactPaths paths{folder(), plan_.training.hosts};
    executors::ArtifactRequest request{.inside = "output/data",
                                       .name = "output",
                                       .target = plan_.output,
                                       .form = plan_.artifact_form,
                                       .even_if_empty = false};
    request.target.key += job_.name + "/output/";
    if (plan_.artifact_form == executors::ArtifactForm::Files) request.name = "data";
    TRY(executors::upload_artifacts(context_.parts.objects, paths, request));
    request.inside = request.name = "model";
    request.even_if_empty = true;
    return executors::upload_artifacts(context_.parts.objects, paths, request);
}

Result<After> TrainingRun::end(const TrainingJobRow& row, const Verdict& verdict, const std::string& artifacts,
                               const std::optional<RunOutcome>& outcome) {
    const bool ran = outcome && outcome->started != Timestamp{};
    context_.checkpoints.forget(id_);
    if (ran) TRY(context_.scraper.drain(scraped(TRY(open_logs()))));
    if (!run_id_.empty()) TRY(context_.parts.identity.withdraw_job_credentials(run_id_));
    TrainingJobChange change{
        .to = Phase::Ended,
        .from = {Phase::Queued, Phase::Staging, Phase::Launching, Phase::Running, Phase::Finishing}};
    change.status = verdict.status;
    change.secondary_status = verdict.secondary_status;
    change.message = verdict.message;
    change.failure_reason = verdict.failure_reason;
    change.model_artifacts = artifacts;
    change.training_end = now();
    if (ran) {
        change.training_start = outcome->started;
        change.training_seconds = std::max<int64_t>(1, (outcome->ran.count() + 999) / 1000);
    }
    TRY(this->change(change));
    log::info("training job " + row.job.name + ": " + verdict.status);
    return After::Done;
}

void TrainingRun::discard() {
    if (run_id_.empty()) return;
    if (auto removed = remove_tree(folder()); !removed) log::warning("removing the files of " + key(), removed.error());
}

std::string cause_name(RunOutcome::Cause cause) {
    switch (cause) {
        case RunOutcome::Cause::Exited:
            return "Exited";
        case RunOutcome::Cause::StopRequested:
            return "StopRequested";
        case RunOutcome::Cause::MaxRuntime:
            return "MaxRuntime";
        case RunOutcome::Cause::LaunchFailed:
            return "LaunchFailed";
        case RunOutcome::Cause::Lost:
            return "Lost";
    }
    return "Lost";
}

}  // namespace

std::shared_ptr<jobs::Work> make_training_run(const TrainingRunContext& context, const TrainingJobRow& row,
                                              TrainingPlan plan, const jobs::Grant& grant) {
    return std::make_shared<TrainingRun>(context, row, std::move(plan), grant);
}

std::string training_run_key(int64_t id) { return "training-job/" + std::to_string(id); }

std::string training_run_folder(const TrainingJobSettings& settings, const std::string& run_id) {
    return settings.folder + "/" + run_id;
}

Json outcome_to_json(const RunOutcome& outcome) {
    auto hosts = Json::array();
    for (const auto& host : outcome.hosts) {
        hosts.push_back(Json::object(
            {{"exit_code", host.exit_code}, {"signal", host.signal}, {"out_of_memory", host.out_of_memory}}));
    }
    return Json::object({{"cause", cause_name(outcome.cause)},
                         {"message", outcome.message},
                         {"first_failure", outcome.first_failure},
                         {"hosts", std::move(hosts)},
                         {"started", to_epoch_milliseconds(outcome.started)},
                         {"ended", to_epoch_milliseconds(outcome.ended)},
                         {"ran", static_cast<int64_t>(outcome.ran.count())}});
}

RunOutcome outcome_from_json(const Json& document) {
    RunOutcome outcome;
    outcome.cause = RunOutcome::Cause::Lost;
    const auto name = document["cause"].string_or("");
    for (const auto cause : {RunOutcome::Cause::Exited, RunOutcome::Cause::StopRequested, RunOutcome::Cause::MaxRuntime,
                             RunOutcome::Cause::LaunchFailed}) {
        if (cause_name(cause) == name) outcome.cause = cause;
    }
    outcome.message = document["message"].string_or("");
    outcome.first_failure = static_cast<int>(document["first_failure"].int_or(-1));
    for (const auto& host : document["hosts"].items()) {
        outcome.hosts.push_back({static_cast<int>(host["exit_code"].int_or(0)),
                                 static_cast<int>(host["signal"].int_or(0)), host["out_of_memory"].bool_or(false)});
    }
    outcome.started = from_epoch_milliseconds(document["started"].int_or(0));
    outcome.ended = from_epoch_milliseconds(document["ended"].int_or(0));
    outcome.ran = std::chrono::milliseconds(document["ran"].int_or(0));
    return outcome;
}

}  // namespace millwright::resources
