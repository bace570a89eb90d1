// Finds the rows whose name contains a text: all names of a table in memory, in lower case and packed, in the order of
// creation and with an index of their parts (name_chunk.h). A million names take about 70 MB; a text that no name has
// is known in some ten microseconds, and so is a page of those that have it.
//
// An index of n-grams in the database was tried instead: it tripled the cost of an insert, and texts made of frequent
// n-grams, such as a date, took longer than a scan.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "metadata_store/database.h"
#include "resources/listing/name_chunk.h"

namespace millwright::resources {

// Thread-safe.
class NameIndex {
  public:
    // A row's number and time of creation, in milliseconds; both stay as they are.
    struct RowKey {
        int64_t id = 0, created = 0;
    };

    // Reads the table on a thread of its own. `select` answers id, created, account, region, name and the last column
    // of the order, of the rows after the account, region, time of creation and last column that are its first
    // parameters, in their order, at most as many as its fifth; from an index, lest all of the table be read.
    // `database` outlives the index.
    NameIndex(metadata_store::Database& database, std::string select);
    ~NameIndex();

    // After the commit that added, or removed, the row. Times of added rows grow, as a rule.
    void add(const RowKey& row, std::string_view account, std::string_view region, std::string_view name);
    void remove(const RowKey& row, std::string_view account, std::string_view region);

    // The ids. Nothing when there are more than `most`, or when the table is still being read.
    using Ids = std::optional<std::vector<int64_t>>;
    Ids find(std::string_view account, std::string_view region, std::string_view text, size_t most);
    // Where a page in the order of creation begins and what it needs.
    struct Page {
        std::optional<int64_t> from = {};  // a time of creation; none: from the beginning, or the end
        bool ascending = false;
        size_t count = 0;
    };
    struct PageIds {
        std::vector<int64_t> ids;
        bool to_the_end = true;  // none comes after them
    };
    // Those of the first `count` rows that come after all of the time `from`, of all of that time, and of all of the
    // same time as the last one. Nothing as above.
    std::optional<PageIds> find_page(std::string_view account, std::string_view region, std::string_view text,
                                     const Page& page, size_t most);
    bool ready();

  private:
    // The names of one account and region.
    class Names {
      public:
        void add(const RowKey& row, std::string_view name);
        void remove(const RowKey& row);
        bool find(std::string_view text, size_t most, std::vector<int64_t>& found) const;
        bool find_page(std::string_view text, const Page& page, size_t most, PageIds& found) const;

      private:
        // Of the chunk where the row is, or would be. REQUIRES: there is one.
        size_t chunk_of(const NameChunk::Key& key) const;
        void drop(size_t chunk);

        std::vector<std::unique_ptr<NameChunk>> chunks_;  // in order, none empty
    };
    struct Late {
        RowKey row;
        std::string account, region, name;
        bool added = false;
    };
    using Key = std::pair<std::string, std::string>;

    void load(const std::stop_token& stop);
    void change(Late change);
    void apply(const Late& change) REQUIRES(mutex_);
    // `search(names, wanted, found)` is false when there were too many.
    template <typename Found, typename Search>
    std::optional<Found> find_with(std::string_view account, std::string_view region, std::string_view text,
                                   const Search& search);

    metadata_store::Database& database_;
    const std::string select_;
    Mutex mutex_;
    bool ready_ GUARDED_BY(mutex_) = false;
    std::map<Key, Names> names_ GUARDED_BY(mutex_);
    std::vector<Late> late_ GUARDED_BY(mutex_);  // while the table is being read
    std::jthread loader_;
};

}  // namespace millwright::resources
