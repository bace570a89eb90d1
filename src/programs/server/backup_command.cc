#include "programs/server/backup_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "base/files.h"
#include "base/json.h"
#include "metadata_store/maintenance.h"
#include "metadata_store/read_only.h"
#include "object_store/audit.h"
#include "object_store/file_store.h"
#include "registry/audit.h"

namespace millwright::programs {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

// What a server makes anew, and what is copied in a way of its own.
const std::set<std::string> kLeftOut = {"lock",           "server.json",      "reserve",      "objects",
                                        "jobs",           "endpoints",        "environments", "registry",
                                        "images/layers",  "images/unpacking", "metadata.db",  "metadata.db-wal",
                                        "metadata.db-shm"};

struct Backup {
    object_store::CopiedObjects objects, layers;
    object_store::Audit audit;
    registry::Audit registry;
    uint64_t other_files = 0;
    double seconds = 0;
};

// As long as it is now: a log stream grows meanwhile.
Result<void> copy_plain_file(const std::string& from, const std::string& to) {
    const Fd source = TRY(open_file(from, O_RDONLY | O_NOFOLLOW));
    struct stat status {};
    if (::fstat(source.get(), &status) != 0) return error_from_errno("cannot examine " + from);
    const Fd target = TRY(open_file(to, O_RDWR | O_CREAT | O_EXCL, status.st_mode & 0777));
    TRY(object_store::copy_range(source.get(), 0, target.get(), 0, static_cast<uint64_t>(status.st_size)));
    if (::fsync(target.get()) != 0) return error_from_errno("cannot sync " + to);
    return {};
}

// Everything else: credentials, configuration, certificates, logs. Sockets and links are no state.
Result<uint64_t> copy_others(const std::string& from, const std::string& to) {
    uint64_t files = 0;
    std::error_code failure;
    fs::recursive_directory_iterator entries(from, failure), end;
    for (; !failure && entries != end; entries.increment(failure)) {
        const std::string name = entries->path().lexically_relative(from).string();
        if (kLeftOut.contains(name)) {
            if (entries->is_directory(failure)) entries.disable_recursion_pending();
            continue;
        }
        const std::string target = to + "/" + name;
        if (entries->is_symlink(failure)) continue;
        if (entries->is_directory(failure)) {
            TRY(make_directories(target, 0700));
        } else if (entries->is_regular_file(failure)) {
            auto copied = copy_plain_file(entries->path().string(), target);
            if (!copied && copied.error().kind == ErrorKind::NotFound) continue;  // it was removed meanwhile
            TRY(copied);
            ++files;
        }
    }
    if (failure) return internal_error("cannot read " + from, failure.message());
    return files;
}

Result<void> verify(const std::string& folder, Backup& backup) {
    const auto wrong = TRY(metadata_store::check_database(folder + "/metadata.db"));
    if (!wrong.empty()) return internal_error("the copy of the metadata store is damaged", wrong.front());
    const auto store = TRY(metadata_store::open_read_only(folder + "/metadata.db"));
    backup.audit = TRY(object_store::audit_objects(*store, folder + "/objects", {}));
    if (backup.audit.damaged > 0)
        return internal_error(std::to_string(backup.audit.damaged) +
                                  " objects are damaged in this store, and in any copy; millwright check tells which",
                              backup.audit.damages.front());
    backup.registry = TRY(registry::audit_registry(*store, folder + "/registry", {}));
    if (backup.registry.damaged > 0)
        return internal_error(std::to_string(backup.registry.damaged) +
                                  " images or layers are damaged in this registry, and in any copy; millwright check "
                                  "tells which",
                              backup.registry.damages.front());
    return {};
}

Result<Backup> copy_all(const std::string& from, const std::string& to) {
    const auto started = steady_clock::now();
    Backup backup;
    for (const auto* folder : {"/objects", "/registry"}) TRY(make_directories(from + folder, 0700));
    {
        // In this order: what the copy names is there until it has been linked.
        const Fd held_objects = TRY(object_store::hold_removals(from + "/objects"));
        const Fd held_layers = TRY(object_store::hold_removals(from + "/registry"));
        TRY(metadata_store::copy_database(from + "/metadata.db", to + "/metadata.db"));
        const auto copy = TRY(metadata_store::open_read_only(to + "/metadata.db"));
        backup.objects = TRY(object_store::copy_objects(*copy, from + "/objects", to + "/objects"));
        backup.layers = TRY(registry::copy_registry(*copy, from + "/registry", to + "/registry"));
    }
    backup.other_files = TRY(copy_others(from, to));
    TRY(sync_directory(to));
    TRY(verify(to, backup));
    backup.seconds = std::chrono::duration<double>(steady_clock::now() - started).count();
    return backup;
}

std::string describe(const Backup& backup, const BackupArguments& arguments) {
    if (arguments.json)
        return Json::object({{"destination", arguments.destination},
                             {"objects", backup.audit.objects},
                             {"object_bytes", backup.audit.bytes},
                             {"images", backup.registry.images},
                             {"layer_bytes", backup.registry.bytes},
                             {"files_linked", backup.objects.linked + backup.layers.linked},
                             {"files_copied", backup.objects.copied + backup.layers.copied},
                             {"other_files", backup.other_files},
                             {"seconds", backup.seconds}})
                   .dump() +
               "\n";
    return "Backed up to " + arguments.destination + ": " + std::to_string(backup.audit.objects) + " objects with " +
           std::to_string(backup.audit.bytes) + " bytes, " + std::to_string(backup.registry.images) + " images with " +
           std::to_string(backup.registry.bytes) + " bytes (" +
           std::to_string(backup.objects.linked + backup.layers.linked) + " files shared with the store, " +
           std::to_string(backup.objects.copied + backup.layers.copied) +
           " copied), checked.\nStart a server from it with: millwright serve --data-dir " + arguments.destination +
           "\n";
}

}  // namespace

Result<std::string> make_backup(const Config& config, const BackupArguments& arguments) {
    const std::string& to = arguments.destination;
    if (!file_exists(config.data_dir + "/metadata.db"))
        return not_found("there is nothing to back up in " + config.data_dir);
    std::error_code ignored;
    const auto inside =
        fs::relative(fs::weakly_canonical(to, ignored), fs::weakly_canonical(config.data_dir, ignored), ignored);
    if (*inside.begin() != "..") return invalid_input("the backup would lie in the data directory itself");
    if (file_exists(to)) return Error{ErrorKind::AlreadyExists, to + " is there already", ""};
    // A name of its own until it is whole, so that what has the name is a backup.
    const std::string unfinished = to + ".unfinished";
    TRY(remove_tree(unfinished));
    TRY(make_directories(unfinished, 0700));
    auto backup = copy_all(config.data_dir, unfinished);
    if (!backup) {
        static_cast<void>(remove_tree(unfinished).has_value());
        return backup.error();
    }
    if (::rename(unfinished.c_str(), to.c_str()) != 0) return error_from_errno("cannot name the backup " + to);
    const auto slash = to.rfind('/');
    TRY(sync_directory(slash == std::string::npos ? "." : to.substr(0, slash + 1)));
    return describe(*backup, arguments);
}

}  // namespace millwright::programs
