#include "executors/images/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/strings.h"
#include "executors/contract/archive.h"

namespace millwright::executors {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr uint64_t kDiskCheckBytes = uint64_t{32} << 20;
constexpr uint64_t kMaxNameBytes = uint64_t{256} << 20;  // of folders, kept until the end
constexpr std::string_view kWhiteout = ".wh.", kOpaque = ".wh..wh..opq", kReserved = ".wh..wh.";
constexpr const char* kOpaqueAttribute = "user.overlay.opaque";

using Reader = std::unique_ptr<archive, decltype(&archive_read_free)>;

Error bad_entry(std::string_view name, std::string_view why) {
    return invalid_input("the layer's entry \"" + valid_utf8(name.substr(0, 200)) + "\" " + std::string(why));
}

DigestKind kind_of(const std::string& digest) {
    return digest.starts_with("sha512:") ? DigestKind::Sha512 : DigestKind::Sha256;
}

// The blob, and what is in it without compression: both are counted and hashed on their way.
class Stream {
  public:
    Stream(oci::BlobReader& blob, const std::string& digest, const std::string& diff_id, const UnpackLimits& limits,
           const UnpackProgress& progress)
        : blob_(blob),
          wanted_(digest),
          wanted_archive_(diff_id),
          limits_(limits),
          progress_(progress),
          packed_digest_(kind_of(digest)),
          digest_(kind_of(diff_id)) {}

    Result<void> open();
    // Reads what the archive left, so that the digests are those of everything.
    Result<void> finish();
    Result<size_t> read(char* buffer, size_t size);
    const std::optional<Error>& failure() const { return failure_; }

  private:
    static la_ssize_t read_packed(archive*, void* self, const void** buffer);
    Result<size_t> next_packed();

    oci::BlobReader& blob_;
    const std::string &wanted_, &wanted_archive_;
    const UnpackLimits& limits_;
    const UnpackProgress& progress_;
    Reader unpacker_{nullptr, &archive_read_free};
    std::vector<char> packed_ = std::vector<char>(kBufferBytes);
    uint64_t packed_bytes_ = 0, bytes_ = 0;
    Digest packed_digest_, digest_;
    std::optional<Error> failure_;
};

Result<void> Stream::open() {
    unpacker_.reset(archive_read_new());
    if (!unpacker_) return internal_error("cannot make an archive reader");
    archive_read_support_filter_gzip(unpacker_.get());
    archive_read_support_filter_zstd(unpacker_.get());
    archive_read_support_format_raw(unpacker_.get());
    archive_entry* entry = nullptr;
    if (archive_read_open(unpacker_.get(), this, nullptr, &Stream::read_packed, nullptr) == ARCHIVE_OK &&
        archive_read_next_header(unpacker_.get(), &entry) == ARCHIVE_OK)
        return {};
    if (failure_) return *failure_;
    return invalid_input("the layer is empty or its compression is not known");
}

la_ssize_t Stream::read_packed(archive* reader, void* self, const void** buffer) {
    Stream& stream = *static_cast<Stream*>(self);
    const auto got = stream.next_packed();
    *buffer = stream.packed_.data();
    if (got) return static_cast<la_ssize_t>(*got);
    stream.failure_ = got.error();
    archive_set_error(reader, EIO, "stopped");
    return -1;
}

Result<size_t> Stream::next_packed() {
    const size_t got = TRY(blob_.read(packed_.data(), packed_.size()));
    packed_bytes_ += got;
    packed_digest_.update({packed_.data(), got});
    TRY(progress_(packed_bytes_));
    return got;
}

Result<size_t> Stream::read(char* buffer, size_t size) {
    const la_ssize_t got = archive_read_data(unpacker_.get(), buffer, size);
    if (got < 0) return failure_ ? *failure_ : invalid_input("the layer is damaged: it cannot be decompressed");
    bytes_ += static_cast<uint64_t>(got);
    if (bytes_ > limits_.max_bytes + limits_.max_entries * 1024)
        return Error{ErrorKind::LimitExceeded, "a layer of the image is too large", ""};
    digest_.update({buffer, static_cast<size_t>(got)});
    return static_cast<size_t>(got);
}

Result<void> Stream::finish() {
    std::vector<char> rest(kBufferBytes);
    for (;;)
        if (TRY(read(rest.data(), rest.size())) == 0) break;
    for (;;)
        if (TRY(next_packed()) == 0) break;
    const auto differs = [](Digest& digest, const std::string& wanted) {
        return to_hex(digest.finish()) != wanted.substr(wanted.find(':') + 1);
    };
    if (differs(packed_digest_, wanted_))
        return invalid_input("the layer " + wanted_ + " is damaged: its bytes have another digest");
    if (differs(digest_, wanted_archive_))
        return invalid_input("the layer " + wanted_ + " is not the one that the image's configuration names");
    return {};
}

struct Attributes {
    mode_t mode = 0755;
    uid_t user = 0;
    gid_t group = 0;
    timespec modified{};
};

class Extraction {
  public:
    Extraction(Stream& stream, Fd root, const UnpackLimits& limits)
        : stream_(stream), root_(std::move(root)), limits_(limits) {}
    Result<Unpacked> run();

