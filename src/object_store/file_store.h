// Where bytes lie, by id. Knows nothing of buckets and keys.
//
// Many bytes are a file, <folder>/<first two hex digits>/<32 hex digits>. It exists for as long as a row of the
// metadata store names it: written and synced before the row, unlinked after the row is gone, so that a crash leaves at
// most files without a row; remove_orphans() finds those.
//
// Few bytes (kSmallBytes) are a row of the table small_bytes, with an id "s<number>". It is written and deleted in the
// transactions that write and delete the row naming it, so the commit of a group makes all its small puts durable.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"
#include "metadata_store/database.h"

namespace millwright::object_store {

class FileStore;

// In the folder; whoever holds a lock on it (audit.h) keeps files from being removed.
inline constexpr const char* kRemovalLock = "lock";

// Bytes up to this lie in the metadata store.
inline constexpr size_t kSmallBytes = size_t{16} << 10;

// Bytes no row names yet. A file is unlinked on destruction unless kept; while it lives, remove_orphans() leaves it
// alone.
class Draft {
  public:
    Draft(Draft&& other) noexcept;
    Draft& operator=(Draft&&) = delete;
    ~Draft();

    const std::string& id() const { return id_; }
    int fd() const { return fd_.get(); }  // -1 for a small one
    void close() { fd_.reset(); }
    // Before the row that names it. Contents and name of a file survive a power cut from here on.
    Result<void> sync() const;
    // In the transaction that writes the row naming it: stores the bytes of a small one.
    Result<void> record(metadata_store::Transaction& tx) const;
    // A row names it now, or may do so.
    void keep() { kept_ = true; }

  private:
    friend class FileStore;
    Draft(FileStore& store, std::string id) : store_(&store), id_(std::move(id)) {}

    FileStore* store_;
    std::string id_;
    Fd fd_;
    std::optional<std::string> small_;
    bool kept_ = false;
};

// Thread-safe.
class FileStore {
  public:
    static constexpr int kShards = 256;

    // Makes the table of small bytes in `database`.
    static Result<std::unique_ptr<FileStore>> open(const std::string& folder, metadata_store::Database& database,
                                                   Random& random);

    // An empty file, opened for reading and writing. LimitExceeded while the disk is nearly full. Only one made with
    // Reopening::Allowed can be opened for writing again.
    enum class Reopening { Never, Allowed };
    Result<Draft> create(Reopening reopening = Reopening::Never);
    // A file with the bytes of `source`: shared (reflink, hard link) where the file system can, else copied.
    Result<Draft> clone(int source, uint64_t size);
    // Small bytes. REQUIRES: at most kSmallBytes.
    Draft hold(std::string bytes);
    static bool is_small(std::string_view id) { return id.starts_with('s'); }
    // The bytes of a small one; read in the transaction that read its id.
    static Result<std::string> small_bytes(metadata_store::Connection& connection, const std::string& id);
    // In the transaction that deletes the last row naming `id`: the bytes go, if it is a small one. A file is removed
    // by remove() after the commit.
    static Result<void> forget(metadata_store::Transaction& tx, const std::string& id);

    Result<Fd> open_for_reading(const std::string& id) const;  // NotFound
    Result<Fd> open_for_writing(const std::string& id) const;
    // fdatasync and fsync of the folder, for a file written through open_for_writing().
    Result<void> sync(const std::string& id, int fd) const;
    // The same, and nobody can open the file for writing any more.
    Result<void> seal(const std::string& id, int fd) const;
    // Nothing for a small one. While somebody holds removals, it happens after the next removal that nobody holds, or
    // by remove_orphans() of the next start.
    void remove(const std::string& id);

    // Removes the files of one shard (0 … kShards - 1) that are no drafts and not among those `named` answers: the ids
    // a row names, of those it is given.
    using Named = std::function<Result<std::set<std::string>>(const std::vector<std::string>& ids)>;
    Result<size_t> remove_orphans(int shard, const Named& named);

  private:
    friend class Draft;
    FileStore(std::string folder, Random& random, metadata_store::Database& database, Fd lock, uint64_t first_small)
        : folder_(std::move(folder)),
          random_(random),
          database_(database),
          lock_(std::move(lock)),
          next_small_(first_small) {}
    Draft new_draft();
    bool is_draft(const std::string& id);
    void forget_draft(const std::string& id);
    bool removals_are_held() const;
    Result<void> check_room() const;
    std::string shard_of(std::string_view id) const;
    std::string path_of(std::string_view id) const;

    const std::string folder_;
    Random& random_;
    metadata_store::Database& database_;
    const Fd lock_;
    std::atomic<uint64_t> next_small_;
    Mutex mutex_;
    std::multiset<std::string> drafts_ GUARDED_BY(mutex_);
    std::vector<std::string> held_back_ GUARDED_BY(mutex_);
};

// The bytes of `source` as a new, read-only file `path`: reflink, else hard link, else copy. AlreadyExists when there
// is something. Returns the descriptor to sync by; an empty one for a hard link.
Result<Fd> materialize(int source, uint64_t size, const std::string& path);
// A new, read-only file; not durable. AlreadyExists when there is something.
Result<void> write_new_file(const std::string& path, std::string_view bytes);
// `length` bytes from one file to another, inside the kernel where possible.
Result<void> copy_range(int source, uint64_t source_offset, int target, uint64_t target_offset, uint64_t length);
// Whole buffer at `offset`.
Result<void> write_all_at(int fd, std::string_view bytes, uint64_t offset);

}  // namespace millwright::object_store
