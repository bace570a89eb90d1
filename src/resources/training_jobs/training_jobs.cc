#include "resources/training_jobs/training_jobs.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "executors/contract/failure.h"
#include "resources/training_jobs/kept_runs.h"
#include "resources/training_jobs/plan_channels.h"
#include "resources/training_jobs/plan_command.h"
#include "resources/training_jobs/role_access.h"
#include "resources/training_jobs/run_logs.h"
#include "resources/training_jobs/run_outcome.h"
#include "resources/training_jobs/training_job_card.h"
#include "resources/training_jobs/training_run.h"
#include "resources/training_jobs/warm_start.h"

namespace millwright::resources {
namespace {

using executors::Channel;
using object_store::ObjectStore;

// Lets a Describe wait for a commit. Nothing is kept for jobs nobody waits for.
class Changes {
  public:
    explicit Changes(size_t max_waiters) : max_waiters_(max_waiters) {}

    void announce(int64_t id) {
        MutexLock lock(mutex_);
        const auto watched = watched_.find(id);
        if (watched == watched_.end()) return;
        ++watched->second.generation;
        changed_.notify_all();
    }

    void release() {
        MutexLock lock(mutex_);
        released_ = true;
        changed_.notify_all();
    }

    // Calls `look` until it says true, again after each announcement, until the deadline or release().
    void wait(int64_t id, std::chrono::steady_clock::time_point deadline, const std::function<bool()>& look) {
        uint64_t seen = 0;
        {
            MutexLock lock(mutex_);
            if (released_ || waiters_ >= max_waiters_) return;
            ++waiters_;
            auto& watched = watched_[id];
            ++watched.waiters;
            seen = watched.generation;
        }
        while (!look()) {
            MutexLock lock(mutex_);
            auto& watched = watched_[id];
            bool in_time = true;
            while (watched.generation == seen && in_time && !released_) in_time = changed_.wait_until(mutex_, deadline);
            if (watched.generation == seen) break;
            seen = watched.generation;
        }
        MutexLock lock(mutex_);
        --waiters_;
        if (--watched_[id].waiters == 0) watched_.erase(id);
    }

  private:
    struct Watched {
        size_t waiters = 0;
        uint64_t generation = 0;
    };
    const size_t max_waiters_;
    Mutex mutex_;
    Condition changed_;
    std::map<int64_t, Watched> watched_ GUARDED_BY(mutex_);
    size_t waiters_ GUARDED_BY(mutex_) = 0;
    bool released_ GUARDED_BY(mutex_) = false;
};

class RunningTrainingJobs : public TrainingJobs {
  public:
    RunningTrainingJobs(const TrainingJobSettings& settings, const Parts& parts)
        : settings_(settings), parts_(parts), changes_(settings.max_held_describes) {}

    Result<void> open();

    Result<std::string> create(const NewTrainingJob& job) override;
    Result<TrainingJob> describe(std::string_view account, std::string_view region, std::string_view name) override;
    Result<TrainingJobCard> inspect(std::string_view account, std::string_view region, std::string_view name) override;
    Result<TrainingJob> describe_changed(std::string_view account, std::string_view region, std::string_view name,
                                         std::chrono::milliseconds longest) override;
    Result<TrainingJobPage> list(std::string_view account, std::string_view region,
                                 const TrainingJobQuery& query) override {
        return store_->list(account, region, query, parts_.clock.now());
    }
    Result<void> stop(std::string_view account, std::string_view region, std::string_view name) override;
    Result<void> interrupt(std::string_view account, std::string_view region, std::string_view name) override;
    Result<void> remove(std::string_view account, std::string_view region, std::string_view name) override;
    Result<std::string> set_keep_alive(std::string_view account, std::string_view region, std::string_view name,
                                       std::chrono::seconds keep_alive) override;
    void release_waiting() override {
        changes_.release();
        pools_->shut_down();
        host_metrics_->shut_down();
    }