  private:
    using Parts = std::vector<std::string>;
    static la_ssize_t read_archive(archive*, void* self, const void** buffer);
    Error damaged() const;
    Result<void> extract(archive_entry* entry);
    Result<void> extract_at(archive_entry* entry, const Parts& parts, int parent, const std::string& name);
    Result<Fd> open_folder(const std::string& path);
    Result<int> parent_of(const Parts& parts);
    Result<void> white_out(int parent, const Parts& parts);
    Result<void> hide_below(int folder);
    Result<bool> clear_place(int parent, const std::string& name, bool for_folder);
    Result<void> make_folder(int parent, const Parts& parts, const Attributes& attributes);
    Result<void> make_file(int parent, const std::string& name, const Attributes& attributes);
    Result<void> make_symbolic_link(int parent, const std::string& name, archive_entry* entry);
    Result<void> make_hard_link(int parent, const std::string& name, std::string_view target);
    Result<void> finish_folders();
    Result<void> set_attributes(int file, Attributes attributes);
    Result<void> count(uint64_t bytes);

    Stream& stream_;
    Fd root_;
    const UnpackLimits& limits_;
    Reader reader_{nullptr, &archive_read_free};
    std::vector<char> archive_ = std::vector<char>(kBufferBytes), data_ = std::vector<char>(kBufferBytes);
    std::string parent_path_;
    Fd parent_;
    bool parent_is_stale_ = false;
    std::map<std::string, Attributes> folders_;
    Unpacked done_;
    uint64_t entries_ = 0, name_bytes_ = 0, checked_bytes_ = 0;
    std::optional<Error> failure_;
};

la_ssize_t Extraction::read_archive(archive* reader, void* self, const void** buffer) {
    Extraction& extraction = *static_cast<Extraction*>(self);
    const auto got = extraction.stream_.read(extraction.archive_.data(), extraction.archive_.size());
    *buffer = extraction.archive_.data();
    if (got) return static_cast<la_ssize_t>(*got);
    extraction.failure_ = got.error();
    archive_set_error(reader, EIO, "stopped");
    return -1;
}

Error Extraction::damaged() const {
    if (failure_) return *failure_;
    const char* why = archive_error_string(reader_.get());
    return invalid_input(std::string("the layer is damaged or not a tar: ") + (why ? why : "unknown reason"));
}

Result<Unpacked> Extraction::run() {
    reader_.reset(archive_read_new());
    if (!reader_) return internal_error("cannot make an archive reader");
    archive_read_support_format_tar(reader_.get());
    // A layer without entries is an archive of zeros.
    archive_read_support_format_empty(reader_.get());
    if (archive_read_open(reader_.get(), this, nullptr, &Extraction::read_archive, nullptr) != ARCHIVE_OK)
        return damaged();
    for (;;) {
        archive_entry* entry = nullptr;
        const int status = archive_read_next_header(reader_.get(), &entry);
        if (status == ARCHIVE_EOF) break;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return damaged();
        if (++entries_ > limits_.max_entries)
            return Error{ErrorKind::LimitExceeded, "a layer of the image has too many entries", ""};
        TRY(count(0));
        TRY(extract(entry));
    }
    TRY(finish_folders());
    return done_;
}

Attributes attributes_of(archive_entry* entry) {
    Attributes attributes;
    // Set-id programs would be nobody's: no process of a run may gain privileges.
    attributes.mode = archive_entry_perm(entry) & 01777;
    attributes.user = static_cast<uid_t>(archive_entry_uid(entry));
    attributes.group = static_cast<gid_t>(archive_entry_gid(entry));
    attributes.modified = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    return attributes;
}

Result<void> Extraction::extract(archive_entry* entry) {
    const char* text = archive_entry_pathname(entry);
    if (!text) text = archive_entry_pathname_utf8(entry);
    if (!text) return bad_entry("?", "has a name that cannot be read");
    std::string_view name = text;
    while (name.starts_with("/")) name.remove_prefix(1);  // as every engine does
    Parts parts;
    if (!name.empty()) {
        auto cleaned = clean_archive_path(name);
        if (!cleaned) return bad_entry(text, "leads out of the image or is too long");
        parts = std::move(*cleaned);
    }
    if (parts.empty()) {
        if (archive_entry_filetype(entry) != AE_IFDIR) return bad_entry(text, "is not a folder");
        folders_[""] = attributes_of(entry);
        return {};
    }
    for (size_t i = 0; i + 1 < parts.size(); ++i)
        if (parts[i].starts_with(kWhiteout)) return {};  // books of an old kind of file system
    const int parent = TRY(parent_of(parts));
    if (parts.back().starts_with(kWhiteout)) return white_out(parent, parts);
    return extract_at(entry, parts, parent, parts.back());
}

Result<void> Extraction::extract_at(archive_entry* entry, const Parts& parts, int parent, const std::string& name) {
    const Attributes attributes = attributes_of(entry);
    const char* hard_link = archive_entry_hardlink(entry);
    if (!hard_link) hard_link = archive_entry_hardlink_utf8(entry);
    if (hard_link) return make_hard_link(parent, name, hard_link);
    switch (archive_entry_filetype(entry)) {
        case AE_IFDIR:
            return make_folder(parent, parts, attributes);
        case AE_IFREG:
            return make_file(parent, name, attributes);
        case AE_IFLNK:
            return make_symbolic_link(parent, name, entry);
        case AE_IFIFO:
            TRY(clear_place(parent, name, false));
            if (mknodat(parent, name.c_str(), S_IFIFO | (attributes.mode & 0777), 0) != 0)
                return error_from_errno("cannot make a FIFO of the layer");
            return {};
        case AE_IFCHR:
        case AE_IFBLK:
            return {};  // runs have devices of their own, and may use no others
        default:
            return bad_entry(join(parts, "/"), "is of an unknown kind");
    }
}

// Links on the way mean what they mean in the image.
Result<Fd> Extraction::open_folder(const std::string& path) {
    open_how how{};
    how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const char* name = path.empty() ? "." : path.c_str();
    Fd folder(static_cast<int>(syscall(SYS_openat2, root_.get(), name, &how, sizeof how)));
    if (folder) return folder;
    if (errno == ENOENT) return not_found(path);
    if (errno == ENOTDIR || errno == ELOOP) return bad_entry(path, "is not a folder, but something lies in it");
    return error_from_errno("cannot open a folder of the layer");
}

// Made where no entry did.
Result<int> Extraction::parent_of(const Parts& parts) {
    const Parts above(parts.begin(), parts.end() - 1);
    const std::string path = join(above, "/");
    if (parent_ && !parent_is_stale_ && path == parent_path_) return parent_.get();
    auto folder = open_folder(path);
    if (!folder && folder.error().kind == ErrorKind::NotFound) {
        Parts so_far;
        folder = open_folder("");
        for (const std::string& part : above) {
            so_far.push_back(part);
            if (!folder) break;
            auto next = open_folder(join(so_far, "/"));
            if (!next && next.error().kind == ErrorKind::NotFound) {
                TRY(count(512));
                if (mkdirat(folder->get(), part.c_str(), 0755) != 0)
                    return bad_entry(path, "lies behind a link that leads nowhere");
                next = open_folder(join(so_far, "/"));
            }
            folder = std::move(next);
        }
    }
    if (!folder) return folder.error();
    parent_ = std::move(*folder);
    parent_path_ = path;
    parent_is_stale_ = false;
    return parent_.get();
}

Result<void> Extraction::hide_below(int folder) {
    if (fsetxattr(folder, kOpaqueAttribute, "y", 1, 0) == 0) return {};
    if (errno == EOPNOTSUPP)
        return Error{ErrorKind::Denied,
                     "the disk of the data directory has no extended attributes of users, which layers that hide "
                     "folders need",
                     ""};
    return error_from_errno("cannot mark a folder of the layer");
}

Result<void> Extraction::white_out(int parent, const Parts& parts) {
    const std::string& entry = parts.back();
    if (entry == kOpaque) {
        if (parts.size() == 1)
            return Error{ErrorKind::Denied, "a layer that hides everything below it is not supported", ""};
        return hide_below(parent);
    }
    if (entry.starts_with(kReserved)) return {};
    const std::string name = entry.substr(kWhiteout.size());
    if (name.empty() || name == "." || name == "..") return bad_entry(entry, "removes nothing that could be named");
    struct stat status {};
    if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        // It removes what lies in the layers below, and hides nothing of this one.
        if (!S_ISDIR(status.st_mode)) return {};
        const Fd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!folder) return error_from_errno("cannot open a folder of the layer");
        return hide_below(folder.get());
    }
    if (mknodat(parent, name.c_str(), S_IFCHR, makedev(0, 0)) != 0)
        return error_from_errno("cannot mark a removed file of the layer");
    return count(512);
}

