#include "simulation/story.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "simulation/disk.h"

namespace millwright::simulation {

using resources::TrainingJob;
using resources::TrainingJobQuery;

namespace {

constexpr int kServerGroup = 2;
constexpr auto kLongestSettling = 12 * 3600 * kSecond;

const std::set<std::string> kTerminal = {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"};

// What may follow, besides an end. Downloading may come again: a start in vain is made again without a word.
const std::map<std::string, std::set<std::string>> kFollows = {
    {"Starting", {"Pending", "Downloading", "Restarting", "Stopping"}},
    {"Pending", {"Starting", "Downloading", "Restarting", "Stopping"}},
    {"Downloading", {"Downloading", "Pending", "Training", "Uploading", "Interrupted", "Restarting", "Stopping"}},
    {"Training", {"Uploading", "Interrupted", "Restarting", "Stopping"}},
    {"Uploading", {"Stopping"}},
    {"Interrupted", {"Starting", "Stopping"}},
    {"Restarting", {"Starting", "Pending", "Downloading", "Restarting", "Stopping"}},
    {"Stopping", {}},
};

std::vector<std::string> statuses_of(const TrainingJob& job) {
    std::vector<std::string> result;
    for (const auto& transition : job.transitions) result.push_back(transition.status);
    return result;
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
    return text;
}

// `power_was_cut`: what was being uploaded may be gone with it, and the job runs again.
void check_transitions(const TrainingJob& job, bool power_was_cut) {
    const auto statuses = statuses_of(job);
    const auto fail_with = [&](const std::string& what) { fail(what + ": " + job.name + " " + joined(statuses)); };
    if (statuses.empty() || statuses.front() != "Starting") fail_with("a history without a beginning");
    for (size_t i = 0; i + 1 < statuses.size(); ++i) {
        if (kTerminal.contains(statuses[i])) fail_with("something follows the end");
        const auto known = kFollows.find(statuses[i]);
        if (known == kFollows.end()) fail_with("an unknown status");
        const bool runs_again = power_was_cut && statuses[i] == "Uploading" &&
                                (statuses[i + 1] == "Interrupted" || statuses[i + 1] == "Restarting");
        if (!kTerminal.contains(statuses[i + 1]) && !known->second.contains(statuses[i + 1]) && !runs_again)
            fail_with("an illegal transition after " + statuses[i]);
        if (job.transitions[i].end != job.transitions[i + 1].start) fail_with("a gap in the history");
    }
    if (job.ended() != kTerminal.contains(statuses.back())) fail_with("status " + job.status + " does not fit");
    if (job.ended() && !job.training_end) fail_with("an end without a time");
}

template <typename T>
void say(const std::string& what, const Result<T>& answer) {
    log::info("client: " + what + (answer ? ": done" : ": " + answer.error().message.substr(0, 100)));
}

}  // namespace

Story::Story(Scheduler& scheduler, const std::string& root, Fault fault)
    : scheduler_(scheduler), dice_(scheduler.dice()), launchers_(scheduler, Chances{}), random_(scheduler.dice()) {
    settings_.root = root;
    settings_.fault = fault;
    names_ = static_cast<int>(dice_.between(1, 12));
    clients_ = static_cast<int>(dice_.between(1, 4));
    operations_ = static_cast<int>(dice_.between(5, 40));
    spot_ = dice_.chance(0.5);
    pools_ = dice_.chance(0.5);
    scripts_ = dice_.chance(0.4);
    settings_.environments = &environments_;
    checkpoints_ = dice_.chance(0.2);
    jumps_ = dice_.chance(0.25);
    if (dice_.chance(0.3)) settings_.quotas.jobs_per_account = dice_.between(1, 4);
    if (spot_ && dice_.chance(0.6)) settings_.mean_between_interruptions = std::chrono::seconds(dice_.between(1, 20));
}

Story::~Story() = default;

void Story::tell() {
    const int lives = static_cast<int>(dice_.below(5));
    for (int life = 0; life < lives && operations_ > 0; ++life) {
        const auto roll = dice_.below(10);
        live_through(roll < 6 ? Ending::Kill : roll < 8 ? Ending::PowerCut : Ending::Orderly, false);
    }
    live_through(Ending::Orderly, true);
}

// One server, until it ends in the way given or, the last one, until everything is over.
void Story::live_through(Ending ending, bool last) {
    shutting_down_ = open_ = false;
    const int server = scheduler_.spawn("server", kServerGroup, [this] { serve(); });
    if (last) {
        while (!open_ || operations_ > 0) scheduler_.sleep(kSecond);
        bool checked = false;
        scheduler_.spawn("examiner", kServerGroup, [&] {
            settle(*engine_);
            check_end(*engine_);
            checked = true;
        });
        while (!checked) scheduler_.sleep(kSecond);
    } else {
        // By the clock, or after so many steps, wherever the server is then: also while it starts.
        if (dice_.chance(0.7)) scheduler_.wake_director_after(static_cast<uint64_t>(dice_.spread(3, 6000)));
        scheduler_.block(nullptr, scheduler_.steady_ns() + dice_.spread(kMillisecond, 60 * kSecond));
        if (ending != Ending::Orderly || !open_) return crash(ending == Ending::Orderly ? Ending::Kill : ending);
    }
    ++totals_.restarts;
    shutting_down_ = true;
    scheduler_.wake_all(this);
    scheduler_.join(server);
    if (scheduler_.count(kServerGroup) > 0)
        fail("threads are left of a server that has ended\n" + scheduler_.describe_fibers());
    launchers_.detach();
    close_all_files({settings_.root + "/db", settings_.root + "/db-wal"});
}

void Story::crash(Ending ending) {
    log::info(ending == Ending::Kill ? "---- kill -9" : "---- power cut");
    scheduler_.end_group(kServerGroup);
    for (auto& [name, record] : names_known_) record.deleting = 0;
    static_cast<void>(engine_.release());  // nobody cleans up after kill -9
    launchers_.detach();
    close_all_files({settings_.root + "/db", settings_.root + "/db-wal"});
    if (ending == Ending::Kill) {
        ++totals_.kills;
    } else {
        ++totals_.power_cuts;
        cut_ = true;
        launchers_.power_cut();
        cut_power(dice_);
        for (auto& attempt : attempts_) attempt.seen.clear();  // what was only shown may be gone
    }
    if (jumps_ && dice_.chance(0.5)) {
        jumped_ = true;
        constexpr int64_t kHour = 3600 * kSecond, kYears = 10 * 365 * 24 * kHour;
        const int64_t by[] = {kHour, -kHour, kYears, -kYears};
        scheduler_.jump_wall_clock(by[dice_.below(4)]);
    }
    scheduler_.sleep(dice_.spread(kMillisecond, 20 * kSecond));  // the machine starts again
}

void Story::serve() {
    log::info("---- a server starts");
    engine_ = std::make_unique<Engine>(settings_, launchers_, random_, dice_);
    open_ = true;
    std::vector<int> clients;
    for (int i = 0; i < clients_; ++i) clients.push_back(scheduler_.spawn("client", [this, i] { client(i); }));
    while (!shutting_down_) scheduler_.block(this);
    engine_->jobs().release_waiting();  // as the server's front does before it waits for its workers
    for (const int number : clients) scheduler_.join(number);
    engine_.reset();
}

void Story::client(int) {
    while (!shutting_down_ && operations_ > 0) {
        scheduler_.sleep(dice_.spread(10 * kMicrosecond, 5 * kSecond));
        if (shutting_down_ || operations_ <= 0) return;
        --operations_;
        act(*engine_);
    }
}

void Story::act(Engine& engine) {
    const auto roll = dice_.below(100);
    if (roll < 44) return create(engine);
    if (roll < 55) return stop(engine);
    if (roll < 66) return describe(engine);
    if (roll < 72) return wait_for_change(engine);
    if (roll < 79) return list(engine);
    if (roll < 87) return remove(engine);
    if (roll < 94) return interrupt(engine);
    if (roll < 96) return set_keep_alive(engine);
    audit(engine);
}

Json Story::request(const std::string& name, int attempt) {
    static const Json common = must(Json::parse(R"({
        "AlgorithmSpecification": {"TrainingInputMode": "File",
            "TrainingImage": "433757028032.dkr.ecr.us-west-2.amazonaws.com/xgboost:1"},
        "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv", "DataSource": {"S3DataSource": {
            "S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/train", "S3DataDistributionType": "FullyReplicated"}}}],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"}})"),
                                    "the request");
    auto document = common;
    document.set("TrainingJobName", name);
    document.set("RoleArn", "arn:aws:iam::" + engine_->account() + ":role/SageMakerRole");
    document.set("HyperParameters", Json::object({{"num_round", "2"}, {"seed", std::to_string(attempt)}}));
    const char* types[] = {"ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge"};
    auto resources = Json::object(
        {{"InstanceCount", dice_.between(1, 2)}, {"InstanceType", types[dice_.below(3)]}, {"VolumeSizeInGB", 5}});
    auto condition = Json::object({{"MaxRuntimeInSeconds", dice_.spread(5, 200)}});
    if (spot_ && dice_.chance(0.5)) {
        document.set("EnableManagedSpotTraining", true);
        condition.set("MaxWaitTimeInSeconds", condition["MaxRuntimeInSeconds"].int_or(0) + dice_.spread(1, 3000));
    } else if (pools_ && dice_.chance(0.6)) {
        resources.set("KeepAlivePeriodInSeconds", dice_.between(1, 600));
    }
    if (scripts_ && dice_.chance(0.7)) {
        const char* image = "236514542706.dkr.ecr.us-west-2.amazonaws.com/sagemaker-base-python-310:1.0";
        document.set("AlgorithmSpecification", Json::object({{"TrainingInputMode", "File"}, {"TrainingImage", image}}));
        document.set("HyperParameters",
                     Json::object({{"seed", std::to_string(attempt)},
                                   {"sagemaker_program", "\"train.py\""},
                                   {"sagemaker_submit_directory", "\"s3://bucket/code/source.tar\""}}));
    }
    if (dice_.chance(0.1)) condition.set("MaxPendingTimeInSeconds", dice_.between(7200, 9000));
    if (dice_.chance(0.5)) document.set("RetryStrategy", Json::object({{"MaximumRetryAttempts", dice_.between(1, 4)}}));
    if (checkpoints_) document.set("CheckpointConfig", Json::object({{"S3Uri", "s3://bucket/checkpoints/" + name}}));
    document.set("ResourceConfig", resources);
    document.set("StoppingCondition", condition);
    return document;
}