  private:
    Result<void> recover();
    Result<void> recover(const TrainingJobRow& row);
    void set_deadlines(const TrainingJobRow& row, const TrainingLife& life);
    void due(int64_t id, Deadline deadline);
    Result<void> expire(int64_t id, StopCause cause);
    Result<jobs::Grant> grant(const TrainingPlan& plan, jobs::TooLarge policy) const;
    Result<TrainingJob> finished_view(TrainingJobRow row);
    void remove_leftovers(const std::set<std::string>& live_runs);
    Result<std::string> meaning_of_image(const NewTrainingJob& job) const;
    Result<void> check_role(const NewTrainingJob& job) const;
    Result<void> check_image(const NewTrainingJob& job, const std::string& image) const;
    Result<void> check_storage(const NewTrainingJob& job, const TrainingPlan& plan) const;
    Result<void> check_bucket(const std::string& name, const std::string& member) const;
    Result<void> check_channel(const NewTrainingJob& job, const Channel& channel) const;

    const TrainingJobSettings settings_;
    const Parts parts_;
    Changes changes_;
    std::unique_ptr<TrainingJobStore> store_;
    std::unique_ptr<MetricScraper> scraper_;
    std::unique_ptr<HostMetrics> host_metrics_;
    std::unique_ptr<CheckpointUploader> checkpoints_;
    std::unique_ptr<JobDeadlines> deadlines_;
    std::unique_ptr<WarmPools> pools_;
    std::optional<TrainingRunContext> context_;
};

Result<void> RunningTrainingJobs::open() {
    TRY(make_directories(settings_.folder, 0700));
    store_ = TRY(TrainingJobStore::open(parts_.database, parts_.tags, settings_.quotas));
    scraper_ = TRY(MetricScraper::start(*store_, parts_.metrics));
    checkpoints_ = CheckpointUploader::start(parts_.objects);
    pools_ = TRY(WarmPools::open(settings_.folder,
                                 {parts_.database, parts_.executor, parts_.supervisor, parts_.clock, parts_.random}));
    deadlines_ = std::make_unique<JobDeadlines>([this](int64_t id, Deadline deadline) { due(id, deadline); });
    host_metrics_ = HostMetrics::start({parts_.executor, parts_.database, parts_.metrics, parts_.clock},
                                       settings_.host_metrics_interval);
    context_.emplace(TrainingRunContext{settings_, parts_, *store_, *scraper_, *host_metrics_, *checkpoints_,
                                        *deadlines_, *pools_, [this](int64_t id) { changes_.announce(id); }});
    TRY(recover());
    limit_kept_runs(*context_);  // the settings may have changed
    return {};
}

Result<void> RunningTrainingJobs::recover() {
    const auto rows = TRY(store_->unfinished());
    std::set<std::string> live_runs;
    for (const auto& row : rows) {
        if (row.phase >= Phase::Launching) live_runs.insert(row.run_id);
    }
    for (const auto& run : TRY(store_->kept())) live_runs.insert(run.run_id);
    for (const auto& run_id : pools_->run_ids()) live_runs.insert(run_id);
    remove_leftovers(live_runs);
    for (const auto& row : rows) {
        if (auto recovered = recover(row); !recovered)
            log::error("continuing training job " + row.job.name, recovered.error());
    }
    return {};
}

// Folders of runs that had ended, or had not been handed to the executor, when the last server died.
void RunningTrainingJobs::remove_leftovers(const std::set<std::string>& live_runs) {
    std::error_code failure;
    std::vector<std::string> leftovers;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.folder, failure)) {
        auto name = entry.path().filename().string();
        if (!live_runs.count(name)) leftovers.push_back(std::move(name));
    }
    for (const auto& run_id : leftovers) {
        const auto folder = training_run_folder(settings_, run_id);
        if (auto ended = parts_.executor.end_leftover(folder); !ended)  // a spare that nobody keeps
            log::warning("ending leftovers", ended.error());
        parts_.executor.clean_up(run_id, folder);
        if (auto removed = remove_tree(folder); !removed) log::warning("removing leftovers", removed.error());
    }
}

