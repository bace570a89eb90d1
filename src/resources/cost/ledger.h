// What training jobs have used, kept when they end, also after they are deleted.
//
// A job that ran has one entry, written in the transaction that ends it. Only the time from the start to the end of the
// training is metered: not what it waited, staged or uploaded, and no storage.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/tags/tags.h"

namespace millwright::resources {

struct LedgerGroup {
    std::string instance_type;
    int64_t instances = 0;
};

struct LedgerEntry {
    int64_t job = 0;  // unique for all time
    std::string account, region, name;
    std::string owner;                // ARN of who created it
    std::vector<LedgerGroup> groups;  // one, but for instance groups
    Timestamp started{}, ended{};     // of the training
    int64_t training_seconds = 0;     // all segments together
    int64_t billable_seconds = 0;     // less than that for spot
    bool spot = false;
    TagList tags;  // those it had when it ended
};

struct LedgerQuery {
    std::optional<Timestamp> from, until;  // of the end of the job; half open
    std::string region;                    // empty: any
};

// Creates the tables. Before anything below is called with this database.
Result<void> prepare_ledger(metadata_store::Database& database);
// Nothing happens when the job has an entry already.
Result<void> record_in_ledger(metadata_store::Transaction& transaction, const LedgerEntry& entry);
// Training seconds of the newest `limit` jobs of the account and region whose names begin with `prefix`, newest first.
Result<std::vector<int64_t>> past_training_seconds(metadata_store::Connection& connection, const std::string& account,
                                                   const std::string& region, const std::string& prefix, size_t limit);
// By the end of the jobs. NotFound: nothing was ever metered here (no tables).
Result<std::vector<LedgerEntry>> read_ledger(metadata_store::Connection& connection, const LedgerQuery& query);

}  // namespace millwright::resources
