// Finds the rows whose name contains a text: all names of a table in memory, in lower case and packed, searched 16
// bytes at a time. A million names take about 60 MB and 5 ms for a text that no name has; writing a row costs nothing.
//
// An index of n-grams in the database was tried instead: it tripled the cost of an insert, and texts made of frequent
// n-grams, such as a date, took longer than a scan.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "metadata_store/database.h"

namespace millwright::resources {

// Thread-safe.
class NameIndex {
  public:
    // Reads the table on a thread of its own. `select` answers id, account, region and name of the rows after the
    // account, region and name that are its first parameters, in their order, at most as many as its fourth; from an
    // index, lest all of the table be read. `database` outlives the index.
    NameIndex(metadata_store::Database& database, std::string select);
    ~NameIndex();

    // After the commit that added, or removed, the row. Ids of added rows grow, as a rule.
    void add(int64_t id, std::string_view account, std::string_view region, std::string_view name);
    void remove(int64_t id, std::string_view account, std::string_view region);

    // The ids, ascending. Nothing when there are more than `most`, or when the table is still being read.
    std::optional<std::vector<int64_t>> find(std::string_view account, std::string_view region, std::string_view text,
                                             size_t most);
    bool ready();

  private:
    // Names end with a zero byte, which no name and no text has.
    struct Names {
        std::string text;
        std::vector<uint64_t> starts;  // of each name in `text`
        std::vector<int64_t> ids;      // ascending; negative for one that is gone
        size_t gone = 0;

        std::vector<int64_t>::iterator place_of(int64_t id);
        void append(int64_t id, std::string_view name);
        void add(int64_t id, std::string_view name);
        void remove(int64_t id);
        void compact();
        bool find(std::string_view text_wanted, size_t most, std::vector<int64_t>& found) const;
    };
    struct Late {
        int64_t id = 0;
        std::string account, region, name;
        bool added = false;
    };
    using Key = std::pair<std::string, std::string>;

    void load(const std::stop_token& stop);
    void apply(const Late& change) REQUIRES(mutex_);

    metadata_store::Database& database_;
    const std::string select_;
    Mutex mutex_;
    bool ready_ GUARDED_BY(mutex_) = false;
    std::map<Key, Names> names_ GUARDED_BY(mutex_);
    std::vector<Late> late_ GUARDED_BY(mutex_);  // while the table is being read
    std::jthread loader_;
};

}  // namespace millwright::resources
