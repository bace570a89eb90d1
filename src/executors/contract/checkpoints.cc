#include "executors/contract/checkpoints.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "base/strings.h"
#include "executors/contract/channel.h"
#include "executors/contract/local_path.h"
#include "executors/contract/training_contract.h"
#include "executors/contract/upload.h"

namespace millwright::executors {
namespace {

using object_store::ObjectStore;
using object_store::S3Uri;
using object_store::Source;

constexpr std::string_view kUploading = ".sagemaker-uploading";
constexpr std::string_view kUploaded = ".sagemaker-uploaded";
constexpr std::string_view kIgnored = ".sagemaker-ignore";
constexpr size_t kMaxRecordBytes = size_t{1} << 30;

// Taken by the contract, or shown from the machine.
constexpr const char* kTaken[] = {"/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/usr",    "/bin", "/sbin",
                                  "/lib",          "/lib32",        "/lib64",         "/libx32", "/nix", "/gnu",
                                  "/etc",          "/proc",         "/sys",           "/dev"};

bool is_marker(std::string_view path) { return path.ends_with(kUploading) || path.ends_with(kUploaded); }

std::string_view marked_file(std::string_view marker) {
    return marker.substr(0, marker.size() - (marker.ends_with(kUploading) ? kUploading : kUploaded).size());
}

FileVersion version_of(const JobFile& file) { return {file.inode, file.size, file.modified_ns, file.changed_ns}; }

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

Result<FileVersion> version_of(int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return error_from_errno("cannot examine a checkpoint");
    return FileVersion{status.st_ino, static_cast<uint64_t>(status.st_size), nanoseconds(status.st_mtim),
                       nanoseconds(status.st_ctim)};
}

// "<host> <inode> <size> <modified> <changed> <path>" NUL, appended after each upload; the last one of a path counts.
std::string record_line(size_t host, const std::string& path, const FileVersion& version) {
    std::string line;
    for (const auto& number : {std::to_string(host), std::to_string(version.inode), std::to_string(version.size),
                               std::to_string(version.modified_ns), std::to_string(version.changed_ns)}) {
        line += number + " ";
    }
    return line + path + '\0';
}

// Whole lines or nothing, also when the disk is full.
Result<void> append_record(const std::string& record, const std::string& lines) {
    const auto file = TRY(open_file(record, O_WRONLY | O_APPEND | O_CREAT, 0600));
    const auto before = lseek(file.get(), 0, SEEK_END);
    auto written = write_all(file.get(), lines);
    if (!written && ftruncate(file.get(), before) != 0) return error_from_errno("cannot write what was uploaded");
    return written;
}

Error stopped() { return {ErrorKind::Unavailable, "stopped while checkpoints are uploaded", ""}; }
Error changed() { return {ErrorKind::Conflict, "the file changed while it was uploaded", ""}; }

// Whether half of one version of a file and half of the next may become an object: event files only grow.
enum class Mixing { Never, Allowed };

// Bytes `offset` … `offset + length` of a file.
Source source_of(int fd, uint64_t offset, uint64_t length, const FileVersion& version, Mixing mixing,
                 const std::atomic<bool>& stop) {
    return [fd, offset, length, version, mixing, &stop](std::span<char> buffer) mutable -> Result<size_t> {
        if (stop.load(std::memory_order_relaxed)) return stopped();
        if (length == 0) {
            if (mixing == Mixing::Never && TRY(version_of(fd)) != version) return changed();
            return size_t{0};
        }
        const auto wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length));
        ssize_t got = 0;
        do got = pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
        while (got < 0 && errno == EINTR);
        if (got < 0) return error_from_errno("cannot read a checkpoint");
        if (got == 0) return changed();
        offset += static_cast<uint64_t>(got);
        length -= static_cast<uint64_t>(got);
        return static_cast<size_t>(got);
    };
}

