#include "executors/contract/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_set>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr size_t kMaxComponentBytes = 255;
constexpr size_t kMaxPathBytes = 4000;
constexpr size_t kMaxDepth = 100;
// What the server keeps in memory while it unpacks: names of folders and links.
constexpr uint64_t kMaxNameBytes = uint64_t{64} << 20;
constexpr int64_t kMaxScannedBytes = int64_t{4} << 30;

using ArchiveReader = std::unique_ptr<archive, decltype(&archive_read_free)>;

Error bad_entry(std::string_view name, std::string_view why) {
    return invalid_input("the entry \"" + valid_utf8(name.substr(0, 200)) + "\" " + std::string(why));
}

}  // namespace

Result<std::vector<std::string>> clean_archive_path(std::string_view name) {
    if (name.empty()) return bad_entry(name, "has no name");
    if (name.size() > kMaxPathBytes) return bad_entry(name, "has too long a name");
    if (name.front() == '/') return bad_entry(name, "has an absolute name");
    if (name.find('\0') != name.npos) return bad_entry(name, "has a NUL in its name");
    std::vector<std::string> parts;
    for (const std::string_view part : split(name, '/')) {
        if (part.empty() || part == ".") continue;
        if (part == "..") return bad_entry(name, "leads out of its folder");
        if (part.size() > kMaxComponentBytes) return bad_entry(name, "has too long a name");
        parts.emplace_back(part);
    }
    if (parts.size() > kMaxDepth) return bad_entry(name, "lies too deep");
    return parts;
}

namespace {

// Unpacks one archive. Until make_symbolic_links() there is no symbolic link below the root, so no path made
// of clean components can lead elsewhere.
class Extraction {
  public:
    Extraction(archive* reader, Fd root, uint64_t packed_bytes, const ArchiveLimits& limits)
        : reader_(reader), root_(std::move(root)), packed_bytes_(packed_bytes), limits_(limits) {}

    Result<void> run();

  private:
    Result<void> extract(archive_entry* entry);
    Result<void> make_file(const std::string& path, mode_t mode);
    Result<void> copy_data(int file, const std::string& path);
    Result<void> make_hard_link(const std::string& path, std::string_view target);
    Result<void> make_folders(const std::vector<std::string>& parts);
    Result<void> clear_place(const std::string& path);
    Result<void> make_symbolic_links();
    Result<void> count(uint64_t bytes);
    Result<void> count_entry();
    Result<void> count_name(const std::string& path);
    Error damaged() const;

