#include "resources/training_jobs/training_job_store.h"

#include <algorithm>

#include "base/fail_point.h"
#include "base/strings.h"
#include "resources/cost/ledger.h"
#include "resources/training_jobs/training_verdict.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Durable;
using metadata_store::Row;
using metadata_store::Transaction;
using metadata_store::Value;

const std::vector<metadata_store::Migration> kSchema = {
    {"training_jobs 1: jobs, transitions, metrics",
     "CREATE TABLE training_job("
     " id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " account TEXT NOT NULL, region TEXT NOT NULL, name TEXT NOT NULL,"
     " name_key TEXT NOT NULL,"  // lower case, as in the ARN
     " owner TEXT NOT NULL, run_id TEXT NOT NULL DEFAULT '',"
     " phase INTEGER NOT NULL, status TEXT NOT NULL, secondary_status TEXT NOT NULL,"
     " created INTEGER NOT NULL, modified INTEGER NOT NULL, training_start INTEGER, training_end INTEGER,"
     " stop_requested INTEGER NOT NULL DEFAULT 0, revision INTEGER NOT NULL DEFAULT 1,"
     " request TEXT NOT NULL, outcome TEXT, failure_reason TEXT NOT NULL DEFAULT '',"
     " model_artifacts TEXT NOT NULL DEFAULT '', training_seconds INTEGER);"
     "CREATE UNIQUE INDEX training_job_key ON training_job(account, region, name_key);"
     "CREATE INDEX training_job_name ON training_job(account, region, name, id);"
     "CREATE INDEX training_job_created ON training_job(account, region, created, id);"
     "CREATE INDEX training_job_modified ON training_job(account, region, modified, id);"
     "CREATE INDEX training_job_status ON training_job(account, region, status, id);"
     "CREATE INDEX training_job_status_created ON training_job(account, region, status, created, id);"
     "CREATE INDEX training_job_unfinished ON training_job(id) WHERE phase <> 5;"
     "CREATE TABLE training_job_transition(job INTEGER NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,"
     " message TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER, PRIMARY KEY(job, number)) WITHOUT ROWID;"
     "CREATE TABLE training_job_log(job INTEGER NOT NULL, host INTEGER NOT NULL, path TEXT NOT NULL,"
     " position INTEGER NOT NULL, PRIMARY KEY(job, host)) WITHOUT ROWID;"
     "CREATE TABLE training_job_metric(job INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,"
     " time INTEGER NOT NULL, PRIMARY KEY(job, name)) WITHOUT ROWID;"},
    {"training_jobs 2: segments, kept files",
     "ALTER TABLE training_job ADD COLUMN ran_before INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE training_job ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE training_job ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE training_job ADD COLUMN interrupted_run TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE training_job ADD COLUMN billable_seconds INTEGER;"
     "ALTER TABLE training_job ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;"
     "UPDATE training_job SET billable_seconds=training_seconds;"
     "CREATE INDEX training_job_kept ON training_job(training_end) WHERE kept<>0;"},
    {"training_jobs 3: an index for every list",
     "DROP INDEX training_job_name; DROP INDEX training_job_created; DROP INDEX training_job_modified;"
     "DROP INDEX training_job_status; DROP INDEX training_job_status_created;"
     "CREATE INDEX training_job_list_created ON training_job(account, region, created, id, name_key);"
     "CREATE INDEX training_job_list_modified ON training_job(account, region, modified, id);"
     "CREATE INDEX training_job_list_name ON training_job(account, region, name, id);"
     "CREATE INDEX training_job_list_status_created ON training_job(account, region, status, created, id, name_key);"
     "CREATE INDEX training_job_list_status_name ON training_job(account, region, status, name, id);"},
    {"training_jobs 4: images", "ALTER TABLE training_job ADD COLUMN image TEXT NOT NULL DEFAULT '';"},
};

constexpr std::string_view kColumns =
    "id, account, region, name, owner, run_id, phase, status, secondary_status, created, modified, training_start, "
    "training_end, stop_requested, revision, request, outcome, failure_reason, model_artifacts, training_seconds, "
    "ran_before, interruptions, retries, interrupted_run, billable_seconds, kept, image";