void Story::create(Engine& engine) {
    const auto name = any_name();
    const int number = static_cast<int>(attempts_.size());
    attempts_.push_back({.number = number, .name = name});
    const auto caller = "arn:caller" + std::to_string(dice_.below(2));
    const auto created = engine.jobs().create({engine.account(), kRegion, caller, request(name, number)});
    say("create " + name + " #" + std::to_string(number), created);
    if (!created) {
        ++totals_.refused;
        const auto kind = created.error().kind;
        if (kind == ErrorKind::AlreadyExists || kind == ErrorKind::LimitExceeded) return;
        fail("create refused: " + created.error().message + " " + created.error().detail);
    }
    ++totals_.created;
    auto& record = names_known_[name];
    attempts_[static_cast<size_t>(number)].acknowledged = true;
    if (++record.created > 1 + record.deletions_tried) fail("two winners of the name " + name);
    record.latest = number;
    record.tried_since = record.deleting > 0;
}

void Story::stop(Engine& engine) {
    const auto name = any_name();
    const auto before = engine.jobs().describe(engine.account(), kRegion, name);
    const auto stopped = engine.jobs().stop(engine.account(), kRegion, name);
    say("stop " + name, stopped);
    if (!stopped) {
        const auto kind = stopped.error().kind;
        if (kind == ErrorKind::NotFound || kind == ErrorKind::Conflict) return;
        fail("stop refused: " + stopped.error().message);
    }
    ++totals_.stopped;
    // Between the two calls somebody else may have put another job in its place.
    const auto after = engine.jobs().describe(engine.account(), kRegion, name);
    if (!before || !after) return;
    auto* attempt = attempt_of(*before);
    if (attempt == attempt_of(*after)) attempt->stop_acknowledged = true;
}