// The folder of an entry of list_job_files(), and the entry's own name.
Result<Fd> open_parent(int folder, const std::string& path, std::string& name) {
    const auto slash = path.rfind('/');
    name = slash == std::string::npos ? path : path.substr(slash + 1);
    Fd parent(fcntl(folder, F_DUPFD_CLOEXEC, 0));
    if (!parent) return error_from_errno("cannot open the checkpoints");
    if (slash == std::string::npos) return parent;
    for (const auto part : split(std::string_view(path).substr(0, slash), '/')) {
        parent = Fd(openat(parent.get(), std::string(part).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!parent) return error_from_errno("cannot open the checkpoints");
    }
    return parent;
}

// Markers are a courtesy: a job that puts something else in their place loses nothing but them.
void exchange_markers(int folder, const std::string& path, std::string_view add, std::string_view drop) {
    std::string name;
    const auto parent = open_parent(folder, path, name);
    if (!parent) return;
    const Fd marker(openat(parent->get(), (name + std::string(add)).c_str(),
                           O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
    unlinkat(parent->get(), (name + std::string(drop)).c_str(), 0);
}

void remove_file(int folder, const std::string& path) {
    std::string name;
    if (const auto parent = open_parent(folder, path, name)) unlinkat(parent->get(), name.c_str(), 0);
}

Result<void> copy_bytes(int from, int to, uint64_t size) {
    if (ioctl(to, FICLONE, from) == 0) return {};
    off_t at = 0;
    std::vector<char> buffer;
    while (static_cast<uint64_t>(at) < size) {
        const auto left = static_cast<size_t>(size - static_cast<uint64_t>(at));
        if (buffer.empty()) {
            if (copy_file_range(from, &at, to, nullptr, left, 0) > 0) continue;
            if (errno == ENOSPC || errno == EDQUOT) return error_from_errno("cannot restore a checkpoint");
            buffer.resize(size_t{1} << 20);
        }
        const auto got = pread(from, buffer.data(), std::min(buffer.size(), left), at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot restore a checkpoint");
        if (got == 0) return internal_error("an object is shorter than its record says");
        TRY(write_all(to, {buffer.data(), static_cast<size_t>(got)}));
        at += got;
    }
    return {};
}

// The new file's version.
Result<FileVersion> restore_one(const object_store::OpenObject& object, const std::string& folder,
                                const std::string& path) {
    const auto target = folder + "/" + path;
    TRY(make_directories(target.substr(0, target.rfind('/'))));
    const auto file = TRY(open_file(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    if (object.in_memory())
        TRY(write_all(file.get(), object.bytes));
    else
        TRY(copy_bytes(object.fd.get(), file.get(), object.info.size));
    return version_of(file.get());
}

Result<std::vector<ChannelObject>> list_checkpoints(ObjectStore& store, const S3Uri& uri) {
    std::vector<ChannelObject> objects;
    PathSet known;
    TRY(object_store::for_each_object(
        store, uri.bucket, uri.key, [&](const object_store::ObjectInfo& object) -> Result<void> {
            if (object.key.ends_with('/') || is_marker(object.key)) return {};
            auto path = TRY(clean_local_path(std::string_view(object.key).substr(uri.key.size())));
            TRY(known.add_file(path));
            for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
                known.add_folder(path.substr(0, slash));
            }
            if (objects.size() >= kMaxChannelObjects) {
                return invalid_input("There may be at most " + std::to_string(kMaxChannelObjects) +
                                     " checkpoint objects.");
            }
            objects.push_back({uri.bucket, object.key, std::move(path)});
            return {};
        }));
    return objects;
}

}  // namespace

Result<std::string> check_checkpoint_path(std::string_view path, const std::string& member) {
    const auto refused = [&](const std::string& why) {
        return invalid_input(member + " '" + valid_utf8(path.substr(0, 200)) + "' " + why + ".");
    };
    if (!path.starts_with('/')) return refused("must be an absolute path");
    const auto clean = clean_local_path(path);
    if (!clean) return refused("is not a path: no '.', '..' or NUL, parts of at most 255 bytes");
    auto result = "/" + *clean;
    if (result == "/opt" || result == "/opt/ml") return refused("is reserved");
    for (const std::string taken : kTaken) {
        if (result == taken || result.starts_with(taken + "/"))
            return refused("lies in " + taken + ", which is reserved");
    }
    return result;
}

Result<std::vector<std::string>> restore_checkpoints(ObjectStore& store, const S3Uri& uri, const std::string& folder,
                                                     int hosts, const std::atomic<bool>& stop) {
    const auto folder_of = [&](int host) { return folder + "/" + algo_name(host) + "/" + kCheckpointFolder; };
    for (int host = 0; host < hosts; ++host) TRY(make_directories(folder_of(host)));
    std::string lines;
    std::vector<std::string> keys;
    for (const auto& listed : TRY(list_checkpoints(store, uri))) {
        const auto object = store.get(listed.bucket, listed.key);
        if (!object && object.error().kind == ErrorKind::NotFound) continue;  // deleted meanwhile
        if (!object) return object.error();
        for (int host = 0; host < hosts; ++host) {
            if (stop.load(std::memory_order_relaxed)) return Error{ErrorKind::Conflict, "stopped while staging", ""};
            const auto version = TRY(restore_one(*object, folder_of(host), listed.path));
            lines += record_line(static_cast<size_t>(host), listed.path, version);
        }
        keys.push_back(listed.key);
    }
    TRY(append_record(folder + "/" + CheckpointUploads::Run{}.record, lines));
    return keys;
}

// A live output lies in the job's own tree: it may appear late, and be replaced at any moment.
Result<void> CheckpointUploads::open_folders() {
    for (size_t host = 0; host < hosts_.size(); ++host) {
        if (hosts_[host].folder && !run_.live) continue;
        const auto inside = algo_name(static_cast<int>(host)) + "/" + run_.inside;
        auto folder = open_folder_below(run_.folder, inside);
        if (!folder && !run_.live) return internal_error("the files of the run are gone", run_.folder + "/" + inside);
        hosts_[host].folder = folder ? std::move(*folder) : Fd();
    }
    return {};
}

Result<void> CheckpointUploads::load() {
    hosts_.clear();
    hosts_.resize(static_cast<size_t>(run_.hosts));
    const auto record = run_.folder + "/" + run_.record;
    if (run_.live && !file_exists(record)) {
        loaded_ = true;
        return {};
    }
    const auto text = read_file(record, kMaxRecordBytes);
    if (!text) return internal_error("cannot read what was uploaded", text.error().detail);
    auto lines = split(*text, '\0');
    // Empty, or cut off by a crash and then in the way of the next line.
    const auto whole = static_cast<off_t>(text->size() - lines.back().size());
    if (truncate(record.c_str(), whole) != 0) return error_from_errno("cannot repair the record of checkpoints");
    lines.pop_back();
    for (const auto line : lines) {
        std::array<int64_t, 5> numbers{};
        size_t at = 0;
        for (auto& number : numbers) {
            const auto space = line.find(' ', at);
            const auto value = space == std::string_view::npos ? std::nullopt : parse_int(line.substr(at, space - at));
            if (!value) return internal_error("the record of uploaded checkpoints is damaged", run_.folder);
            number = *value;
            at = space + 1;
        }
        if (numbers[0] < 0 || static_cast<size_t>(numbers[0]) >= hosts_.size()) continue;
        hosts_[static_cast<size_t>(numbers[0])].entries[std::string(line.substr(at))].stored = {
            static_cast<uint64_t>(numbers[1]), static_cast<uint64_t>(numbers[2]), numbers[3], numbers[4]};
    }
    loaded_ = true;
    return {};
}

std::string CheckpointUploads::called(const std::string& path) const {
    const auto name = "'" + valid_utf8(path) + "'";
    return run_.live ? "The file " + name + " for s3://" + run_.uri.bucket + "/" + run_.uri.key
                     : "The checkpoint " + name;
}

std::string CheckpointUploads::all_called() const {
    return run_.live ? "The files for s3://" + run_.uri.bucket + "/" + run_.uri.key : "The checkpoints";
}

bool CheckpointUploads::is_due(Entry& entry, const FileVersion& version, Pass kind, Monotonic now) const {
    if (entry.stored == version || (kind == Pass::Running && entry.refused == version)) return false;
    if (entry.seen == entry.stored || entry.seen == FileVersion{}) entry.differs_since = now;
    if (entry.seen != version) {
        entry.seen = version;
        entry.seen_since = now;
    }
    if (kind == Pass::Last || now - entry.seen_since >= run_.quiet) return true;
    return run_.live && now - entry.differs_since >= run_.longest;
}

Result<void> CheckpointUploads::look(size_t host, Pass kind, Monotonic now, std::vector<Due>& due) {
    auto& [folder, entries] = hosts_[host];
    if (!folder) return {};
    auto files = list_job_files(folder.get());
    if (!files) {
        const auto refused = files.error().kind == ErrorKind::LimitExceeded || files.error().kind == ErrorKind::Denied;
        if (refused) return invalid_input(all_called() + " cannot be uploaded: " + files.error().message + ".");
        // A folder that was removed under our eyes; the next pass sees what is left.
        if (files.error().kind == ErrorKind::NotFound && kind == Pass::Running) return {};
        return files.error();
    }
    if (const auto fit = check_holes(folder.get(), *files); !fit)
        return invalid_input(all_called() + " cannot be uploaded: " + fit.error().message + ".");
    std::set<std::string, std::less<>> present;
    for (const auto& file : *files) {
        if (file.kind == JobFile::Kind::Regular) present.insert(file.path);
    }
    std::erase_if(entries, [&](const auto& entry) { return !present.contains(entry.first); });
    for (const auto& file : *files) {
        if (file.kind != JobFile::Kind::Regular || file.path.ends_with(kIgnored)) continue;
        if (!run_.live && is_marker(file.path)) {
            if (!present.contains(marked_file(file.path))) remove_file(folder.get(), file.path);
            continue;
        }
        auto& entry = entries[file.path];
        const auto version = version_of(file);
        if (is_due(entry, version, kind, now)) due.push_back({host, file.path, version});
    }
    return {};
}

Result<void> CheckpointUploads::put(int fd, const std::string& key, const FileVersion& version,
                                    const std::atomic<bool>& stop) {
    const auto mixing = run_.live ? Mixing::Allowed : Mixing::Never;
    return put_in_parts(
        store_, {run_.uri.bucket, key}, version.size, run_.part_bytes,
        [&](uint64_t offset, uint64_t length) { return source_of(fd, offset, length, version, mixing, stop); });
}

Result<void> CheckpointUploads::upload(const Due& due, Pass kind, const std::atomic<bool>& stop) {
    auto& [folder, entries] = hosts_[due.host];
    const auto file = open_job_file(folder.get(), due.path);
    if (!file) {
        if (file.error().kind == ErrorKind::NotFound) return {};  // removed meanwhile, which is fine
        return invalid_input(called(due.path) + " cannot be read.");
    }
    const auto version = TRY(version_of(file->get()));
    if (version != due.version && !run_.live) return {};  // the next pass has it
    const auto key = run_.uri.key + due.path;
    if (const auto good = object_store::check_key(key); !good) {
        return invalid_input(called(due.path) + " cannot be uploaded: " + good.error().message);
    }
    const bool marked = kind == Pass::Running && !run_.live;
    if (marked) exchange_markers(folder.get(), due.path, kUploading, kUploaded);
    auto done = put(file->get(), key, version, stop);
    if (done) done = append_record(run_.folder + "/" + run_.record, record_line(due.host, due.path, version));
    if (done) entries[due.path].stored = entries[due.path].seen = version;
    if (!done && done.error().kind == ErrorKind::Conflict && kind == Pass::Running) return {};  // it changed meanwhile
    if (done && marked) exchange_markers(folder.get(), due.path, kUploaded, kUploading);
    return done;
}

Result<void> CheckpointUploads::pass(Pass kind, Monotonic now, const std::atomic<bool>& stop) {
    MutexLock lock(mutex_);
    if (!loaded_) TRY(load());
    TRY(open_folders());
    std::vector<Due> due;
    Result<void> first;
    const auto keep = [&first](Error error) {
        // A failure that heals wins: after it everything is tried again.
        const auto heals = [](const Error& e) {
            return e.kind != ErrorKind::InvalidInput && e.kind != ErrorKind::NotFound;
        };
        if (first || (heals(error) && !heals(first.error()))) first = std::move(error);
    };
    for (size_t host = 0; host < hosts_.size(); ++host) {
        if (auto looked = look(host, kind, now, due); !looked) keep(std::move(looked.error()));
    }
    std::stable_sort(due.begin(), due.end(),
                     [](const Due& a, const Due& b) { return a.version.modified_ns < b.version.modified_ns; });
    for (const auto& one : due) {
        if (stop.load(std::memory_order_relaxed)) return stopped();
        auto uploaded = upload(one, kind, stop);
        if (uploaded) continue;
        if (uploaded.error().kind == ErrorKind::InvalidInput) hosts_[one.host].entries[one.path].refused = one.version;
        keep(std::move(uploaded.error()));
    }
    return first;
}

}  // namespace millwright::executors