Result<void> RunningTrainingJobs::recover(const TrainingJobRow& row) {
    auto plan = TRY(plan_training(row.job.request, row.image));
    const auto found = find_file_systems(settings_.file_systems, plan.training.channels);
    if (!found && row.phase < Phase::Launching) return found;
    // The machine may be smaller than it was; what was accepted is not refused now.
    const auto& machine = parts_.supervisor.machine();
    const auto hosts = plan.training.hosts;
    const auto granted =
        grant(plan, jobs::TooLarge::Shrink)
            .value_or(jobs::Grant{{machine.cpus / hosts, machine.memory_bytes / static_cast<uint64_t>(hosts)}, "", {}});
    jobs::Entry entry;
    entry.stop = row.stop_requested;
    if (row.phase >= Phase::Launching) {
        entry.run_id = row.run_id;
        entry.folder = training_run_folder(settings_, row.run_id);
        entry.at = jobs::Entry::At::Adopt;
        entry.interrupt = row.interrupted_run == row.run_id;
    }
    if (row.phase == Phase::Finishing || row.phase == Phase::Between) {
        entry.at = jobs::Entry::At::Finish;
        entry.ending.outcome = outcome_from_json(row.outcome);
    }
    TRY(pools_->begin(row.id, plan.life.keep_alive));
    const auto life = plan.life;
    parts_.supervisor.submit(make_training_run(*context_, row, std::move(plan), granted), std::move(entry));
    set_deadlines(row, life);  // afterwards, because one that is over stops what the supervisor knows
    return {};
}

void RunningTrainingJobs::set_deadlines(const TrainingJobRow& row, const TrainingLife& life) {
    const auto gone = parts_.clock.now() - row.job.created;
    if (life.max_wait) deadlines_->set(row.id, Deadline::MaxWait, *life.max_wait - gone);
    if (life.max_pending) deadlines_->set(row.id, Deadline::MaxPending, *life.max_pending - gone);
}

// From the thread of the deadlines.
void RunningTrainingJobs::due(int64_t id, Deadline deadline) {
    const auto act = [&]() -> Result<void> {
        switch (deadline) {
            case Deadline::MaxWait:
                return expire(id, StopCause::MaxWait);
            case Deadline::MaxPending:
                return expire(id, StopCause::MaxPending);
            case Deadline::Interruption:
                break;
        }
        const auto row = TRY(store_->load(id));
        return interrupt(row.job.account, row.job.region, row.job.name);
    };
    const auto outcome = act();
    // Too late is as good as not at all.
    if (!outcome && outcome.error().kind != ErrorKind::Conflict && outcome.error().kind != ErrorKind::NotFound)
        log::error("a deadline of " + training_run_key(id), outcome.error());
}

Result<void> RunningTrainingJobs::expire(int64_t id, StopCause cause) {
    const auto* message = cause == StopCause::MaxWait
                              ? "Stopping the training job: MaxWaitTimeInSeconds is over"
                              : "Stopping the training job: MaxPendingTimeInSeconds is over and it has not begun";
    if (!TRY(store_->request_expiry(id, cause, message, parts_.clock.now()))) return {};
    changes_.announce(id);
    parts_.supervisor.stop(training_run_key(id));
    return {};
}

Result<jobs::Grant> RunningTrainingJobs::grant(const TrainingPlan& plan, jobs::TooLarge policy) const {
    const auto& machine = parts_.supervisor.machine();
    if (plan.wanted_by_host.empty()) return jobs::grant(machine, plan.wanted, plan.training.hosts, policy);
    return jobs::grant_each(machine, plan.wanted_by_host, policy);
}

// In the words in which AWS refuses for want of quota: what clients handle is there, and the truth behind it.
Error never_fits(const TrainingPlan& plan, const jobs::Machine& machine, Error why) {
    if (!plan.training.groups.empty() || why.kind != ErrorKind::LimitExceeded) return why;
    const auto by_memory = machine.memory_bytes / plan.wanted.memory_bytes;
    const auto fits = std::min(static_cast<int64_t>(machine.cpus / plan.wanted.cpus), static_cast<int64_t>(by_memory));
    auto refusal = quota_exceeded(instance_quota_name(plan.training.instance_type, plan.life.spot), fits, 0,
                                  plan.training.hosts, "Instances");
    refusal.message += " (" + why.message + ")";
    return refusal;
}