void Story::describe(Engine& engine) {
    const auto job = engine.jobs().describe(engine.account(), kRegion, any_name());
    ++totals_.described;
    if (job) return check_view(*job);
    if (job.error().kind != ErrorKind::NotFound) fail("describe: " + job.error().message);
}

void Story::wait_for_change(Engine& engine) {
    const auto name = any_name();
    constexpr auto kLongest = std::chrono::hours(6);
    const auto before = engine.jobs().describe(engine.account(), kRegion, name);
    const auto begun = scheduler_.steady_ns();
    const auto job = engine.jobs().describe_changed(engine.account(), kRegion, name, kLongest);
    ++totals_.described;
    if (!job) return;
    check_view(*job);
    const bool waited = scheduler_.steady_ns() - begun >= std::chrono::nanoseconds(kLongest).count();
    if (waited && before && before->status != job->status) fail("nobody told who waits for " + name);
}

void Story::list(Engine& engine) {
    ++totals_.listed;
    TrainingJobQuery query;
    query.sort_by = static_cast<TrainingJobQuery::SortBy>(dice_.below(3));
    query.ascending = dice_.chance(0.5);
    query.max_results = static_cast<size_t>(dice_.between(1, 5));
    if (dice_.chance(0.3)) query.status_equals = "InProgress";
    if (dice_.chance(0.2)) query.name_contains = "job";
    const auto page = must(engine.jobs().list(engine.account(), kRegion, query), "list");
    for (const auto& job : page.jobs)
        if (!query.status_equals.empty() && job.status != query.status_equals) fail("a list with " + job.status);
}

