#include "resources/cost/ledger.h"

#include <unordered_map>

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Transaction;

const std::vector<metadata_store::Migration> kSchema = {
    {"cost 1: the ledger of training jobs",
     "CREATE TABLE ledger_entry(job INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL,"
     " name TEXT NOT NULL, owner TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,"
     " training_seconds INTEGER NOT NULL, billable_seconds INTEGER NOT NULL, spot INTEGER NOT NULL);"
     "CREATE INDEX ledger_entry_ended ON ledger_entry(ended, job);"
     "CREATE INDEX ledger_entry_name ON ledger_entry(account, region, name);"
     "CREATE TABLE ledger_group(job INTEGER NOT NULL, number INTEGER NOT NULL, instance_type TEXT NOT NULL,"
     " instances INTEGER NOT NULL, PRIMARY KEY(job, number)) WITHOUT ROWID;"
     "CREATE TABLE ledger_tag(job INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
     " PRIMARY KEY(job, name)) WITHOUT ROWID;"},
};

constexpr const char* kWanted =
    " FROM ledger_entry e WHERE (? IS NULL OR e.ended>=?) AND (? IS NULL OR e.ended<?) AND (?='' OR e.region=?)";

struct Bounds {
    std::optional<int64_t> from, until;
};
Bounds bounds_of(const LedgerQuery& query) {
    Bounds bounds;
    if (query.from) bounds.from = to_epoch_milliseconds(*query.from);
    if (query.until) bounds.until = to_epoch_milliseconds(*query.until);
    return bounds;
}

// `sql` ends with the condition kWanted, after which `order` follows.
Result<std::vector<metadata_store::Row>> select(Connection& connection, const std::string& columns,
                                                const std::string& order, const LedgerQuery& query) {
    const auto [from, until] = bounds_of(query);
    return connection.query(columns + kWanted + order, from, from, until, until, query.region, query.region);
}

}  // namespace

Result<void> prepare_ledger(Database& database) { return database.migrate("cost", kSchema); }

Result<void> record_in_ledger(Transaction& transaction, const LedgerEntry& entry) {
    const auto added = TRY(transaction.run(
        "INSERT INTO ledger_entry(job, account, region, name, owner, started, ended, training_seconds,"
        " billable_seconds, spot) VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(job) DO NOTHING",
        entry.job, entry.account, entry.region, entry.name, entry.owner, to_epoch_milliseconds(entry.started),
        to_epoch_milliseconds(entry.ended), entry.training_seconds, entry.billable_seconds, entry.spot));
    if (added == 0) return {};
    int64_t number = 0;
    for (const auto& group : entry.groups) {
        TRY(transaction.run("INSERT INTO ledger_group(job, number, instance_type, instances) VALUES(?,?,?,?)",
                            entry.job, number++, group.instance_type, group.instances));
    }
    for (const auto& [name, value] : entry.tags) {
        TRY(transaction.run("INSERT INTO ledger_tag(job, name, value) VALUES(?,?,?)", entry.job, name, value));
    }
    return {};
}

Result<std::vector<int64_t>> past_training_seconds(Connection& connection, const std::string& account,
                                                   const std::string& region, const std::string& prefix, size_t limit) {
    std::vector<int64_t> seconds;
    // Names are letters, digits and hyphens, all of which come before '~'.
    for (const auto& row : TRY(connection.query(
             "SELECT training_seconds FROM ledger_entry WHERE account=? AND region=? AND name>=? AND name<? "
             "ORDER BY ended DESC, job DESC LIMIT ?",
             account, region, prefix, prefix + "~", static_cast<int64_t>(limit)))) {
        seconds.push_back(row.integer(0));
    }
    return seconds;
}

Result<std::vector<LedgerEntry>> read_ledger(Connection& connection, const LedgerQuery& query) {
    const auto exists =
        TRY(connection.query_one("SELECT 1 FROM sqlite_master WHERE type='table' AND name='ledger_entry'"));
    if (!exists) return not_found("nothing has been metered in this data directory yet");
    std::vector<LedgerEntry> entries;
    std::unordered_map<int64_t, size_t> index;
    const auto rows = TRY(select(connection,
                                 "SELECT e.job, e.account, e.region, e.name, e.owner, e.started, e.ended,"
                                 " e.training_seconds, e.billable_seconds, e.spot",
                                 " ORDER BY e.ended, e.job", query));
    for (const auto& row : rows) {
        index[row.integer(0)] = entries.size();
        entries.push_back({.job = row.integer(0),
                           .account = row.text(1),
                           .region = row.text(2),
                           .name = row.text(3),
                           .owner = row.text(4),
                           .groups = {},
                           .started = from_epoch_milliseconds(row.integer(5)),
                           .ended = from_epoch_milliseconds(row.integer(6)),
                           .training_seconds = row.integer(7),
                           .billable_seconds = row.integer(8),
                           .spot = row.integer(9) != 0,
                           .tags = {}});
    }
    const std::string of_wanted = " WHERE job IN (SELECT e.job";
    const auto groups = TRY(select(connection, "SELECT job, instance_type, instances FROM ledger_group" + of_wanted,
                                   ") ORDER BY job, number", query));
    for (const auto& row : groups) {
        entries[index.at(row.integer(0))].groups.push_back({row.text(1), row.integer(2)});
    }
    const auto tags =
        TRY(select(connection, "SELECT job, name, value FROM ledger_tag" + of_wanted, ") ORDER BY job, name", query));
    for (const auto& row : tags) entries[index.at(row.integer(0))].tags.emplace_back(row.text(1), row.text(2));
    return entries;
}

}  // namespace millwright::resources