Result<std::string> RunningTrainingJobs::create(const NewTrainingJob& asked) {
    const auto image = TRY(meaning_of_image(asked));
    auto plan = TRY(plan_training(asked.request, image));
    TRY(find_file_systems(settings_.file_systems, plan.training.channels));
    const auto tags = TRY(parse_tags(asked.request["Tags"]));
    const auto policy = settings_.strict_capacity ? jobs::TooLarge::Refuse : jobs::TooLarge::Shrink;
    const auto possible = grant(plan, policy);
    if (!possible && settings_.strict_capacity) return never_fits(plan, parts_.supervisor.machine(), possible.error());
    const auto granted = TRY(Result<jobs::Grant>(possible));
    TRY(check_role(asked));
    TRY(check_storage(asked, plan));
    TRY(check_role_access(parts_.identity, parts_.objects, asked, plan));
    TRY(check_image(asked, plan.command.image));

    TrainingJobRow row;
    auto& job = row.job;
    job.account = asked.account;
    job.region = asked.region;
    job.name = asked.request["TrainingJobName"].string_or("");
    job.arn = training_job_arn(job.account, job.region, job.name);
    job.created = parts_.clock.now();
    job.request = asked.request;
    job.request.erase("Tags");
    row.owner = asked.created_by;
    std::string message = "Starting the training job";
    const auto what = plan.training.groups.empty() ? plan.training.instance_type : "instance groups";
    if (!granted.note.empty()) message += " (" + what + ": " + granted.note + ")";

    const auto id = store_->insert(job, row.owner, message, tags, image);
    if (!id && id.error().kind == ErrorKind::AlreadyExists) {
        return Error{
            ErrorKind::AlreadyExists,
            "Training job names must be unique within an AWS account and region, and a training job with this name "
            "already exists (" +
                job.arn + ")",
            id.error().detail};
    }
    row.id = TRY(Result<int64_t>(id));
    row.image = image;
    TRY(pools_->begin(row.id, plan.life.keep_alive));
    const auto life = plan.life;
    jobs::Entry entry;
    const auto uri = job.request["AlgorithmSpecification"]["TrainingImage"].string_or("");
    entry.reservation = pools_->claim(warm_pool_match(job), uri, row.id, job.name);
    parts_.supervisor.submit(make_training_run(*context_, row, std::move(plan), granted), std::move(entry));
    set_deadlines(row, life);
    return job.arn;
}

Result<void> RunningTrainingJobs::check_role(const NewTrainingJob& job) const {
    const auto arn = job.request["RoleArn"].string_or("");
    const auto role = parts_.identity.resolve_role(job.account, arn);
    const auto job_arn = training_job_arn(job.account, job.region, job.request["TrainingJobName"].string_or(""));
    if (role && TRY(parts_.identity.service_may_assume(*role, "sagemaker.amazonaws.com", job_arn))) return {};
    if (!role && role.error().kind != ErrorKind::NotFound && role.error().kind != ErrorKind::InvalidInput)
        return role.error();
    return invalid_input(
        "Could not assume role " + arn +
        ". Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.");
}

Result<std::string> RunningTrainingJobs::meaning_of_image(const NewTrainingJob& job) const {
    if (!parts_.images) return std::string();
    ImageCaller caller{job.account, job.region};
    caller.script = has_script(job.request);
    return parts_.images->meaning(caller, job.request["AlgorithmSpecification"]["TrainingImage"].string_or(""));
}

Result<void> RunningTrainingJobs::check_image(const NewTrainingJob& job, const std::string& image) const {
    if (image.empty()) return {};
    if (!parts_.images) return invalid_input(unsupported_image_message(image));
    const auto role = TRY(parts_.identity.resolve_role(job.account, job.request["RoleArn"].string_or("")));
    return parts_.images->check({job.account, job.region, &role}, image);
}

Result<void> RunningTrainingJobs::check_storage(const NewTrainingJob& job, const TrainingPlan& plan) const {
    for (const auto& channel : plan.training.channels) TRY(check_channel(job, channel));
    TRY(check_bucket(plan.output.bucket, "OutputDataConfig.S3OutputPath"));
    if (plan.training.checkpoints) TRY(check_bucket(plan.training.checkpoints->uri.bucket, "CheckpointConfig.S3Uri"));
    return {};
}

Result<void> RunningTrainingJobs::check_bucket(const std::string& name, const std::string& member) const {
    const auto bucket = parts_.objects.find_bucket(name);
    if (bucket) return {};
    if (bucket.error().kind != ErrorKind::NotFound && bucket.error().kind != ErrorKind::InvalidInput)
        return bucket.error();
    return invalid_input("The bucket of " + member + " does not exist: " + name + ".");
}