void Story::remove(Engine& engine) {
    const auto name = any_name();
    auto& record = names_known_[name];
    ++record.deletions_tried;
    ++record.deleting;
    record.tried_since = true;
    const auto removed = engine.jobs().remove(engine.account(), kRegion, name);
    --record.deleting;
    say("delete " + name, removed);
    if (removed) {
        ++totals_.deleted;
        ++record.deletions_acknowledged;
        return;
    }
    // It did not happen. (What a crash interrupts never comes here.)
    const auto kind = removed.error().kind;
    if (kind != ErrorKind::NotFound && kind != ErrorKind::Conflict) fail("delete refused: " + removed.error().message);
    --record.deletions_tried;
}

void Story::interrupt(Engine& engine) {
    const auto done = engine.jobs().interrupt(engine.account(), kRegion, any_name());
    if (done) ++totals_.interrupted;
    if (!done && done.error().kind != ErrorKind::NotFound && done.error().kind != ErrorKind::Conflict)
        fail("interrupt refused: " + done.error().message);
}

void Story::set_keep_alive(Engine& engine) {
    const auto seconds = std::chrono::seconds(dice_.chance(0.5) ? 0 : dice_.between(1, 900));
    const auto set = engine.jobs().set_keep_alive(engine.account(), kRegion, any_name(), seconds);
    if (!set && set.error().kind != ErrorKind::NotFound && set.error().kind != ErrorKind::Conflict)
        fail("keep-alive refused: " + set.error().message);
}