// The last of two entries of one name counts. True: a removal stood here.
Result<bool> Extraction::clear_place(int parent, const std::string& name, bool for_folder) {
    struct stat status {};
    if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return false;
        return error_from_errno("cannot look at a place of the layer");
    }
    if (S_ISDIR(status.st_mode)) {
        if (for_folder) return false;
        // An empty one goes; what lies in another was meant to be there.
        if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0)
            return bad_entry(name, "is both a folder and something else");
        return false;
    }
    if (unlinkat(parent, name.c_str(), 0) != 0) return error_from_errno("cannot replace a file of the layer");
    parent_is_stale_ = true;  // a link may have gone through which it was found
    return S_ISCHR(status.st_mode);
}

Result<void> Extraction::make_folder(int parent, const Parts& parts, const Attributes& attributes) {
    const std::string& name = parts.back();
    const bool removed_before = TRY(clear_place(parent, name, true));
    if (mkdirat(parent, name.c_str(), 0755) != 0 && errno != EEXIST)
        return error_from_errno("cannot make a folder of the layer");
    if (removed_before) {
        const Fd folder(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!folder) return error_from_errno("cannot open a folder of the layer");
        TRY(hide_below(folder.get()));
    }
    const std::string path = join(parts, "/");
    if (const auto [place, is_new] = folders_.insert_or_assign(path, attributes); is_new) {
        name_bytes_ += path.size();
        if (name_bytes_ > kMaxNameBytes)
            return Error{ErrorKind::LimitExceeded, "the names of the layer's folders are too long", ""};
    }
    return count(512);
}