int64_t number_of(Phase phase) { return static_cast<int64_t>(phase); }
int64_t ms(Timestamp time) { return to_epoch_milliseconds(time); }
std::optional<Timestamp> optional_time(const Row& row, size_t column) {
    const auto value = row.optional_integer(column);
    if (!value) return std::nullopt;
    return from_epoch_milliseconds(*value);
}
std::optional<int64_t> optional_ms(const std::optional<Timestamp>& time) {
    if (!time) return std::nullopt;
    return ms(*time);
}

Result<TrainingJobRow> read_row(const Row& row) {
    TrainingJobRow result;
    auto& job = result.job;
    result.id = row.integer(0);
    job.account = row.text(1);
    job.region = row.text(2);
    job.name = row.text(3);
    job.arn = training_job_arn(job.account, job.region, job.name);
    result.owner = row.text(4);
    result.run_id = row.text(5);
    result.phase = static_cast<Phase>(row.integer(6));
    job.status = row.text(7);
    job.secondary_status = row.text(8);
    job.created = from_epoch_milliseconds(row.integer(9));
    job.modified = from_epoch_milliseconds(row.integer(10));
    job.training_start = optional_time(row, 11);
    job.training_end = optional_time(row, 12);
    result.stop_cause = static_cast<StopCause>(row.integer(13));
    result.stop_requested = result.stop_cause != StopCause::None;
    result.revision = row.integer(14);
    job.request = TRY(Json::parse(row.text(15)));
    if (!row.is_null(16)) result.outcome = TRY(Json::parse(row.text(16)));
    job.failure_reason = row.text(17);
    job.model_artifacts = row.text(18);
    job.training_seconds = row.optional_integer(19);
    result.ran_before = std::chrono::milliseconds(row.integer(20));
    result.interruptions = static_cast<int>(row.integer(21));
    result.retries = static_cast<int>(row.integer(22));
    result.interrupted_run = row.text(23);
    result.kept = row.integer(25) != 0;
    result.image = row.text(26);
    job.billable_seconds = row.optional_integer(24);
    return result;
}

Result<void> read_details(Connection& connection, TrainingJobRow& row) {
    for (const auto& line : TRY(connection.query(
             "SELECT status, message, started, ended FROM training_job_transition WHERE job=? ORDER BY number",
             row.id))) {
        row.job.transitions.push_back(
            {line.text(0), line.text(1), from_epoch_milliseconds(line.integer(2)), optional_time(line, 3)});
    }
    for (const auto& line :
         TRY(connection.query("SELECT name, value, time FROM training_job_metric WHERE job=? ORDER BY name", row.id))) {
        row.job.final_metrics.push_back({line.text(0), line.real(1), from_epoch_milliseconds(line.integer(2))});
    }
    return {};
}

Result<TrainingJobRow> load_by_name(Connection& connection, std::string_view account, std::string_view region,
                                    std::string_view name) {
    const auto row = TRY(connection.query_one(
        "SELECT " + std::string(kColumns) + " FROM training_job WHERE account=? AND region=? AND name_key=? AND name=?",
        account, region, to_lower(name), name));
    if (!row) return not_found("Requested resource not found.");
    auto result = TRY(read_row(*row));
    TRY(read_details(connection, result));
    return result;
}

Result<TrainingJobRow> load_by_id(Connection& connection, int64_t id) {
    const auto row = TRY(connection.query_one("SELECT " + std::string(kColumns) + " FROM training_job WHERE id=?", id));
    if (!row) return not_found("Requested resource not found.");
    auto result = TRY(read_row(*row));
    TRY(read_details(connection, result));
    return result;
}

