// Training jobs in the metadata store: rows, transitions, metric positions. All SQL of this folder.
//
// `phase` is how far the run is, for recovery; status and secondary status are what users see.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metadata_store/database.h"
#include "resources/listing/keyset_list.h"
#include "resources/metrics/metrics.h"
#include "resources/tags/tags.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::resources {

//   queued ─▶ staging ─▶ launching ─▶ running ─▶ finishing ─▶ ended
//     ▲                     └───────────┴──▶ between
//     └────────────────────────────────────────┘
// launching: the executor may have been asked to start; running: it says it has. between: a segment has ended and
// another follows (the spot instance is gone, or the platform failed): its checkpoints are uploaded.
enum class Phase { Queued, Staging, Launching, Running, Finishing, Ended, Between };

enum class StopCause { None, User, MaxWait, MaxPending };  // as stored

struct TrainingJobRow {
    int64_t id = 0;
    std::string owner, run_id;
    std::string image;  // what the TrainingImage stands for, where it is not what its name says
    Phase phase = Phase::Queued;
    bool stop_requested = false;
    StopCause stop_cause = StopCause::None;
    int64_t revision = 0;                    // grows with every visible change
    Json outcome;                            // of the run, in Finishing and Between
    std::chrono::milliseconds ran_before{};  // of earlier segments
    int interruptions = 0, retries = 0;
    bool kept = false;            // failed, and its files are still there
    std::string interrupted_run;  // the run that is to be, or was, interrupted
    TrainingJob job;              // without metric_definitions
};

// One step. Members left empty stay as they are.
struct TrainingJobChange {
    Phase to = Phase::Queued;
    std::vector<Phase> from{};  // the step is skipped (and says so) in any other phase
    // The new secondary status and its message; while a stop is asked for they are ignored unless `to` is Ended.
    std::string secondary_status{}, message{};
    std::string status{};  // Ended only
    std::optional<std::string> run_id{};
    std::optional<Timestamp> training_start{}, training_end{};
    std::optional<Json> outcome{};
    std::string failure_reason{}, model_artifacts{};
    std::optional<int64_t> training_seconds{}, billable_seconds{};
    std::chrono::milliseconds segment_ran{};   // Between: what the segment adds to ran_before
    bool interruption = false, retry = false;  // counts one more
    bool keep_folder = false;                  // Ended: the files of the run stay
};

// A failed job whose files are still there.
struct KeptRun {
    int64_t id = 0;
    std::string run_id;
};

struct LogPosition {
    int host = 0;
    std::string path;
    uint64_t offset = 0;
};

// Thread-safe.
class TrainingJobStore {
  public:
    static Result<std::unique_ptr<TrainingJobStore>> open(metadata_store::Database& database, Tags& tags,
                                                          TrainingQuotas quotas);

    // The new row's id. AlreadyExists: the name is taken. LimitExceeded: over a quota, in AWS's words.
    Result<int64_t> insert(const TrainingJob& job, const std::string& owner, const std::string& message,
                           const TagList& tags, const std::string& image = "");
    Result<TrainingJobRow> find(std::string_view account, std::string_view region, std::string_view name);  // NotFound
    Result<TrainingJobRow> load(int64_t id);                                                                // NotFound
    Result<std::vector<TrainingJobRow>> unfinished();
    Result<TrainingJobPage> list(std::string_view account, std::string_view region, const TrainingJobQuery& query,
                                 Timestamp now);

    // Before, lists with NameContains walk an index; true soon after the start.
    bool names_are_read() { return names_.ready(); }

    // False when the row is not in one of `from`.
    Result<bool> change(int64_t id, const TrainingJobChange& change, Timestamp now);
    // What a queued job is doing: secondary status Starting (its environment is being made), Downloading (its image is
    // being pulled) or Pending (it waits for the machine) with this message, replacing an earlier message of the same
    // status.
    Result<void> explain(int64_t id, std::string_view secondary_status, const std::string& message, Timestamp now);
    // The row before; nothing changes when it is stopping already or has ended.
    Result<TrainingJobRow> request_stop(std::string_view account, std::string_view region, std::string_view name,
                                        Timestamp now);
    // As a stop by the user, when none was asked for yet and the job has not ended; MaxPending only before it has run.
    // False when nothing was changed.
    Result<bool> request_expiry(int64_t id, StopCause cause, const std::string& message, Timestamp now);
    // Its present run is to be interrupted. Conflict, with the reason: it has none, or is being stopped.
    Result<TrainingJobRow> request_interruption(std::string_view account, std::string_view region,
                                                std::string_view name);
    Result<void> remove(const TrainingJobRow& row);  // Conflict when it has not ended

    Result<std::vector<KeptRun>> kept();  // the latest first
    Result<void> forget_kept(int64_t id);

    // Log positions of the metric scraper.
    Result<void> watch_logs(int64_t id, const std::vector<LogPosition>& logs);  // keeps positions that exist
    Result<std::vector<LogPosition>> log_positions(int64_t id);
    // In one transaction: the position moves from `from.offset` to `to`, and what was found in between is stored.
    // Conflict when it is not at `from.offset`.
    Result<void> advance(int64_t id, const LogPosition& from, uint64_t to, const std::vector<MetricSample>& samples,
                         Metrics& metrics);

  private:
    TrainingJobStore(metadata_store::Database& database, Tags& tags, TrainingQuotas quotas);

    metadata_store::Database& database_;
    Tags& tags_;
    const TrainingQuotas quotas_;
    NameIndex names_;
};

// How list() asks, for tests of how SQLite answers.
const ListedTable& listed_training_jobs();
ListRequest training_job_list(std::string_view account, std::string_view region, const TrainingJobQuery& query);

}  // namespace millwright::resources