    archive* reader_;
    Fd root_;
    uint64_t packed_bytes_;
    const ArchiveLimits& limits_;
    uint64_t bytes_ = 0, entries_ = 0, name_bytes_ = 0;
    std::unordered_set<std::string> folders_;
    std::map<std::string, std::string> links_;  // path -> target
};

Error Extraction::damaged() const {
    const char* why = archive_error_string(reader_);
    return invalid_input(std::string("the archive is damaged or not a tar.gz: ") + (why ? why : "unknown reason"));
}

Result<void> Extraction::run() {
    for (;;) {
        archive_entry* entry = nullptr;
        const int status = archive_read_next_header(reader_, &entry);
        if (status == ARCHIVE_EOF) break;
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return damaged();
        TRY(count_entry());
        TRY(extract(entry));
    }
    return make_symbolic_links();
}

Result<void> Extraction::extract(archive_entry* entry) {
    const char* name = archive_entry_pathname(entry);
    if (!name) name = archive_entry_pathname_utf8(entry);
    if (!name) return bad_entry("?", "has a name that cannot be read");
    const char* hard_link = archive_entry_hardlink(entry);
    const mode_t type = archive_entry_filetype(entry);
    const bool folder = type == AE_IFDIR && !hard_link;
    // The SDKs pack a model again with such an entry for its own folder.
    if (folder && std::string_view(name) == "/") return {};
    std::vector<std::string> parts = TRY(clean_archive_path(name));
    if (parts.empty()) return folder ? Result<void>() : bad_entry(name, "is not a folder");
    if (folder) return make_folders(parts);
    const std::string path = join(parts, "/");
    parts.pop_back();
    TRY(make_folders(parts));
    TRY(clear_place(path));
    if (hard_link) return make_hard_link(path, hard_link);
    if (type == AE_IFREG) return make_file(path, (archive_entry_perm(entry) & 0100) ? 0755 : 0644);
    if (type != AE_IFLNK) return bad_entry(name, "is neither a file nor a folder nor a link");
    const char* target = archive_entry_symlink(entry);
    if (!target || !*target) return bad_entry(name, "is a link to nothing");
    TRY(count_name(path + target));
    links_[path] = target;
    return {};
}

Result<void> Extraction::make_folders(const std::vector<std::string>& parts) {
    std::string path;
    for (const std::string& part : parts) {
        if (!path.empty()) path += '/';
        path += part;
        if (folders_.contains(path)) continue;
        if (mkdirat(root_.get(), path.c_str(), 0755) != 0) {
            if (errno == EEXIST) return bad_entry(path, "is both a file and a folder");
            return error_from_errno("cannot make a folder of the archive");
        }
        links_.erase(path);
        TRY(count_name(path));
        folders_.insert(path);
        TRY(count(512));  // folders cost space too
        // Those that no entry names but a file's path implies: a short archive can imply very many.
        if (&part != &parts.back()) TRY(count_entry());
    }
    return {};
}

// The last of two entries of one name counts; a hard link of the first must not be written through.
Result<void> Extraction::clear_place(const std::string& path) {
    if (folders_.contains(path)) return bad_entry(path, "is both a file and a folder");
    links_.erase(path);
    if (unlinkat(root_.get(), path.c_str(), 0) != 0 && errno != ENOENT)
        return error_from_errno("cannot replace a file of the archive");
    return {};
}

Result<void> Extraction::make_file(const std::string& path, mode_t mode) {
    const Fd file(openat(root_.get(), path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) return error_from_errno("cannot make a file of the archive");
    return copy_data(file.get(), path);
}

Result<void> Extraction::copy_data(int file, const std::string& path) {
    std::vector<char> buffer(256 * 1024);
    for (;;) {
        const la_ssize_t got = archive_read_data(reader_, buffer.data(), buffer.size());
        if (got == 0) return {};
        if (got < 0) return damaged();
        const auto written = count(static_cast<uint64_t>(got));
        if (!written) return Error{written.error().kind, "\"" + path + "\": " + written.error().message, ""};
        TRY(write_all(file, {buffer.data(), static_cast<size_t>(got)}));
    }
}

Result<void> Extraction::make_hard_link(const std::string& path, std::string_view target) {
    const std::vector<std::string> parts = TRY(clean_archive_path(target));
    const std::string from = join(parts, "/");
    struct stat status {};
    if (parts.empty() || from == path || fstatat(root_.get(), from.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode))
        return bad_entry(path, "is a hard link to something that is not a file of the archive");
    if (linkat(root_.get(), from.c_str(), root_.get(), path.c_str(), 0) != 0)
        return error_from_errno("cannot make a link of the archive");
    return {};
}

// All links at the end, then each is followed by the kernel with the root as the border.
Result<void> Extraction::make_symbolic_links() {
    for (const auto& [path, target] : links_) {
        if (target.front() == '/') return bad_entry(path, "is a link to an absolute path");
        if (target.size() > kMaxPathBytes) return bad_entry(path, "is a link to too long a path");
        if (symlinkat(target.c_str(), root_.get(), path.c_str()) != 0)
            return error_from_errno("cannot make a link of the archive");
    }
    for (const auto& [path, target] : links_) {
        struct open_how how {};
        how.flags = O_PATH | O_CLOEXEC;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
        const Fd end(static_cast<int>(syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how)));
        if (!end) return bad_entry(path, "is a link that leads out of its folder or nowhere");
    }
    return {};
}

Result<void> Extraction::count_entry() {
    if (++entries_ > limits_.max_entries)
        return Error{ErrorKind::LimitExceeded,
                     "the archive has more than " + std::to_string(limits_.max_entries) + " entries", ""};
    return count(0);
}

Result<void> Extraction::count_name(const std::string& path) {
    name_bytes_ += path.size();
    if (name_bytes_ > kMaxNameBytes) return Error{ErrorKind::LimitExceeded, "the archive's names are too long", ""};
    return {};
}

Result<void> Extraction::count(uint64_t bytes) {
    bytes_ += bytes;
    if (bytes_ > limits_.max_bytes)
        return Error{ErrorKind::LimitExceeded,
                     "the archive unpacks to more than " + std::to_string(limits_.max_bytes) + " bytes", ""};
    if (bytes_ > limits_.ratio_floor_bytes && bytes_ / limits_.max_ratio > packed_bytes_)
        return Error{ErrorKind::LimitExceeded,
                     "the archive unpacks to more than " + std::to_string(limits_.max_ratio) + " times its size", ""};
    if (std::chrono::steady_clock::now() > limits_.deadline)
        return Error{ErrorKind::LimitExceeded, "unpacking took too long", ""};
    return {};
}

}  // namespace

namespace {

Result<ArchiveReader> open_reader(int file) {
    ArchiveReader reader(archive_read_new(), &archive_read_free);
    if (!reader) return internal_error("cannot make an archive reader");
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_format_tar(reader.get());
    if (lseek(file, 0, SEEK_SET) != 0) return error_from_errno("cannot read the archive");
    if (archive_read_open_fd(reader.get(), file, 256 * 1024) != ARCHIVE_OK)
        return invalid_input("the archive is damaged or not a tar.gz");
    return reader;
}

}  // namespace

Result<void> extract_archive(int file, uint64_t size, const std::string& folder, const ArchiveLimits& limits) {
    const ArchiveReader reader = TRY(open_reader(file));
    Fd root = TRY(open_file(folder, O_RDONLY | O_DIRECTORY));
    return Extraction(reader.get(), std::move(root), size, limits).run();
}

Result<std::string> read_archive_member(int file, std::string_view path, size_t max_bytes) {
    const ArchiveReader reader = TRY(open_reader(file));
    int64_t scanned = 0;
    for (;;) {
        archive_entry* entry = nullptr;
        const int status = archive_read_next_header(reader.get(), &entry);
        if (status == ARCHIVE_EOF) return not_found("the archive has no " + std::string(path));
        if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
            return invalid_input("the archive is damaged or not a tar.gz");
        // Skipping an entry unpacks it.
        scanned += std::max<int64_t>(archive_entry_size(entry), 512);
        if (scanned > kMaxScannedBytes) return invalid_input("the archive is too large to be searched");
        std::string_view name = archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "";
        if (name.starts_with("./")) name.remove_prefix(2);
        if (name != path || archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) continue;
        std::string content(max_bytes + 1, '\0');
        const la_ssize_t got = archive_read_data(reader.get(), content.data(), content.size());
        if (got < 0) return invalid_input("the archive is damaged or not a tar.gz");
        if (static_cast<size_t>(got) > max_bytes) return invalid_input(std::string(path) + " is too long");
        content.resize(static_cast<size_t>(got));
        return content;
    }
}

}  // namespace millwright::executors