// Ends the open transition and opens the next. Times never run backwards, whatever the clock does.
Result<void> add_transition(Transaction& transaction, int64_t id, const std::string& status, const std::string& message,
                            Timestamp now, bool terminal) {
    const auto last = TRY(transaction.query_one(
        "SELECT number, started FROM training_job_transition WHERE job=? ORDER BY number DESC LIMIT 1", id));
    const int64_t number = last ? last->integer(0) + 1 : 0;
    const int64_t start = last ? std::max(ms(now), last->integer(1)) : ms(now);
    if (last) {
        TRY(transaction.run("UPDATE training_job_transition SET ended=? WHERE job=? AND number=?", start, id,
                            number - 1));
    }
    TRY(transaction.run(
        "INSERT INTO training_job_transition(job, number, status, message, started, ended) VALUES(?,?,?,?,?,?)", id,
        number, status, message, start, terminal ? std::optional<int64_t>(start) : std::nullopt));
    return {};
}

Result<void> set_visible(Transaction& transaction, int64_t id, const std::string& status, const std::string& secondary,
                         Timestamp now) {
    TRY(transaction.run(
        "UPDATE training_job SET status=?, secondary_status=?, modified=max(modified, ?), revision=revision+1 "
        "WHERE id=?",
        status, secondary, ms(now), id));
    return {};
}

Result<void> apply(Transaction& transaction, int64_t id, const TrainingJobChange& change, StopCause stop,
                   Timestamp now) {
    // The start of the first segment stays.
    TRY(transaction.run(
        "UPDATE training_job SET phase=?, run_id=coalesce(?, run_id), training_start=coalesce(training_start, ?),"
        " training_end=coalesce(?, training_end), outcome=coalesce(?, outcome),"
        " training_seconds=coalesce(?, training_seconds), billable_seconds=coalesce(?, billable_seconds),"
        " ran_before=ran_before+?, interruptions=interruptions+?, retries=retries+?, kept=? WHERE id=?",
        number_of(change.to), change.run_id, optional_ms(change.training_start), optional_ms(change.training_end),
        change.outcome ? std::optional<std::string>(change.outcome->dump()) : std::nullopt, change.training_seconds,
        change.billable_seconds, static_cast<int64_t>(change.segment_ran.count()),
        static_cast<int64_t>(change.interruption), static_cast<int64_t>(change.retry),
        static_cast<int64_t>(change.keep_folder), id));
    const bool ended = change.to == Phase::Ended;
    if (ended) {
        TRY(transaction.run("UPDATE training_job SET failure_reason=?, model_artifacts=? WHERE id=?",
                            change.failure_reason, change.model_artifacts, id));
        TRY(transaction.run("DELETE FROM training_job_log WHERE job=?", id));
    }
    const bool stopping = stop != StopCause::None;
    if (change.secondary_status.empty() || (stopping && !ended)) return {};
    // A stop after the verdict, as while the model is uploaded: "Stopping" was shown, so the end is "Stopped", and why.
    if (stopping && change.status == "Completed") {
        const auto verdict = stopped(stop);
        TRY(set_visible(transaction, id, verdict.status, verdict.secondary_status, now));
        return add_transition(transaction, id, verdict.secondary_status, verdict.message, now, ended);
    }
    TRY(set_visible(transaction, id, ended ? change.status : "InProgress", change.secondary_status, now));
    return add_transition(transaction, id, change.secondary_status, change.message, now, ended);
}

// After the commit of a step.
void pass_fail_point(Phase to) {
    switch (to) {
        case Phase::Queued:
            return FAIL_POINT("training_jobs.after_queued_again");
        case Phase::Staging:
            return FAIL_POINT("training_jobs.after_staging");
        case Phase::Launching:
            return FAIL_POINT("training_jobs.after_launching");
        case Phase::Running:
            return FAIL_POINT("training_jobs.after_running");
        case Phase::Finishing:
            return FAIL_POINT("training_jobs.after_finishing");
        case Phase::Between:
            return FAIL_POINT("training_jobs.after_between");
        case Phase::Ended:
            return FAIL_POINT("training_jobs.after_ended");
    }
}

QuotaClaim quota_claim(int64_t id, const TrainingJob& job, const std::string& owner) {
    constexpr int64_t kDefaultMaxRuntime = 86'400;
    const auto most = job.request["StoppingCondition"]["MaxRuntimeInSeconds"].int_or(kDefaultMaxRuntime);
    return {.job = id,
            .account = job.account,
            .region = job.region,
            .owner = owner,
            .instances = requested_instances(job.request["ResourceConfig"]),
            .spot = job.request["EnableManagedSpotTraining"].bool_or(false),
            .max_runtime = std::chrono::seconds(most)};
}

