#include "resources/training_jobs/training_run.h"

#include <algorithm>

#include "base/fail_point.h"
#include "base/files.h"
#include "base/log.h"
#include "executors/contract/artifacts.h"
#include "executors/contract/failure.h"
#include "resources/images/images.h"
#include "resources/instance_types/instance_types.h"
#include "resources/training_jobs/kept_runs.h"
#include "resources/training_jobs/machine_restart.h"
#include "resources/training_jobs/role_access.h"
#include "resources/training_jobs/run_command.h"
#include "resources/training_jobs/run_logs.h"
#include "resources/training_jobs/run_outcome.h"
#include "resources/training_jobs/training_history.h"
#include "resources/training_jobs/training_segments.h"
#include "resources/training_jobs/training_verdict.h"
#include "resources/training_jobs/warm_start.h"

namespace millwright::resources {
namespace {

// Stdout and stderr of one host; the last lines are kept whatever came before.
constexpr uint64_t kMaxLogBytes = uint64_t{256} << 20;

// Of one host, threads included. Enough for every framework, and few enough to be ended within seconds by the
// processors of the host.
int64_t max_processes(double cpus) { return std::max<int64_t>(2048, static_cast<int64_t>(cpus * 1024)); }

using executors::RunOutcome;
using executors::RunSpec;
using jobs::After;
using jobs::Ending;

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
          grant_(grant),
          expected_(
              expected_duration(context.parts.database, row.job, plan_.max_runtime + context.settings.stop_grace)) {}

    std::string key() const override { return training_run_key(id_); }
    std::string owner() const override { return owner_; }
    jobs::Demand demand() const override { return jobs::total(grant_, plan_.training.hosts); }
    std::chrono::milliseconds rest() const override { return rest_; }

    bool needs_provisions() const override {
        return (plan_.command.framework && !script_) || (!plan_.command.image.empty() && !image_);
    }
    Result<void> provision(const jobs::StopFlag& stop) override;
    jobs::Expected expected() const override { return expected_; }
    void waiting(const std::string& reason) override;
    Result<RunSpec> prepare(const jobs::StopFlag& stop) override;
    void started(Timestamp when) override;
    Result<After> finish(const Ending& ending) override;
    void discard() override;

  private:
    Timestamp now() const { return context_.parts.clock.now(); }
    std::string folder() const { return training_run_folder(context_.settings, run_id_); }
    Result<bool> change(const TrainingJobChange& change);
    void explain(std::string_view secondary_status, const std::string& message);
    Result<std::vector<std::string>> open_logs();
    RunSpec instances() const;
    Result<RunSpec> run_spec(executors::StagedTree tree, std::chrono::seconds max_runtime);
    CommandedRun commanded() const {
        return {job_, plan_, grant_, run_id_, folder(), script_ ? &*script_ : nullptr, image_ ? &*image_ : nullptr};
    }
    Result<void> prepare_image(const executors::ImageProgress& progress, const jobs::StopFlag& stop);
    bool can_be_warm() const;
    Result<bool> keep_instances(bool ran);
    void plan_interruption(Timestamp started);
    Result<After> end_segment(const TrainingJobRow& row, const RunOutcome& outcome, Follows follows);
    Result<After> close_segment(const TrainingJobRow& row);
    Result<void> upload_live();
    Result<After> finish_run(const TrainingJobRow& row, const RunOutcome& outcome);
    Result<After> end(const TrainingJobRow& row, const TrainingVerdict& verdict, const std::string& artifacts,
                      const std::optional<RunOutcome>& outcome);
    executors::FailedRun failed_run();
    uint64_t disk_limit() const { return static_cast<uint64_t>(plan_.volume_gib) << 30; }
    Result<std::string> upload();
    ScrapedJob scraped(std::vector<std::string> logs) const;
    CheckpointedJob checkpointed() const;

