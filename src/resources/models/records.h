// What models, endpoint configurations and endpoints have in common: named records of an account and region,
// found without regard to case, and listed with the same filters, orders and keyset pages.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/listing/keyset_list.h"

namespace millwright::resources {

struct RecordName {
    std::string account, region, name;
    std::string key() const;                       // the name in lower case
    std::string arn(std::string_view kind) const;  // arn:aws:sagemaker:<region>:<account>:<kind>/<key>
};

struct RecordSummary {
    std::string name, arn, status;
    Timestamp created{}, modified{};
};

struct RecordQuery {
    enum class SortBy { Name, CreationTime, Status };
    std::optional<Timestamp> created_after, created_before, modified_after, modified_before;  // exclusive
    std::string name_contains, status_equals;                                                 // empty: any
    SortBy sort_by = SortBy::CreationTime;
    bool ascending = false;
    size_t max_results = 10;
    std::vector<std::string> after;  // RecordPage::next of the page before
};

struct RecordPage {
    std::vector<RecordSummary> items;
    std::vector<std::string> next;  // empty at the end
};

// Columns every such table has; the primary key is (account, region, name_key).
inline constexpr std::string_view kRecordColumns =
    "account TEXT NOT NULL, region TEXT NOT NULL, name_key TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT "
    "NULL, "
    "created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, status TEXT NOT NULL, ";

// The listed table and its index of names.
class RecordList {
  public:
    // `has_status`: the table is listed by status and time of modification, too; see record_indexes().
    enum class Kind { Plain, WithStatus };
    RecordList(metadata_store::Database& database, std::string table, Kind kind);
    // InvalidInput for a position that is not one, and for a filter or order the kind does not have.
    Result<RecordPage> page(std::string_view account, std::string_view region, const RecordQuery& query);
    // After the commit that added, or removed, the row with this rowid.
    void added(const NameIndex::RowKey& row, const RecordName& name) {
        names_.add(row, name.account, name.region, name.key());
    }
    void removed(const NameIndex::RowKey& row, const RecordName& name) {
        names_.remove(row, name.account, name.region);
    }

  private:
    metadata_store::Database& database_;
    ListedTable listed_;
    NameIndex names_;
};

// The indexes a listed table has besides its primary key, as SQL.
std::string record_indexes(std::string_view table, RecordList::Kind kind);

}  // namespace millwright::resources