// What it ran on: one group, or those of the request.
std::vector<LedgerGroup> metered_groups(const Json& resources) {
    std::vector<LedgerGroup> groups;
    for (const auto& group : resources["InstanceGroups"].items())
        groups.push_back({group["InstanceType"].string_or(""), group["InstanceCount"].int_or(0)});
    if (groups.empty())
        groups.push_back({resources["InstanceType"].string_or(""), resources["InstanceCount"].int_or(0)});
    return groups;
}

// A job that ran is metered with its end, in the same transaction.
Result<void> meter(Transaction& transaction, int64_t id, Tags& tags) {
    const auto row = TRY(transaction.query_one(
        "SELECT " + std::string(kColumns) + " FROM training_job WHERE id=? AND training_seconds IS NOT NULL", id));
    if (!row) return {};
    const auto ended = TRY(read_row(*row));
    const auto& job = ended.job;
    LedgerEntry entry{.job = id,
                      .account = job.account,
                      .region = job.region,
                      .name = job.name,
                      .owner = ended.owner,
                      .groups = metered_groups(job.request["ResourceConfig"]),
                      .started = job.training_start.value_or(job.created),
                      .ended = job.training_end.value_or(job.modified),
                      .training_seconds = *job.training_seconds,
                      .billable_seconds = job.billable_seconds.value_or(*job.training_seconds),
                      .spot = job.request["EnableManagedSpotTraining"].bool_or(false),
                      .tags = {}};
    entry.tags = TRY(tags.list_in(transaction, job.arn));
    return record_in_ledger(transaction, entry);
}

// The first time that there is a ledger: jobs of a Millwright before it are metered as far as they are known.
Result<void> meter_earlier_jobs(Database& database, Tags& tags) {
    const auto rows = TRY(database.read([](Connection& connection) -> Result<std::vector<metadata_store::Row>> {
        const auto metered = TRY(connection.query_one("SELECT 1 FROM ledger_entry LIMIT 1"));
        if (metered) return std::vector<metadata_store::Row>();  // and every start would look at all jobs
        return connection.query("SELECT id FROM training_job WHERE phase=? AND training_seconds IS NOT NULL",
                                number_of(Phase::Ended));
    }));
    if (rows.empty()) return {};
    return database.write([&](Transaction& transaction) -> Result<void> {
        for (const auto& row : rows) TRY(meter(transaction, row.integer(0), tags));
        return {};
    });
}

const ListedTable kListed{
    .table = "training_job",
    .columns =
        "training_job.id, training_job.name, status, secondary_status, created, modified, training_end, "
        "pool_status, pool_since, pool_retained, pool_reused_by",
    .joins = " LEFT JOIN warm_pool ON warm_pool.job=training_job.id",
    .id = "id",
    .tie = "id",
    .name = "name",
    .created = "created",
    .modified = "modified",
    .modified_after_creation = true};

}  // namespace

Result<std::unique_ptr<TrainingJobStore>> TrainingJobStore::open(Database& database, Tags& tags,
                                                                 TrainingQuotas quotas) {
    TRY(database.migrate("training_jobs", kSchema));
    TRY(prepare_ledger(database));
    TRY(prepare_quotas(database));
    TRY(meter_earlier_jobs(database, tags));
    return std::unique_ptr<TrainingJobStore>(new TrainingJobStore(database, tags, std::move(quotas)));
}

TrainingJobStore::TrainingJobStore(Database& database, Tags& tags, TrainingQuotas quotas)
    : database_(database), tags_(tags), quotas_(std::move(quotas)), names_(database, names_statement(kListed)) {}

