#include "object_store/file_store.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include "base/blocking.h"
#include "base/log.h"
#include "base/strings.h"

namespace millwright::object_store {
namespace {

constexpr size_t kIdDigits = 32;
constexpr size_t kSweepBatch = 256;
constexpr mode_t kReadOnly = 0444;  // written through the descriptor that created it only

const std::vector<metadata_store::Migration> kSmallSchema = {
    {"object_bytes 1: small objects", "CREATE TABLE small_bytes(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"}};

std::string shard_name(int shard) {
    constexpr char kHex[] = "0123456789abcdef";
    return {kHex[shard >> 4], kHex[shard & 15]};
}

bool is_id(std::string_view name) {
    return name.size() == kIdDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

int64_t small_number(std::string_view id) { return parse_int(id.substr(1)).value_or(0); }

// The file behind a descriptor, also when its name is not known.
std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Result<void> copy_by_hand(int source, uint64_t source_offset, int target, uint64_t target_offset, uint64_t length) {
    std::string buffer(256 * 1024, '\0');
    while (length > 0) {
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(length, buffer.size()));
        const ssize_t got = ::pread(source, buffer.data(), wanted, static_cast<off_t>(source_offset));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot read an object file");
        if (got == 0) return internal_error("an object file is shorter than its record says");
        TRY(write_all_at(target, std::string_view(buffer).substr(0, static_cast<size_t>(got)), target_offset));
        source_offset += static_cast<uint64_t>(got);
        target_offset += static_cast<uint64_t>(got);
        length -= static_cast<uint64_t>(got);
    }
    return {};
}

}  // namespace

Draft::Draft(Draft&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      id_(std::move(other.id_)),
      fd_(std::move(other.fd_)),
      small_(std::move(other.small_)),
      kept_(other.kept_) {}

Draft::~Draft() {
    if (!store_ || small_) return;
    if (!kept_) store_->remove(id_);
    store_->forget_draft(id_);
}

Result<void> Draft::sync() const {
    if (small_) return {};
    return store_->sync(id_, fd_.get());
}

Result<void> Draft::record(metadata_store::Transaction& tx) const {
    if (!small_) return {};
    TRY(tx.run("INSERT INTO small_bytes(id, bytes) VALUES(?,?)", small_number(id_), metadata_store::Blob{*small_}));
    return {};
}

Result<std::unique_ptr<FileStore>> FileStore::open(const std::string& folder, metadata_store::Database& database,
                                                   Random& random) {
    TRY(database.migrate("object_bytes", kSmallSchema));
    const auto last = TRY(database.read([](metadata_store::Connection& connection) {
        return connection.query_one("SELECT max(id) FROM small_bytes");
    }));
    TRY(make_directories(folder, 0700));
    for (int shard = 0; shard < kShards; ++shard) TRY(make_directories(folder + "/" + shard_name(shard), 0700));
    TRY(sync_directory(folder));
    const auto first_small = static_cast<uint64_t>(last->integer(0)) + 1;
    Fd lock = TRY(open_file(folder + "/" + kRemovalLock, O_RDWR | O_CREAT, 0600));
    return std::unique_ptr<FileStore>(new FileStore(folder, random, database, std::move(lock), first_small));
}

std::string FileStore::shard_of(std::string_view id) const { return folder_ + "/" + std::string(id.substr(0, 2)); }
std::string FileStore::path_of(std::string_view id) const { return shard_of(id) + "/" + std::string(id); }

Draft FileStore::new_draft() {
    Draft draft(*this, random_.hex(kIdDigits));
    const MutexLock lock(mutex_);
    drafts_.insert(draft.id_);
    return draft;
}

bool FileStore::is_draft(const std::string& id) {
    const MutexLock lock(mutex_);
    return drafts_.contains(id);
}

void FileStore::forget_draft(const std::string& id) {
    const MutexLock lock(mutex_);
    if (const auto found = drafts_.find(id); found != drafts_.end()) drafts_.erase(found);
}

Result<void> FileStore::check_room() const {
    if (database_.is_low_on_space()) return Error{ErrorKind::LimitExceeded, "The disk is full.", ""};
    return {};
}

Result<Draft> FileStore::create(Reopening reopening) {
    TRY(check_room());
    Draft draft = new_draft();
    const mode_t mode = reopening == Reopening::Allowed ? 0600 : kReadOnly;
    draft.fd_ = TRY(open_file(path_of(draft.id_), O_RDWR | O_CREAT | O_EXCL, mode));
    return draft;
}

Result<Draft> FileStore::clone(int source, uint64_t size) {
    Draft draft = new_draft();
    draft.fd_ = TRY(materialize(source, size, path_of(draft.id_)));
    if (!draft.fd_) draft.fd_ = TRY(open_for_reading(draft.id_));
    return draft;
}

// Numbers only grow, so that a row is added at the end of the table's tree.
Draft FileStore::hold(std::string bytes) {
    CHECK(bytes.size() <= kSmallBytes);
    Draft draft(*this, "s" + std::to_string(next_small_.fetch_add(1, std::memory_order_relaxed)));
    draft.small_ = std::move(bytes);
    return draft;
}

Result<std::string> FileStore::small_bytes(metadata_store::Connection& connection, const std::string& id) {
    const auto row = TRY(connection.query_one("SELECT bytes FROM small_bytes WHERE id=?", small_number(id)));
    if (!row) return internal_error("the bytes of an object are missing", "small bytes " + id);
    return row->text(0);
}

Result<void> FileStore::forget(metadata_store::Transaction& tx, const std::string& id) {
    if (is_small(id)) TRY(tx.run("DELETE FROM small_bytes WHERE id=?", small_number(id)));
    return {};
}

Result<Fd> FileStore::open_for_reading(const std::string& id) const {
    return open_file(path_of(id), O_RDONLY | O_NOFOLLOW);
}

Result<Fd> FileStore::open_for_writing(const std::string& id) const {
    return open_file(path_of(id), O_RDWR | O_NOFOLLOW);
}

Result<void> FileStore::seal(const std::string& id, int fd) const {
    if (::fchmod(fd, kReadOnly) != 0) return error_from_errno("cannot protect an object file");
    return sync(id, fd);
}

Result<void> FileStore::sync(const std::string& id, int fd) const {
    const Blocking blocking;
    // Data first: on ext4 and XFS this commits the journal with the new name, which makes the second call cheap.
    if (::fdatasync(fd) != 0) return error_from_errno("cannot sync an object file");
    return sync_directory(shard_of(id));
}

bool FileStore::removals_are_held() const {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    return ::fcntl(lock_.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

void FileStore::remove(const std::string& id) {
    if (is_small(id)) return;
    std::vector<std::string> held_back;
    {
        const bool held = removals_are_held();
        const MutexLock lock(mutex_);
        if (held) return held_back_.push_back(id);
        held_back.swap(held_back_);
    }
    for (const auto& earlier : held_back) ::unlink(path_of(earlier).c_str());
    if (::unlink(path_of(id).c_str()) != 0 && errno != ENOENT)
        log::warning("object store", error_from_errno("cannot unlink " + path_of(id)));
}

Result<size_t> FileStore::remove_orphans(int shard, const Named& named) {
    const std::string folder = folder_ + "/" + shard_name(shard);
    std::error_code failure;
    std::vector<std::string> batch;
    size_t removed = 0;
    const auto sweep_batch = [&]() -> Result<void> {
        // Drafts first, rows second: a file that stops being a draft in between has its row by then.
        std::erase_if(batch, [&](const std::string& id) { return is_draft(id); });
        const auto kept = TRY(named(batch));
        for (const auto& id : batch) {
            if (kept.contains(id)) continue;
            remove(id);
            ++removed;
        }
        batch.clear();
        return {};
    };
    std::filesystem::directory_iterator entries(folder, failure), end;
    for (; !failure && entries != end; entries.increment(failure)) {
        const std::string name = entries->path().filename().string();
        if (is_id(name)) batch.push_back(name);
        if (batch.size() == kSweepBatch) TRY(sweep_batch());
    }
    if (failure) return Error{ErrorKind::Internal, "cannot list " + folder, failure.message()};
    TRY(sweep_batch());
    return removed;
}

namespace {

// Asking a file system that shares no blocks costs a file made and removed, more than the link itself: the last one
// that refused is not asked again.
std::atomic<dev_t> without_reflinks{0};

Result<Fd> reflink(int source, const std::string& path) {
    struct stat status {};
    if (::fstat(source, &status) != 0) return error_from_errno("cannot inspect an object file");
    if (status.st_dev == without_reflinks.load(std::memory_order_relaxed)) return Fd();
    Fd target = TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL, kReadOnly));
    if (::ioctl(target.get(), FICLONE, source) == 0) return target;
    // Not EXDEV and the like, which are about this path.
    if (errno == EOPNOTSUPP || errno == ENOTTY) without_reflinks.store(status.st_dev, std::memory_order_relaxed);
    if (::unlink(path.c_str()) != 0) return error_from_errno("cannot unlink " + path);
    return Fd();
}

}  // namespace

Result<Fd> materialize(int source, uint64_t size, const std::string& path) {
    Fd target = TRY(reflink(source, path));
    if (target) return target;
    if (::linkat(AT_FDCWD, descriptor_path(source).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0)
        return Fd();
    target = TRY(open_file(path, O_RDWR | O_CREAT | O_EXCL, kReadOnly));
    auto copied = copy_range(source, 0, target.get(), 0, size);
    if (copied) return target;
    ::unlink(path.c_str());
    return copied.error();
}

Result<void> write_new_file(const std::string& path, std::string_view bytes) {
    const Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, kReadOnly));
    auto written = write_all(file.get(), bytes);
    if (!written) ::unlink(path.c_str());
    return written;
}

Result<void> copy_range(int source, uint64_t source_offset, int target, uint64_t target_offset, uint64_t length) {
    while (length > 0) {
        auto from = static_cast<off64_t>(source_offset), to = static_cast<off64_t>(target_offset);
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(length, uint64_t{1} << 30));
        const ssize_t put = ::copy_file_range(source, &from, target, &to, wanted, 0);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && (errno == ENOSPC || errno == EDQUOT)) return error_from_errno("cannot copy an object file");
        if (put <= 0) return copy_by_hand(source, source_offset, target, target_offset, length);
        source_offset += static_cast<uint64_t>(put);
        target_offset += static_cast<uint64_t>(put);
        length -= static_cast<uint64_t>(put);
    }
    return {};
}

Result<void> write_all_at(int fd, std::string_view bytes, uint64_t offset) {
    while (!bytes.empty()) {
        const ssize_t put = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return error_from_errno("cannot write an object file");
        bytes.remove_prefix(static_cast<size_t>(put));
        offset += static_cast<uint64_t>(put);
    }
    return {};
}

}  // namespace millwright::object_store