Result<void> Extraction::make_file(int parent, const std::string& name, const Attributes& attributes) {
    TRY(clear_place(parent, name, false));
    const Fd file(openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return error_from_errno("cannot make a file of the layer");
    for (;;) {
        const la_ssize_t got = archive_read_data(reader_.get(), data_.data(), data_.size());
        if (got == 0) break;
        if (got < 0) return damaged();
        TRY(count(static_cast<uint64_t>(got)));
        TRY(write_all(file.get(), {data_.data(), static_cast<size_t>(got)}));
    }
    ++done_.files;
    return set_attributes(file.get(), attributes);
}

Result<void> Extraction::set_attributes(int file, Attributes attributes) {
    if (limits_.keep_owners && fchown(file, attributes.user, attributes.group) != 0)
        return error_from_errno("cannot set the owner of a file of the layer");
    if (fchmod(file, attributes.mode) != 0) return error_from_errno("cannot set the mode of a file of the layer");
    const timespec times[2] = {{0, UTIME_OMIT}, attributes.modified};
    if (futimens(file, times) != 0 && errno != EINVAL)
        return error_from_errno("cannot set the time of a file of the layer");
    return {};
}

Result<void> Extraction::make_symbolic_link(int parent, const std::string& name, archive_entry* entry) {
    const char* target = archive_entry_symlink(entry);
    if (!target) target = archive_entry_symlink_utf8(entry);
    if (!target || !*target) return bad_entry(name, "is a link to nothing");
    TRY(clear_place(parent, name, false));
    if (symlinkat(target, parent, name.c_str()) != 0) {
        if (errno == ENAMETOOLONG) return bad_entry(name, "is a link to too long a path");
        return error_from_errno("cannot make a link of the layer");
    }
    const Attributes attributes = attributes_of(entry);
    if (limits_.keep_owners &&
        fchownat(parent, name.c_str(), attributes.user, attributes.group, AT_SYMLINK_NOFOLLOW) != 0)
        return error_from_errno("cannot set the owner of a link of the layer");
    return count(512);
}

Result<void> Extraction::make_hard_link(int parent, const std::string& name, std::string_view target) {
    while (target.starts_with("/")) target.remove_prefix(1);
    const auto parts = clean_archive_path(target);
    if (!parts || parts->empty()) return bad_entry(name, "is a hard link that leads out of the image");
    const auto folder = open_folder(join(Parts(parts->begin(), parts->end() - 1), "/"));
    struct stat status {};
    if (!folder || fstatat(folder->get(), parts->back().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !(S_ISREG(status.st_mode) || S_ISLNK(status.st_mode)))
        return bad_entry(name, "is a hard link to something that is not a file of the layer");
    struct stat before {};
    if (fstatat(parent, name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 && before.st_ino == status.st_ino) return {};
    TRY(clear_place(parent, name, false));
    if (linkat(folder->get(), parts->back().c_str(), parent, name.c_str(), 0) != 0)
        return error_from_errno("cannot make a link of the layer");
    return count(0);
}

// At the end: what is made inside changes the time of a folder, and a mode may forbid making anything.
Result<void> Extraction::finish_folders() {
    parent_.reset();
    for (auto entry = folders_.rbegin(); entry != folders_.rend(); ++entry) {
        open_how how{};
        how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
        how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        const std::string path = entry->first.empty() ? "." : entry->first;
        const Fd folder(static_cast<int>(syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how)));
        if (!folder) continue;  // replaced by a later entry
        Attributes attributes = entry->second;
        // The layer must be removable by who unpacked it; inside, root does not ask for modes.
        if (!limits_.keep_owners) attributes.mode |= 0700;
        TRY(set_attributes(folder.get(), attributes));
    }
    return {};
}

Result<void> Extraction::count(uint64_t bytes) {
    done_.bytes += bytes;
    if (done_.bytes > limits_.max_bytes)
        return Error{ErrorKind::LimitExceeded,
                     "a layer of the image unpacks to more than " + std::to_string(limits_.max_bytes >> 20) + " MiB",
                     ""};
    if (done_.bytes < checked_bytes_) return {};
    checked_bytes_ = done_.bytes + kDiskCheckBytes;
    struct statvfs disk {};
    if (fstatvfs(root_.get(), &disk) == 0 && disk.f_bavail * disk.f_frsize < limits_.disk_reserve_bytes)
        return Error{ErrorKind::LimitExceeded, "the disk of the data directory has no room for the image", ""};
    return {};
}

}  // namespace

Result<Unpacked> unpack_layer(oci::BlobReader& blob, const std::string& digest, const std::string& diff_id,
                              const std::string& folder, const UnpackLimits& limits, const UnpackProgress& progress) {
    Stream stream(blob, digest, diff_id, limits, progress);
    TRY(stream.open());
    Fd root = TRY(open_file(folder, O_RDONLY | O_DIRECTORY));
    const Unpacked done = TRY(Extraction(stream, std::move(root), limits).run());
    TRY(stream.finish());
    return done;
}

}  // namespace millwright::executors