Result<int64_t> TrainingJobStore::insert(const TrainingJob& job, const std::string& owner, const std::string& message,
                                         const TagList& tags, const std::string& image) {
    const auto id = TRY(database_.write(
        [&](Transaction& transaction) -> Result<int64_t> {
            const auto rows = TRY(transaction.query(
                "INSERT INTO training_job(account, region, name, name_key, owner, phase, status, "
                "secondary_status, created, modified, "
                "request, image) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
                job.account, job.region, job.name, to_lower(job.name), owner, number_of(Phase::Queued), "InProgress",
                "Starting", ms(job.created), ms(job.created), job.request.dump(), image));
            const int64_t added = rows.at(0).integer(0);
            TRY(add_transition(transaction, added, "Starting", message, job.created, false));
            TRY(tags_.register_in(transaction, job.arn, tags));
            TRY(claim_quotas(transaction, quotas_, quota_claim(added, job, owner)));
            return added;
        },
        Durable::Now, metadata_store::Space::Free));
    names_.add({.id = id, .created = ms(job.created)}, job.account, job.region, job.name);
    return id;
}

Result<TrainingJobRow> TrainingJobStore::find(std::string_view account, std::string_view region,
                                              std::string_view name) {
    return database_.read([&](Connection& connection) { return load_by_name(connection, account, region, name); });
}

Result<TrainingJobRow> TrainingJobStore::load(int64_t id) {
    return database_.read([&](Connection& connection) { return load_by_id(connection, id); });
}

Result<std::vector<TrainingJobRow>> TrainingJobStore::unfinished() {
    return database_.read([&](Connection& connection) -> Result<std::vector<TrainingJobRow>> {
        std::vector<TrainingJobRow> found;
        for (const auto& row : TRY(connection.query("SELECT " + std::string(kColumns) +
                                                    " FROM training_job WHERE phase <> 5 ORDER BY id"))) {
            found.push_back(TRY(read_row(row)));
        }
        return found;
    });
}

Result<TrainingJobPage> TrainingJobStore::list(std::string_view account, std::string_view region,
                                               const TrainingJobQuery& query, Timestamp now) {
    const auto listed = TRY(list_rows(database_, names_, kListed, training_job_list(account, region, query)));
    TrainingJobPage page;
    page.next = listed.next;
    for (const auto& row : listed.rows) {
        const auto name = row.text(1);
        page.jobs.push_back({name, training_job_arn(account, region, name), row.text(2), row.text(3),
                             from_epoch_milliseconds(row.integer(4)), from_epoch_milliseconds(row.integer(5)),
                             optional_time(row, 6), std::nullopt});
        if (!row.is_null(7))
            page.jobs.back().warm_pool =
                warm_pool_status(row.text(7), row.optional_integer(8), row.optional_integer(9), row.text(10), now);
    }
    return page;
}

ListRequest training_job_list(std::string_view account, std::string_view region, const TrainingJobQuery& query) {
    ListRequest request{.account = std::string(account), .region = std::string(region)};
    request.filter = {.created_after = query.created_after,
                      .created_before = query.created_before,
                      .modified_after = query.modified_after,
                      .modified_before = query.modified_before,
                      .name_contains = query.name_contains,
                      .status_equals = query.status_equals};
    if (!query.warm_pool_status_equals.empty())
        request.filter.condition = {"pool_status=?", "SELECT job FROM warm_pool WHERE pool_status=?1 LIMIT ?2",
                                    query.warm_pool_status_equals};
    if (query.sort_by == TrainingJobQuery::SortBy::Name) request.order = ListOrder::Name;
    if (query.sort_by == TrainingJobQuery::SortBy::Status) request.order = ListOrder::Status;
    request.ascending = query.ascending;
    request.max_results = query.max_results;
    request.after = query.after;
    return request;
}

const ListedTable& listed_training_jobs() { return kListed; }

