// Files named by random ids: <folder>/<first two hex digits>/<32 hex digits>. Knows nothing of buckets and keys.
//
// A file exists for as long as a row of the metadata store names it. It is written and synced before the row, and
// unlinked after the row is gone, so that a crash leaves at most files without a row; remove_orphans() finds those.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/result.h"

namespace millwright::object_store {

class FileStore;

// A file no row names yet: unlinked on destruction unless kept. While it lives, remove_orphans() leaves it alone.
class Draft {
  public:
    Draft(Draft&& other) noexcept;
    Draft& operator=(Draft&&) = delete;
    ~Draft();

    const std::string& id() const { return id_; }
    int fd() const { return fd_.get(); }
    void close() { fd_.reset(); }
    // Contents and name survive a power cut from here on.
    Result<void> sync() const;
    // A row names the file now, or may do so.
    void keep() { kept_ = true; }

  private:
    friend class FileStore;
    Draft(FileStore& store, std::string id) : store_(&store), id_(std::move(id)) {}

    FileStore* store_;
    std::string id_;
    Fd fd_;
    bool kept_ = false;
};

// Thread-safe.
class FileStore {
  public:
    static constexpr int kShards = 256;

    static Result<std::unique_ptr<FileStore>> open(const std::string& folder, Random& random);

    // An empty file, opened for reading and writing. Only one made with Reopening::Allowed can be opened for writing
    // again.
    enum class Reopening { Never, Allowed };
    Result<Draft> create(Reopening reopening = Reopening::Never);
    // A file with the bytes of `source`: shared (reflink, hard link) where the file system can, else copied.
    Result<Draft> clone(int source, uint64_t size);
    Result<Fd> open_for_reading(const std::string& id) const;  // NotFound
    Result<Fd> open_for_writing(const std::string& id) const;
    // fdatasync and fsync of the folder, for a file written through open_for_writing().
    Result<void> sync(const std::string& id, int fd) const;
    // The same, and nobody can open the file for writing any more.
    Result<void> seal(const std::string& id, int fd) const;
    void remove(const std::string& id) const;

    // Removes the files of one shard (0 … kShards - 1) that are no drafts and not among those `named` answers: the ids
    // a row names, of those it is given.
    using Named = std::function<Result<std::set<std::string>>(const std::vector<std::string>& ids)>;
    Result<size_t> remove_orphans(int shard, const Named& named);

  private:
    friend class Draft;
    FileStore(std::string folder, Random& random) : folder_(std::move(folder)), random_(random) {}
    Draft new_draft();
    bool is_draft(const std::string& id);
    void forget_draft(const std::string& id);
    std::string shard_of(std::string_view id) const;
    std::string path_of(std::string_view id) const;

    const std::string folder_;
    Random& random_;
    Mutex mutex_;
    std::multiset<std::string> drafts_ GUARDED_BY(mutex_);
};

// The bytes of `source` as a new, read-only file `path`: reflink, else hard link, else copy. AlreadyExists when there
// is something. Returns the descriptor to sync by; an empty one for a hard link.
Result<Fd> materialize(int source, uint64_t size, const std::string& path);
// `length` bytes from one file to another, inside the kernel where possible.
Result<void> copy_range(int source, uint64_t source_offset, int target, uint64_t target_offset, uint64_t length);
// Whole buffer at `offset`.
Result<void> write_all_at(int fd, std::string_view bytes, uint64_t offset);

}  // namespace millwright::object_store