// Whether there is anything at all; what exactly is asked when the job starts.
Result<void> RunningTrainingJobs::check_channel(const NewTrainingJob& job, const Channel& channel) const {
    if (channel.source == Channel::Source::FileSystem) return {};
    const auto uri = "s3://" + channel.uri.bucket + "/" + channel.uri.key;
    const auto missing =
        invalid_input("No S3 objects found under S3 URL \"" + uri +
                      "\" given in input data source. Please ensure that the bucket exists in the "
                      "selected region (" +
                      job.region + "), that objects exist under that S3 prefix, and that the role \"" +
                      job.request["RoleArn"].string_or("") + "\" has \"s3:ListBucket\" permissions on bucket \"" +
                      channel.uri.bucket + "\".");
    const auto absent = [](const Error& error) {
        return error.kind == ErrorKind::NotFound || error.kind == ErrorKind::InvalidInput;
    };
    if (channel.source == Channel::Source::ManifestFile) {
        const auto manifest = parts_.objects.head(channel.uri.bucket, channel.uri.key);
        if (manifest) return {};
        return absent(manifest.error()) ? missing : manifest.error();
    }
    object_store::ListRequest request{.prefix = channel.uri.key, .delimiter = "", .after = "", .max_keys = 100};
    const auto page = parts_.objects.list(channel.uri.bucket, request);
    if (!page) return absent(page.error()) ? missing : page.error();
    for (const auto& object : page->objects) {
        if (!object.key.ends_with('/')) return {};
    }
    if (page->truncated) return {};
    return missing;
}

Result<TrainingJob> RunningTrainingJobs::finished_view(TrainingJobRow row) {
    auto job = std::move(row.job);
    job.warm_pool = TRY(pools_->status(row.id));
    job.metric_definitions = effective_metric_definitions(job.request, row.image);
    return job;
}

Result<TrainingJob> RunningTrainingJobs::describe(std::string_view account, std::string_view region,
                                                  std::string_view name) {
    return finished_view(TRY(store_->find(account, region, name)));
}

std::string instances_of(const TrainingPlan& plan) {
    if (plan.training.groups.empty()) return std::to_string(plan.training.hosts) + " x " + plan.training.instance_type;
    std::string text;
    for (const auto& group : plan.training.groups) {
        text += (text.empty() ? "" : ", ") + std::to_string(group.hosts) + " x " + group.instance_type + " (" +
                group.name + ")";
    }
    return text;
}

void add_hosts(const TrainingJobRow& row, int hosts, TrainingJobCard& card) {
    const bool is_over = !row.outcome.is_null();
    const auto outcome = is_over ? outcome_from_json(row.outcome) : executors::RunOutcome{};
    for (int host = 0; host < hosts; ++host) {
        TrainingHostCard entry{.name = executors::algo_name(host), .log_stream = training_log_stream(row.job, host)};
        if (static_cast<size_t>(host) < outcome.hosts.size()) {
            const auto& end = outcome.hosts[static_cast<size_t>(host)];
            entry.has_ended = true;
            entry.exit_code = end.exit_code;
            entry.signal = end.signal;
            entry.out_of_memory = end.out_of_memory;
            entry.out_of_disk = end.out_of_disk;
        }
        card.hosts.push_back(std::move(entry));
    }
    if (is_over && row.job.status == "Failed") card.culprit = executors::failed_host(card.folder, outcome);
}

Result<TrainingJobCard> RunningTrainingJobs::inspect(std::string_view account, std::string_view region,
                                                     std::string_view name) {
    const auto row = TRY(store_->find(account, region, name));
    const auto plan = TRY(plan_training(row.job.request, row.image));
    TrainingJobCard card;
    card.job = row.job;
    const auto folder = training_run_folder(settings_, row.run_id);
    const bool stays = row.phase != Phase::Ended || row.kept;
    if (stays && !row.run_id.empty() && file_exists(folder)) card.folder = folder;
    card.runs = row.phase == Phase::Launching || row.phase == Phase::Running;
    card.spot = plan.life.spot;
    card.interruptions = row.interruptions;
    card.retries = row.retries;
    add_hosts(row, plan.training.hosts, card);
    card.instances = instances_of(plan);
    card.wanted = jobs::to_text(plan.wanted);
    const auto granted = grant(plan, jobs::TooLarge::Shrink);
    card.granted = granted ? jobs::to_text(granted->per_host) : card.wanted;
    card.disk_bytes = static_cast<uint64_t>(plan.volume_gib) << 30;
    card.max_runtime = plan.max_runtime;
    card.has_checkpoints = plan.training.checkpoints.has_value();
    card.is_script = plan.command.framework.has_value();
    card.image = plan.command.image;
    return card;
}