Result<bool> TrainingJobStore::change(int64_t id, const TrainingJobChange& change, Timestamp now) {
    // After a power cut no run is alive: one that was being staged is staged again, one that ran is known by what its
    // launcher left. Both steps are only shown, so they wait for no disk.
    const bool only_shown = change.to == Phase::Staging || change.to == Phase::Running;
    const auto durable = only_shown ? Durable::WithNext : Durable::Now;
    FAIL_POINT_AT_EXIT("training_jobs.after_create");
    auto changed = database_.write(
        [&](Transaction& transaction) -> Result<bool> {
            const auto row =
                TRY(transaction.query_one("SELECT phase, stop_requested FROM training_job WHERE id=?", id));
            if (!row) return not_found("the training job is gone");
            const auto phase = static_cast<Phase>(row->integer(0));
            if (std::find(change.from.begin(), change.from.end(), phase) == change.from.end()) return false;
            TRY(apply(transaction, id, change, static_cast<StopCause>(row->integer(1)), now));
            if (change.to == Phase::Ended) {
                TRY(meter(transaction, id, tags_));
                TRY(release_quotas(transaction, id));
            }
            return true;
        },
        durable);
    if (changed && *changed) pass_fail_point(change.to);
    return changed;
}

Result<void> TrainingJobStore::explain(int64_t id, std::string_view secondary_status, const std::string& message,
                                       Timestamp now) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        const auto row = TRY(transaction.query_one(
            "SELECT secondary_status FROM training_job WHERE id=? AND phase=? AND stop_requested=0", id,
            number_of(Phase::Queued)));
        if (!row) return {};
        TRY(set_visible(transaction, id, "InProgress", std::string(secondary_status), now));
        if (row->text(0) != secondary_status)
            return add_transition(transaction, id, std::string(secondary_status), message, now, false);
        TRY(
            transaction.run("UPDATE training_job_transition SET message=? WHERE job=? AND number="
                            "(SELECT max(number) FROM training_job_transition WHERE job=?)",
                            message, id, id));
        return {};
    });
}

Result<TrainingJobRow> TrainingJobStore::request_stop(std::string_view account, std::string_view region,
                                                      std::string_view name, Timestamp now) {
    FAIL_POINT_AT_EXIT("training_jobs.after_stop");
    return database_.write([&](Transaction& transaction) -> Result<TrainingJobRow> {
        auto row = TRY(load_by_name(transaction, account, region, name));
        if (row.stop_requested || row.phase == Phase::Ended) return row;
        TRY(transaction.run("UPDATE training_job SET stop_requested=1 WHERE id=?", row.id));
        TRY(set_visible(transaction, row.id, "Stopping", "Stopping", now));
        TRY(add_transition(transaction, row.id, "Stopping", "Stopping the training job", now, false));
        return row;
    });
}

Result<bool> TrainingJobStore::request_expiry(int64_t id, StopCause cause, const std::string& message, Timestamp now) {
    FAIL_POINT_AT_EXIT("training_jobs.after_expiry");
    return database_.write([&](Transaction& transaction) -> Result<bool> {
        const auto row = TRY(transaction.query_one(
            "SELECT phase, training_start FROM training_job WHERE id=? AND stop_requested=0", id));
        if (!row) return false;
        const auto phase = static_cast<Phase>(row->integer(0));
        // What is being uploaded has run in time.
        if (phase == Phase::Ended || phase == Phase::Finishing) return false;
        const bool runs = phase == Phase::Launching || phase == Phase::Running || !row->is_null(1);
        if (cause == StopCause::MaxPending && runs) return false;
        TRY(transaction.run("UPDATE training_job SET stop_requested=? WHERE id=?", static_cast<int64_t>(cause), id));
        TRY(set_visible(transaction, id, "Stopping", "Stopping", now));
        TRY(add_transition(transaction, id, "Stopping", message, now, false));
        return true;
    });
}

Result<TrainingJobRow> TrainingJobStore::request_interruption(std::string_view account, std::string_view region,
                                                              std::string_view name) {
    FAIL_POINT_AT_EXIT("training_jobs.after_interruption");
    return database_.write([&](Transaction& transaction) -> Result<TrainingJobRow> {
        auto row = TRY(load_by_name(transaction, account, region, name));
        const auto refused = [&](const std::string& why) {
            return Error{ErrorKind::Conflict, "The training job " + row.job.name + " " + why, ""};
        };
        if (!row.job.request["EnableManagedSpotTraining"].bool_or(false))
            return refused("is not interrupted: it does not use managed spot training.");
        if (row.stop_requested || (row.phase != Phase::Launching && row.phase != Phase::Running))
            return refused("has nothing to interrupt: it is " + row.job.secondary_status + ".");
        TRY(transaction.run("UPDATE training_job SET interrupted_run=run_id WHERE id=?", row.id));
        row.interrupted_run = row.run_id;
        return row;
    });
}

