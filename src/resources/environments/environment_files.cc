#include "resources/environments/environment_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr const char* kRecord = "/environment.json";
constexpr std::string_view kPartial = ".partial", kTrash = "trash-";

// Longer than any build may take.
constexpr std::chrono::hours kForgotten{24};

bool is_older_than(const std::string& path, std::chrono::seconds age) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return false;
    return system_clock().now() - from_epoch_milliseconds(int64_t{status.st_mtim.tv_sec} * 1000) > age;
}

bool is_id(std::string_view name) { return !name.empty() && name.find_first_not_of("0123456789abcdef") == name.npos; }

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    std::error_code failed;
    for (auto entry = std::filesystem::directory_iterator(folder, failed);
         !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed))
        names.push_back(entry->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
}

std::string encode(const EnvironmentRecord& record) {
    Json packages = Json::array();
    for (const std::string& package : record.packages) packages.push_back(package);
    return Json::object({{"version", 1},
                         {"id", record.choice.id},
                         {"name", record.name},
                         {"recipe", record.choice.recipe},
                         {"title", record.choice.title},
                         {"base", record.base},
                         {"requirements", record.requirements},
                         {"python", record.python},
                         {"bytes", record.bytes},
                         {"built_ms", to_epoch_milliseconds(record.built)},
                         {"build_seconds", record.build_seconds},
                         {"packages", packages}})
               .dump() +
           "\n";
}

}  // namespace

std::vector<std::string> EnvironmentFiles::ids() const {
    std::vector<std::string> found;
    for (const std::string& name : names_in(folder_))
        if (is_id(name) && file_exists(complete(name) + kRecord)) found.push_back(name);
    return found;
}

std::vector<std::string> EnvironmentFiles::building() const {
    std::vector<std::string> found;
    for (const std::string& name : names_in(folder_))
        if (name.ends_with(kPartial)) found.push_back(name.substr(0, name.size() - kPartial.size()));
    return found;
}

Result<EnvironmentRecord> EnvironmentFiles::read(std::string_view id) const {
    const std::string path = complete(id) + kRecord;
    if (!file_exists(path)) return not_found("the environment " + std::string(id) + " is not built");
    const std::string text = TRY(read_file(path));
    const Json json = TRY(Json::parse(text));
    if (json["version"].int_or(0) != 1) return internal_error(path + " was written by another version");
    EnvironmentRecord record;
    record.choice.id = json["id"].string_or("");
    record.name = json["name"].string_or("");
    record.choice.recipe = json["recipe"].string_or("");
    record.choice.title = json["title"].string_or("");
    record.base = json["base"].string_or("");
    record.requirements = json["requirements"].string_or("");
    record.python = json["python"].string_or("");
    for (const Json& package : json["packages"].items()) record.packages.push_back(package.string_or(""));
    record.bytes = static_cast<uint64_t>(json["bytes"].int_or(0));
    record.built = from_epoch_milliseconds(json["built_ms"].int_or(0));
    record.build_seconds = json["build_seconds"].double_or(0);
    return record;
}

Result<Fd> EnvironmentFiles::lock(std::string_view id) const {
    Fd file = TRY(open_file(complete(id) + ".lock", O_RDWR | O_CREAT, 0600));
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
        return Error{ErrorKind::Conflict, "the environment " + std::string(id) + " is being built or removed", ""};
    return file;
}

bool EnvironmentFiles::is_locked(std::string_view id) const {
    const auto file = open_file(complete(id) + ".lock", O_RDWR);
    return file && flock(file->get(), LOCK_EX | LOCK_NB) != 0;
}

Result<void> EnvironmentFiles::publish(const EnvironmentRecord& record) const {
    const std::string from = partial(record.choice.id), to = complete(record.choice.id);
    TRY(write_file(from + kRecord, encode(record)));
    TRY(write_file(from + "/used", ""));
    {
        // Tens of thousands of files: one sync of their file system costs less than one of each.
        const Fd opened = TRY(open_file(from, O_RDONLY | O_DIRECTORY));
        if (syncfs(opened.get()) != 0) return error_from_errno("cannot write the environment to the disk");
    }
    if (::rename(from.c_str(), to.c_str()) != 0) return error_from_errno("cannot move the environment to " + to);
    TRY(sync_directory(folder_));
    return remove_tree(to + "/run");
}

void EnvironmentFiles::mark_used(std::string_view id) const {
    utimensat(AT_FDCWD, (complete(id) + "/used").c_str(), nullptr, 0);  // only for people; may fail
}

Timestamp EnvironmentFiles::last_used(std::string_view id) const {
    struct stat status {};
    if (stat((complete(id) + "/used").c_str(), &status) != 0) return {};
    return from_epoch_milliseconds(int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000);
}

Result<void> EnvironmentFiles::remove(std::string_view id) const {
    const std::string trash = folder_ + "/" + std::string(kTrash) + system_random().hex(16);
    if (::rename(complete(id).c_str(), trash.c_str()) != 0)
        return error_from_errno("cannot remove the environment " + std::string(id));
    TRY(sync_directory(folder_));
    return remove_tree(trash);
}

void EnvironmentFiles::empty_trash() const {
    const auto remove_and_complain = [](const std::string& path) {
        if (auto removed = remove_tree(path); !removed) log::warning("environments", removed.error());
    };
    for (const std::string& name : names_in(folder_))
        if (name.starts_with(kTrash)) remove_and_complain(folder_ + "/" + name);
    for (const std::string& id : building())
        if (is_older_than(partial(id), kForgotten))
            if (const auto unused = lock(id)) remove_and_complain(partial(id));
}

uint64_t disk_usage(const std::string& folder) {
    uint64_t blocks = 0;
    std::set<ino_t> seen;
    std::error_code failed;
    for (auto entry = std::filesystem::recursive_directory_iterator(folder, failed);
         !failed && entry != std::filesystem::recursive_directory_iterator(); entry.increment(failed)) {
        struct stat status {};
        if (lstat(entry->path().c_str(), &status) != 0) continue;
        if (status.st_nlink > 1 && !S_ISDIR(status.st_mode) && !seen.insert(status.st_ino).second) continue;
        blocks += static_cast<uint64_t>(status.st_blocks);
    }
    return blocks * 512;
}

}  // namespace millwright::resources