Result<TrainingJob> RunningTrainingJobs::describe_changed(std::string_view account, std::string_view region,
                                                          std::string_view name, std::chrono::milliseconds longest) {
    const auto deadline = std::chrono::steady_clock::now() + longest;
    const auto first = TRY(store_->find(account, region, name));
    if (first.phase == Phase::Ended || longest.count() <= 0) return finished_view(first);
    Result<TrainingJobRow> latest = first;
    changes_.wait(first.id, deadline, [&] {
        latest = store_->find(account, region, name);
        return !latest || latest->job.status != first.job.status;
    });
    return finished_view(TRY(std::move(latest)));
}

Result<void> RunningTrainingJobs::stop(std::string_view account, std::string_view region, std::string_view name) {
    const auto before = TRY(store_->request_stop(account, region, name, parts_.clock.now()));
    if (before.phase == Phase::Ended) {
        return Error{ErrorKind::Conflict,
                     "The request was rejected because the training job is in status " + before.job.status + ".", ""};
    }
    changes_.announce(before.id);
    parts_.supervisor.stop(training_run_key(before.id));
    return {};
}

Result<void> RunningTrainingJobs::interrupt(std::string_view account, std::string_view region, std::string_view name) {
    const auto row = TRY(store_->request_interruption(account, region, name));
    log::info("training job " + row.job.name + ": its spot instances are taken away");
    parts_.supervisor.interrupt(training_run_key(row.id));
    return {};
}

Result<std::string> RunningTrainingJobs::set_keep_alive(std::string_view account, std::string_view region,
                                                        std::string_view name, std::chrono::seconds keep_alive) {
    const auto row = TRY(store_->find(account, region, name));
    if (row.phase != Phase::Ended) TRY(pools_->begin(row.id, keep_alive));
    const auto set = pools_->set_keep_alive(row.id, keep_alive);
    if (set) return row.job.arn;
    // Nothing to release is as good as released.
    if (set.error().kind == ErrorKind::NotFound && keep_alive.count() == 0) return row.job.arn;
    if (set.error().kind != ErrorKind::NotFound && set.error().kind != ErrorKind::Conflict) return set.error();
    return Error{ErrorKind::Conflict,
                 "The warm pool of training job " + row.job.name + " cannot be updated: " + set.error().message + ".",
                 ""};
}

Result<void> RunningTrainingJobs::remove(std::string_view account, std::string_view region, std::string_view name) {
    const auto row = TRY(store_->find(account, region, name));
    if (row.phase != Phase::Ended) {
        return Error{ErrorKind::Conflict,
                     "The training job " + row.job.name + " is in status " + row.job.status +
                         ". Stop it, and delete it when it has stopped.",
                     ""};
    }
    TRY(pools_->forget(row.id));
    TRY(store_->remove(row));
    if (row.run_id.empty()) return {};
    // It may have been kept.
    if (auto removed = remove_tree(training_run_folder(settings_, row.run_id)); !removed)
        log::warning("removing the files of " + training_run_key(row.id), removed.error());
    return {};
}

}  // namespace

std::string training_job_arn(std::string_view account, std::string_view region, std::string_view name) {
    return "arn:aws:sagemaker:" + std::string(region) + ":" + std::string(account) + ":training-job/" + to_lower(name);
}

Result<std::unique_ptr<TrainingJobs>> TrainingJobs::open(const TrainingJobSettings& settings, const Parts& parts) {
    auto jobs = std::make_unique<RunningTrainingJobs>(settings, parts);
    TRY(jobs->open());
    return std::unique_ptr<TrainingJobs>(std::move(jobs));
}

}  // namespace millwright::resources