    const TrainingRunContext& context_;
    const int64_t id_;
    const TrainingJob job_;
    const std::string owner_;
    std::string run_id_;
    const TrainingPlan plan_;
    const jobs::Grant grant_;
    const jobs::Expected expected_;
    std::optional<ScriptEnvironment> script_;  // from provision() on, as
    std::optional<executors::RunImage> image_;
    Timestamp image_ready_{};           // when it was looked at last
    std::chrono::milliseconds rest_{};  // before the next segment
    int starts_in_vain_ = 0;            // that ended before the first instruction
    bool kept_ = false;                 // the files stay
    bool reuses_ = false;               // instances of a warm pool
    bool no_room_ = false;              // its files fill the disk: they must go
};

Result<bool> TrainingRun::change(const TrainingJobChange& change) {
    const bool done = TRY(context_.store.change(id_, change, now()));
    if (done) context_.changed(id_);
    return done;
}

Result<void> TrainingRun::provision(const jobs::StopFlag& stop) {
    if (!plan_.command.image.empty()) {
        Timestamp told{};
        const auto tell = [&](const std::string& line) {
            constexpr std::chrono::seconds kPause{1};  // a commit each
            if (told != Timestamp{} && now() - told < kPause) return;
            told = now();
            explain("Downloading", "Downloading the training image: " + line);
        };
        return prepare_image(tell, stop);
    }
    if (!context_.parts.environments) return internal_error("there are no environments");
    script_ = TRY(provide_script_environment(context_.parts.objects, *context_.parts.environments, plan_.command, stop,
                                             [this](const std::string& line) { explain("Starting", line); }));
    return {};
}

Result<void> TrainingRun::prepare_image(const executors::ImageProgress& progress, const jobs::StopFlag& stop) {
    if (!context_.parts.images) return internal_error("there are no images");
    const auto request = TRY(image_request({job_.account, job_.region}, plan_.command.image));
    auto prepared = context_.parts.images->images().prepare(request, progress, [&] { return stop.load(); });
    if (prepared) {
        image_ = std::move(*prepared);
        image_ready_ = now();
        return {};
    }
    auto error = std::move(prepared.error());
    if (is_users_fault(error) && error.kind != ErrorKind::LimitExceeded)
        error.message =
            "Cannot pull algorithm container. Either the image does not exist or its permissions are "
            "incorrect. (" +
            error.message + ")";
    return error;
}

void TrainingRun::waiting(const std::string& reason) { explain("Pending", reason); }

void TrainingRun::explain(std::string_view secondary_status, const std::string& message) {
    if (auto explained = context_.store.explain(id_, secondary_status, message, now()); !explained) {
        return log::warning("recording what " + key() + " waits for", explained.error());
    }
    context_.changed(id_);
}

// The run id is new for each attempt and recorded first, so whatever lies in other folders of the jobs directory
// belongs to nobody. From the commit of Launching on the executor may know the run, and only its word counts.
Result<RunSpec> TrainingRun::prepare(const jobs::StopFlag& stop) {
    const auto taken =
        context_.pools.take(id_, can_be_warm() ? script_->environment.choice.id : "", context_.parts.random.hex(32));
    run_id_ = taken.run_id;
    reuses_ = taken.reused;
    const bool mine = TRY(change({.to = Phase::Staging,
                                  .from = {Phase::Queued, Phase::Staging},
                                  .secondary_status = "Downloading",
                                  .message = "Downloading input data",
                                  .run_id = run_id_}));
    if (!mine) return internal_error("the job is not waiting any more");
    const auto row = TRY(context_.store.load(id_));
    TRY(make_directories(folder(), 0700));
    TRY(note_boot(folder()));
    // Unused layers go after a while, and the job may have waited for long.
    constexpr std::chrono::minutes kFresh{5};
    if (image_ && now() - image_ready_ > kFresh) TRY(prepare_image([](const std::string&) {}, stop));
    auto training = plan_.training;
    training.check_readable = TRY(readable_for_role(context_, job_));
    auto tree = TRY(executors::write_training_tree(context_.parts.objects, training, folder(), stop));
    FAIL_POINT("training_jobs.after_tree");
    auto spec = TRY(run_spec(std::move(tree), runtime_left(row, plan_)));
    if (taken.ready) run_on_spare(spec);
    if (script_) note_in_logs(spec.log_files, script_->environment.choice.note, now());
    TRY(note_log_begins(folder(), spec.log_files));
    TRY(change({.to = Phase::Launching, .from = {Phase::Staging}}));
    return spec;
}

Result<std::vector<std::string>> TrainingRun::open_logs() {
    return open_job_logs(context_.parts.logs, job_, plan_.training.hosts);
}

Result<RunSpec> TrainingRun::run_spec(executors::StagedTree tree, std::chrono::seconds max_runtime) {
    auto spec = instances();
    spec.id = run_id_;
    spec.folder = folder();
    auto command = TRY(run_command(context_, commanded()));
    spec.command = std::move(command.command);
    spec.environment = std::move(command.environment);
    spec.image = std::move(command.image);
    spec.working_folder = std::move(command.working_folder);
    spec.mounts = std::move(tree.mounts);
    spec.mounts.insert(spec.mounts.end(), command.mounts.begin(), command.mounts.end());
    spec.companions = std::move(tree.companions);
    const auto& program = context_.settings.algorithms_program;  // the others lie beside it
    for (auto& companion : spec.companions) companion.front().insert(0, program.substr(0, program.rfind('/') + 1));
    spec.log_files = TRY(open_logs());
    if (plan_.life.keep_alive.count() > 0 || reuses_) TRY(add_warm_cache(spec));
    spec.max_runtime = max_runtime;
    return spec;
}

// The hosts and what they may use, whatever runs on them.
RunSpec TrainingRun::instances() const {
    RunSpec spec;
    spec.hosts = plan_.training.hosts;
    spec.limits.cpus = grant_.per_host.cpus;
    spec.limits.max_processes = max_processes(grant_.per_host.cpus);
    spec.limits.memory_bytes = grant_.per_host.memory_bytes;
    const auto gpus = image_ ? given_gpus(plan_) : std::vector<int>(static_cast<size_t>(spec.hosts), 0);
    spec.limits.gpus = gpus.at(0);
    spec.network_isolation = plan_.network_isolation;
    if (!plan_.network_isolation) {
        spec.forward_to = context_.settings.forward_to;
        if (script_ || image_) spec.egress_socket = context_.settings.egress_socket;
    }
    spec.max_disk_bytes = disk_limit();
    spec.max_log_bytes = kMaxLogBytes;
    for (const auto& granted : grant_.by_host) {
        auto limits = spec.limits;
        limits.cpus = granted.cpus;
        limits.max_processes = max_processes(granted.cpus);
        limits.memory_bytes = granted.memory_bytes;
        limits.gpus = gpus.at(spec.host_limits.size());
        spec.host_limits.push_back(limits);
    }
    spec.stop_grace = context_.settings.stop_grace;
    return spec;
}

// On an interpreter that stands ready: what the runner starts, and only where it installs nothing first.
bool TrainingRun::can_be_warm() const {
    return script_ && !script_->install_requirements && plan_.command.entrypoint.empty() &&
           plan_.command.arguments.empty();
}

// Recorded before the end of the job, so that who sees the end finds the pool.
Result<bool> TrainingRun::keep_instances(bool ran) {
    context_.pools.give_up(id_);
    if (!ran) {
        TRY(context_.pools.keep_nothing(id_));
        return false;
    }
    return context_.pools.keep(id_, {.match = warm_pool_match(job_),
                                     .image = job_.request["AlgorithmSpecification"]["TrainingImage"].string_or(""),
                                     .demand = demand(),
                                     .hosts = plan_.training.hosts,
                                     .folder = folder()});
}

void TrainingRun::started(Timestamp when) {
    // Not decisive: finish() records all of it again from the outcome.
    auto recorded = change({.to = Phase::Running,
                            .from = {Phase::Launching},
                            .secondary_status = "Training",
                            .message = "Training image download completed. Training in progress.",
                            .training_start = when});
    if (!recorded) log::warning("recording the start of " + key(), recorded.error());
    plan_interruption(when);
    context_.checkpoints.watch(checkpointed());
    const auto type = find_instance_type(plan_.training.instance_type);
    context_.host_metrics.watch({run_id_, job_.account, job_.region, job_.name, type && type->gpus > 0});
    auto logs = open_logs();
    if (!logs) return log::warning("following the logs of " + key(), logs.error());
    if (auto watched = context_.scraper.watch(scraped(std::move(*logs))); !watched) {
        log::warning("following the logs of " + key(), watched.error());
    }
}

void TrainingRun::plan_interruption(Timestamp started) {
    const auto& spot = context_.settings.spot;
    const auto row = context_.store.load(id_);
    if (!row) return log::warning("planning the interruption of " + key(), row.error());
    const auto planned = planned_interruption(*row, plan_, spot.mean_between_interruptions, spot.seed);
    if (planned) context_.deadlines.set(id_, Deadline::Interruption, *planned - (now() - started));
}

ScrapedJob TrainingRun::scraped(std::vector<std::string> logs) const {
    return {id_, job_.account, job_.region, job_.name, plan_.metric_definitions, std::move(logs)};
}

CheckpointedJob TrainingRun::checkpointed() const { return uploads_of(id_, job_.name, plan_.training, folder()); }

Result<After> TrainingRun::finish(const Ending& ending) {
    const auto row = TRY(context_.store.load(id_));
    if (row.phase == Phase::Ended) return After::Done;
    run_id_ = row.run_id;
    if (row.phase == Phase::Between) return close_segment(row);
    if (ending.outcome && never_ran(*ending.outcome) && row.phase == Phase::Launching) {
        // The server, or the launcher, died between the record and the start. No launcher will come to life later
        // either: adopt() has made sure of it, and the folder goes before the job is queued again.
        constexpr int kMostInVain = 5;
        if (++starts_in_vain_ > kMostInVain)
            return end(row, judge(row.stop_cause, *ending.outcome, {}), "", std::nullopt);
        TRY(change({.to = Phase::Queued, .from = {Phase::Launching}}));
        rest_ = rest_before(starts_in_vain_ - 1);
        return After::QueueAgain;
    }
    if (ending.outcome) return finish_run(row, *ending.outcome);
    if (ending.error && may_retry(row, plan_, *ending.error)) {
        TRY(change({.to = Phase::Queued,
                    .from = {Phase::Queued, Phase::Staging, Phase::Launching},
                    .secondary_status = "Restarting",
                    .message = retry_message(ending.error->message, row.retries + 1, plan_.life.max_retries),
                    .retry = true}));
        rest_ = rest_before(row.retries + 1);
        return After::QueueAgain;
    }
    if (ending.error && !row.stop_requested) {
        return end(row, failed(failure_reason_of(*ending.error)), "", std::nullopt);
    }
    return end(row, stopped(row.stop_cause), "", std::nullopt);
}

Result<After> TrainingRun::finish_run(const TrainingJobRow& row, const RunOutcome& ended) {
    auto outcome = ended;
    const bool results_lost = machine_restarted(folder());
    if (results_lost && outcome.cause != RunOutcome::Cause::LaunchFailed) {
        outcome.cause = RunOutcome::Cause::Lost;
        if (outcome.message.empty()) outcome.message = "the machine restarted before the results were saved";
    }
    if (row.phase != Phase::Finishing || results_lost) {
        const auto follows = what_follows(row, plan_, outcome);
        const bool over = row.ran_before + outcome.ran >= plan_.max_runtime;
        if (follows != Follows::Nothing && !over) return end_segment(row, outcome, follows);
        if (follows == Follows::AfterInterruption) outcome.cause = RunOutcome::Cause::MaxRuntime;
    }
    const bool ran = outcome.cause != RunOutcome::Cause::LaunchFailed && outcome.cause != RunOutcome::Cause::Lost;
    if (is_images_fault(plan_, outcome) && !row.stop_requested) {
        const auto why = "The container of image " + plan_.command.image + " cannot be started: " + outcome.message +
                         missing_program_advice(outcome.message, "train");
        return end(row, failed(executors::client_error(why)), "", outcome);
    }
    if (!ran) return end(row, judge(row.stop_cause, outcome, failed_run()), "", outcome);
    TRY(change({.to = Phase::Finishing,
                .from = {Phase::Launching, Phase::Running},
                .secondary_status = "Uploading",
                .message = "Uploading generated training model",
                .training_start = outcome.started,
                .outcome = outcome_to_json(outcome)}));
    auto verdict = judge(row.stop_cause, outcome, failed_run());
    // First, because a model that cannot be packed must not take the checkpoints along.
    const auto live = upload_live();
    // What a failed run leaves is not worth waiting for room that perhaps only its own end can make.
    const bool has_failed = verdict.status == "Failed";
    const auto waits = [&](const Error& error) {
        return heals(error) && !(has_failed && error.kind == ErrorKind::LimitExceeded);
    };
    if (!live && waits(live.error())) return live.error();
    FAIL_POINT("training_jobs.before_upload");
    const auto artifacts = upload();
    FAIL_POINT("training_jobs.after_upload");
    if (!artifacts && waits(artifacts.error())) return artifacts.error();
    no_room_ = has_failed && ((!live && live.error().kind == ErrorKind::LimitExceeded) ||
                              (!artifacts && artifacts.error().kind == ErrorKind::LimitExceeded));
    if (!live && !no_room_) verdict = failed(executors::client_error(live.error().message));
    if (!artifacts && !no_room_) verdict = failed(executors::client_error(artifacts.error().message));
    return end(row, verdict, artifacts ? *artifacts : "", outcome);
}

// What the run uploaded while it ran, once more to the end.
Result<void> TrainingRun::upload_live() { return context_.checkpoints.finish(checkpointed()); }

// From this commit on the segment is counted, and another follows whatever happens.
Result<After> TrainingRun::end_segment(const TrainingJobRow& row, const RunOutcome& outcome, Follows follows) {
    const bool interrupted = follows == Follows::AfterInterruption;
    TrainingJobChange change{.to = Phase::Between, .from = {Phase::Launching, Phase::Running, Phase::Finishing}};
    change.secondary_status = interrupted ? "Interrupted" : "Restarting";
    change.message = interrupted ? interruption_message(row.interruptions + 1, plan_.training.checkpoints.has_value())
                                 : retry_message(outcome.message, row.retries + 1, plan_.life.max_retries);
    change.interruption = interrupted;
    change.retry = !interrupted;
    if (outcome.started != Timestamp{}) change.training_start = outcome.started;
    change.outcome = outcome_to_json(outcome);
    change.segment_ran = outcome.ran;
    TRY(this->change(change));
    return close_segment(TRY(context_.store.load(id_)));
}

// No model is uploaded between segments.
Result<After> TrainingRun::close_segment(const TrainingJobRow& row) {
    // Of checkpoints that may be torn, those that were uploaded before are the better ones.
    const auto live = machine_restarted(folder()) ? Result<void>() : upload_live();
    if (!live && heals(live.error())) return live.error();
    if (!live) return end(row, failed(executors::client_error(live.error().message)), "", std::nullopt);
    context_.checkpoints.forget(id_);
    if (row.job.training_start) TRY(context_.scraper.drain(scraped(TRY(open_logs()))));
    TRY(context_.parts.identity.withdraw_job_credentials(run_id_));
    TRY(change({.to = Phase::Queued,
                .from = {Phase::Between},
                .secondary_status = "Starting",
                .message = "Preparing the instances for the next attempt"}));
    const bool interrupted = outcome_from_json(row.outcome).cause == RunOutcome::Cause::StopRequested;
    rest_ = interrupted ? std::chrono::milliseconds(0) : rest_before(row.retries);
    return After::QueueAgain;
}

executors::FailedRun TrainingRun::failed_run() {
    executors::FailedRun run;
    run.folder = folder();
    if (auto files = open_logs()) run.log_files = std::move(*files);
    run.log_begins = log_begins(folder());
    for (int host = 0; host < plan_.training.hosts; ++host) {
        run.log_streams.push_back(training_log_stream(job_, host));
        const auto& granted = grant_.by_host.empty() ? grant_.per_host : grant_.by_host.at(static_cast<size_t>(host));
        run.memory_limits.push_back(granted.memory_bytes);
    }
    run.disk_limit = disk_limit();
    return run;
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
    FAIL_POINT("training_jobs.between_uploads");
    request.inside = request.name = "model";
    request.even_if_empty = true;
    return executors::upload_artifacts(context_.parts.objects, paths, request);
}

Result<After> TrainingRun::end(const TrainingJobRow& row, const TrainingVerdict& verdict, const std::string& artifacts,
                               const std::optional<RunOutcome>& outcome) {
    const bool ran = outcome && outcome->started != Timestamp{};
    const auto ran_in_all = row.ran_before + (ran ? outcome->ran : std::chrono::milliseconds(0));
    context_.checkpoints.forget(id_);
    context_.deadlines.forget(id_);
    if (ran) TRY(context_.scraper.drain(scraped(TRY(open_logs()))));
    if (!run_id_.empty()) TRY(context_.parts.identity.withdraw_job_credentials(run_id_));
    TrainingJobChange change{
        .to = Phase::Ended,
        .from = {Phase::Queued, Phase::Staging, Phase::Launching, Phase::Running, Phase::Finishing, Phase::Between}};
    change.status = verdict.status;
    change.secondary_status = verdict.secondary_status;
    change.message = verdict.message;
    change.failure_reason = verdict.failure_reason;
    change.model_artifacts = artifacts;
    change.training_end = now();
    if (ran) change.training_start = outcome->started;
    if (ran || row.ran_before.count() > 0) {
        const auto time = billed_time(ran_in_all, plan_.life.spot ? context_.settings.spot.billed_share : 1);
        change.training_seconds = time.training_seconds;
        change.billable_seconds = time.billable_seconds;
    }
    change.keep_folder = ran && !no_room_ && verdict.status == "Failed" && context_.settings.keep_failed > 0;
    const bool held =
        ran && outcome->cause != RunOutcome::Cause::LaunchFailed && outcome->cause != RunOutcome::Cause::Lost;
    const bool pooled = TRY(keep_instances(held));
    FAIL_POINT("training_jobs.before_ended");
    kept_ = TRY(this->change(change)) && change.keep_folder;
    if (pooled && can_be_warm()) context_.pools.stand_ready(id_, warm_spare(context_, commanded(), instances()));
    log::info("training job " + row.job.name + ": " + verdict.status);
    return After::Done;
}

void TrainingRun::discard() {
    if (run_id_.empty()) return;
    if (kept_) return limit_kept_runs(context_);
    if (auto removed = remove_tree(folder()); !removed) log::warning("removing the files of " + key(), removed.error());
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

}  // namespace millwright::resources