// What holds at any moment, in one snapshot.
void Story::audit(Engine& engine) {
    must(engine.database().read([&](metadata_store::Connection& connection) -> Result<void> {
        const auto row = TRY(connection.query_one(
            "SELECT (SELECT count(*) FROM training_job WHERE phase<>5), (SELECT count(*) FROM quota_claim), "
            "(SELECT count(*) FROM training_job WHERE phase=5 AND training_seconds IS NOT NULL AND id NOT IN "
            "(SELECT job FROM ledger_entry))"));
        const auto limit = settings_.quotas.jobs_per_account;
        if (limit > 0 && row->integer(0) > limit) fail("more jobs than the quota allows");
        if (row->integer(0) != row->integer(1)) fail("claims of quotas do not fit the jobs");
        if (row->integer(2) != 0) fail("a job has ended without an entry in the ledger");
        return {};
    }),
         "audit");
}

Attempt* Story::attempt_of(const TrainingJob& job) {
    const auto number = std::atoi(job.request["HyperParameters"]["seed"].string_or("-1").c_str());
    if (number < 0 || static_cast<size_t>(number) >= attempts_.size()) fail("a job that nobody created: " + job.name);
    auto& attempt = attempts_[static_cast<size_t>(number)];
    if (attempt.name != job.name) fail("a job under another name: " + job.name);
    return &attempt;
}

// A later description continues an earlier one of the same job.
void Story::check_view(const TrainingJob& job) {
    check_transitions(job, cut_);
    auto& attempt = *attempt_of(job);
    const auto statuses = statuses_of(job);
    // Of two descriptions that were asked for at once, either may come first.
    if (statuses.size() >= attempt.seen.size()) {
        if (!std::equal(attempt.seen.begin(), attempt.seen.end(), statuses.begin()))
            fail("history has changed: " + job.name + " was " + joined(attempt.seen) + ", is " + joined(statuses));
        attempt.seen = statuses;
    }
    if (!attempt.end.empty() && job.ended() && attempt.end != job.status)
        fail(job.name + " has ended twice: " + attempt.end + ", " + job.status);
    if (job.ended()) attempt.end = job.status;
}

// Until every job has ended and nothing moves any more.
void Story::settle(Engine& engine) {
    const auto deadline = scheduler_.steady_ns() + kLongestSettling;
    for (;;) {
        int64_t left = 0;
        must(engine.database().read([&](metadata_store::Connection& connection) -> Result<void> {
            const auto row = TRY(connection.query_one("SELECT count(*) FROM training_job WHERE phase<>5"));
            left = row->integer(0);
            return {};
        }),
             "counting");
        if (left == 0) break;
        if (scheduler_.steady_ns() > deadline) fail("jobs are stuck\n" + scheduler_.describe_fibers());
        scheduler_.sleep(dice_.spread(kSecond, 60 * kSecond));
    }
    scheduler_.sleep(60 * kSecond);  // clean_up, late reports, spares
}

void Story::check_end(Engine& engine) {
    std::set<std::string> there;
    for (const auto sort :
         {TrainingJobQuery::SortBy::Name, TrainingJobQuery::SortBy::CreationTime, TrainingJobQuery::SortBy::Status}) {
        TrainingJobQuery query;
        query.sort_by = sort;
        query.max_results = 2;
        std::vector<std::string> listed;
        do {
            const auto page = must(engine.jobs().list(engine.account(), kRegion, query), "list");
            for (const auto& job : page.jobs) listed.push_back(job.name);
            query.after = page.next;
        } while (!query.after.empty());
        const std::set<std::string> names(listed.begin(), listed.end());
        if (names.size() != listed.size()) fail("a name is listed twice");
        if (sort != TrainingJobQuery::SortBy::Name && names != there) fail("lists differ by their order");
        there = names;
    }
    for (const auto& name : there)
        check_job(engine, must(engine.jobs().describe(engine.account(), kRegion, name), "describe"));
    check_names(engine, there);
    check_tables(engine);
    check_machine_is_free(engine);
}

void Story::check_job(Engine& engine, const TrainingJob& job) {
    check_view(job);
    const auto& attempt = *attempt_of(job);
    if (!job.ended()) fail("not ended: " + job.name);
    if (attempt.stop_acknowledged && job.status == "Completed") fail("a stopped job has completed: " + job.name);
    check_billing(job, attempt);
    if (job.status != "Completed") return;
    const auto object = engine.objects().head(kBucket, "out/" + job.name + "/output/model.tar.gz");
    if (!object) fail("the model of " + job.name + " is gone: " + object.error().message);
}