Result<std::vector<KeptRun>> TrainingJobStore::kept() {
    return database_.read([](Connection& connection) -> Result<std::vector<KeptRun>> {
        std::vector<KeptRun> found;
        for (const auto& row : TRY(connection.query(
                 "SELECT id, run_id FROM training_job WHERE kept<>0 ORDER BY training_end DESC, id DESC"))) {
            found.push_back({row.integer(0), row.text(1)});
        }
        return found;
    });
}

Result<void> TrainingJobStore::forget_kept(int64_t id) {
    return database_.write([&](Transaction& transaction) -> Result<void> {
        TRY(transaction.run("UPDATE training_job SET kept=0 WHERE id=?", id));
        return {};
    });
}

Result<void> TrainingJobStore::remove(const TrainingJobRow& row) {
    TRY(database_.write([&](Transaction& transaction) -> Result<void> {
        const auto gone =
            TRY(transaction.run("DELETE FROM training_job WHERE id=? AND phase=?", row.id, number_of(Phase::Ended)));
        if (gone == 0) return Error{ErrorKind::Conflict, "the training job has not ended", ""};
        TRY(transaction.run("DELETE FROM training_job_transition WHERE job=?", row.id));
        TRY(transaction.run("DELETE FROM training_job_metric WHERE job=?", row.id));
        return tags_.forget_in(transaction, row.job.arn);
    }));
    names_.remove({.id = row.id, .created = ms(row.job.created)}, row.job.account, row.job.region);
    return {};
}

Result<void> TrainingJobStore::watch_logs(int64_t id, const std::vector<LogPosition>& logs) {
    FAIL_POINT_AT_EXIT("training_jobs.after_remove");
    return database_.write(
        [&](Transaction& transaction) -> Result<void> {
            for (const auto& log : logs) {
                TRY(transaction.run(
                    "INSERT INTO training_job_log(job, host, path, position) VALUES(?,?,?,?) ON CONFLICT DO NOTHING",
                    id, log.host, log.path, log.offset));
            }
            return {};
        },
        Durable::WithNext);
}

Result<std::vector<LogPosition>> TrainingJobStore::log_positions(int64_t id) {
    return database_.read([&](Connection& connection) -> Result<std::vector<LogPosition>> {
        std::vector<LogPosition> logs;
        for (const auto& row :
             TRY(connection.query("SELECT host, path, position FROM training_job_log WHERE job=? ORDER BY host", id))) {
            logs.push_back({static_cast<int>(row.integer(0)), row.text(1), static_cast<uint64_t>(row.integer(2))});
        }
        return logs;
    });
}

Result<void> TrainingJobStore::advance(int64_t id, const LogPosition& from, uint64_t to,
                                       const std::vector<MetricSample>& samples, Metrics& metrics) {
    return database_.write(
        [&](Transaction& transaction) -> Result<void> {
            const auto moved =
                TRY(transaction.run("UPDATE training_job_log SET position=? WHERE job=? AND host=? AND position=?", to,
                                    id, from.host, from.offset));
            if (moved != 1) return Error{ErrorKind::Conflict, "the log position has moved", ""};
            for (const auto& sample : samples) {
                TRY(transaction.run(
                    "INSERT INTO training_job_metric(job, name, value, time) VALUES(?,?,?,?) ON CONFLICT(job, name) "
                    "DO UPDATE SET value=excluded.value, time=excluded.time WHERE excluded.time >= time",
                    id, sample.name, sample.value, ms(sample.time)));
            }
            if (samples.empty()) return {};
            return metrics.put_in(transaction, samples);
        },
        Durable::WithNext);
}

}  // namespace millwright::resources