void Story::check_billing(const TrainingJob& job, const Attempt& attempt) {
    const auto found = launchers_.records().find(job.name + "#" + std::to_string(attempt.number));
    const auto ran = found == launchers_.records().end() ? std::chrono::milliseconds(0) : found->second.ran;
    const double recorded = static_cast<double>(ran.count()) / 1000;
    const auto billed = static_cast<double>(job.training_seconds.value_or(0));
    if (billed < recorded - 0.001 || billed > recorded + 1.0)
        fail(job.name + " ran " + std::to_string(recorded) + " s by its launchers and is billed " +
             std::to_string(billed));
    if (job.billable_seconds.value_or(0) > job.training_seconds.value_or(0)) fail("more is billed than trained");
}

void Story::check_names(Engine& engine, const std::set<std::string>& there) {
    for (const auto& [name, record] : names_known_) {
        if (record.created == 0 || record.tried_since) continue;
        if (!there.contains(name)) fail("an acknowledged job is lost: " + name);
        const auto job = must(engine.jobs().describe(engine.account(), kRegion, name), "describe");
        if (attempt_of(job)->number != record.latest) fail("another job is in the place of " + name);
    }
}

void Story::check_tables(Engine& engine) {
    must(engine.database().read([&](metadata_store::Connection& connection) -> Result<void> {
        for (const char* count : {"quota_claim", "quota_claim_instances", "training_job_log"}) {
            const auto row = TRY(connection.query_one(std::string("SELECT count(*) FROM ") + count));
            if (row->integer(0) != 0) fail(std::string("something is left in ") + count);
        }
        const auto row =
            TRY(connection.query_one("SELECT count(*) FROM training_job WHERE training_seconds IS NOT NULL AND id NOT "
                                     "IN (SELECT job FROM ledger_entry)"));
        if (row->integer(0) != 0) fail("a job has no entry in the ledger");
        return {};
    }),
         "tables");
    const auto alive = launchers_.alive(), spares = launchers_.alive_spares();
    if (alive.size() != spares.size()) fail("runs are alive without a job");
}

// The last job asks for the whole machine: what was not given back would keep it waiting for ever.
void Story::check_machine_is_free(Engine& engine) {
    settings_.quotas = {};
    auto document = request("the-last", static_cast<int>(attempts_.size()));
    attempts_.push_back({.number = static_cast<int>(attempts_.size()), .name = "the-last", .acknowledged = true});
    document.set(
        "ResourceConfig",
        must(Json::parse(R"({"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 5})"), "resources"));
    document.set("StoppingCondition", must(Json::parse(R"({"MaxRuntimeInSeconds": 100})"), "condition"));
    document.erase("EnableManagedSpotTraining");
    must(engine.jobs().create({engine.account(), kRegion, "arn:caller0", document}), "creating the last job");
    const auto job =
        must(engine.jobs().describe_changed(engine.account(), kRegion, "the-last", std::chrono::hours(2)), "describe");
    if (!job.ended()) fail("the last job does not end: " + job.status + "/" + job.secondary_status);
    settle(engine);
    check_job(engine, must(engine.jobs().describe(engine.account(), kRegion, "the-last"), "describe"));
    // Folders: those of failed jobs that are kept, and of pools.
    size_t folders = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(settings_.root + "/jobs")) ++folders;
    size_t known = 0;
    must(engine.database().read([&](metadata_store::Connection& connection) -> Result<void> {
        known = static_cast<size_t>(
            TRY(connection.query_one("SELECT (SELECT count(*) FROM training_job WHERE kept<>0) + (SELECT count(*) FROM "
                                     "warm_pool WHERE pool_status='Available')"))
                ->integer(0));
        return {};
    }),
         "folders");
    if (folders > known) fail("folders of runs are left: " + std::to_string(folders) + " for " + std::to_string(known));
}

}  // namespace millwright::simulation
