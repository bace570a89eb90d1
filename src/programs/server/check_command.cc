#include "programs/server/check_command.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "base/files.h"
#include "base/json.h"
#include "metadata_store/maintenance.h"
#include "metadata_store/read_only.h"
#include "object_store/audit.h"
#include "registry/audit.h"

namespace millwright::programs {
namespace {

using metadata_store::Connection;

// Rows that refer to rows which are gone, by a query that counts them.
struct Dangling {
    const char* what;
    const char* table;  // without it there is nothing to count
    const char* sql;
};
constexpr Dangling kDangling[] = {
    {"objects in buckets that are gone", "object",
     "SELECT count(*) FROM object WHERE bucket NOT IN (SELECT id FROM bucket)"},
    {"old versions in buckets that are gone", "old_version",
     "SELECT count(*) FROM old_version WHERE bucket NOT IN (SELECT id FROM bucket)"},
    {"parts of uploads that are gone", "upload_part",
     "SELECT count(*) FROM upload_part WHERE upload NOT IN (SELECT id FROM upload)"},
    {"steps of training jobs that are gone", "training_job_transition",
     "SELECT count(*) FROM training_job_transition WHERE job NOT IN (SELECT id FROM training_job)"},
    {"metrics of training jobs that are gone", "training_job_metric",
     "SELECT count(*) FROM training_job_metric WHERE job NOT IN (SELECT id FROM training_job)"},
    {"tags of resources that are gone", "resource_tag",
     "SELECT count(*) FROM resource_tag WHERE arn NOT IN (SELECT arn FROM tagged_resource)"},
    {"log streams in groups that are gone", "log_stream",
     "SELECT count(*) FROM log_stream WHERE group_id NOT IN (SELECT id FROM log_group)"},
    {"images in repositories that are gone", "image_manifest",
     "SELECT count(*) FROM image_manifest WHERE repository NOT IN (SELECT id FROM image_repository)"},
    {"tags of images that are gone", "image_tag",
     "SELECT count(*) FROM image_tag t WHERE NOT EXISTS(SELECT 1 FROM image_manifest m "
     "WHERE m.repository=t.repository AND m.digest=t.digest)"},
};

struct Findings {
    bool server_runs = false;
    std::vector<std::string> database;                      // what SQLite says
    std::vector<std::pair<std::string, int64_t>> dangling;  // what, and how many
    object_store::Audit objects;
    registry::Audit registry;
    uint64_t removed_orphans = 0;

    uint64_t orphans() const { return objects.orphans.size() + registry.orphans.size(); }

    bool sound() const {
        return database.empty() && dangling.empty() && objects.damaged == 0 && objects.unnamed_small == 0 &&
               registry.damaged == 0 && orphans() == removed_orphans;
    }
};

// The lock when no server has it.
Result<std::optional<Fd>> take_server_lock(const std::string& folder) {
    Fd lock = TRY(open_file(folder + "/lock", O_RDWR | O_CREAT, 0600));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return std::optional(std::move(lock));
    return std::optional<Fd>();
}

Result<void> count_dangling(Connection& store, Findings& findings) {
    for (const auto& [what, table, sql] : kDangling) {
        if (!TRY(store.query_one("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", table))) continue;
        const auto row = TRY(store.query_one(sql));
        if (row->integer(0) > 0) findings.dangling.emplace_back(what, row->integer(0));
    }
    return {};
}

// Files that were there before the rows were read, or a running server may be writing them.
void forget_young_orphans(std::vector<std::string>& orphans, time_t began) {
    constexpr time_t kAge = 3600;
    std::erase_if(orphans, [&](const std::string& path) {
        struct stat status {};
        return ::stat(path.c_str(), &status) != 0 || status.st_mtime > began - kAge;
    });
}

Json as_json(const Findings& findings) {
    auto database = Json::array(), dangling = Json::object(), damages = Json::array(), images = Json::array();
    for (const auto& line : findings.database) database.push_back(line);
    for (const auto& [what, count] : findings.dangling) dangling.set(what, count);
    for (const auto& line : findings.objects.damages) damages.push_back(line);
    for (const auto& line : findings.registry.damages) images.push_back(line);
    return Json::object({{"sound", findings.sound()},
                         {"server_runs", findings.server_runs},
                         {"metadata", std::move(database)},
                         {"dangling", std::move(dangling)},
                         {"objects", findings.objects.objects},
                         {"parts", findings.objects.parts},
                         {"files", findings.objects.files},
                         {"bytes", findings.objects.bytes},
                         {"damaged", findings.objects.damaged},
                         {"damages", std::move(damages)},
                         {"unnamed_small", findings.objects.unnamed_small},
                         {"images", findings.registry.images},
                         {"layers", findings.registry.blobs},
                         {"layer_bytes", findings.registry.bytes},
                         {"image_damages", std::move(images)},
                         {"orphans", findings.orphans()},
                         {"removed_orphans", findings.removed_orphans}});
}

std::string as_text(const Findings& findings, const CheckArguments& arguments) {
    const auto& objects = findings.objects;
    std::string text = "metadata   ";
    text += findings.database.empty() ? "sound\n" : "DAMAGED\n";
    for (const auto& line : findings.database) text += "           " + line + "\n";
    for (const auto& [what, count] : findings.dangling)
        text += "           " + std::to_string(count) + " " + what + "\n";
    text += "objects    " + std::to_string(objects.objects) + " (" + std::to_string(objects.bytes) + " bytes), " +
            std::to_string(objects.damaged) + " damaged" +
            (arguments.deep ? "" : "; only sizes were compared, --deep compares all bytes") + "\n";
    for (const auto& line : objects.damages) text += "           " + line + "\n";
    if (objects.unnamed_small > 0)
        text += "           " + std::to_string(objects.unnamed_small) + " small bodies that no object has\n";
    const auto& registry = findings.registry;
    text += "images     " + std::to_string(registry.images) + ", " + std::to_string(registry.blobs) + " layers (" +
            std::to_string(registry.bytes) + " bytes), " + std::to_string(registry.damaged) + " damaged\n";
    for (const auto& line : registry.damages) text += "           " + line + "\n";
    text += "orphans    " + std::to_string(findings.orphans()) + " files that no object or image has";
    if (findings.removed_orphans > 0) text += ", " + std::to_string(findings.removed_orphans) + " removed";
    if (findings.orphans() > findings.removed_orphans && !arguments.repair_orphans)
        text += findings.server_runs ? "; a server removes them when it starts" : "; --repair-orphans removes them";
    return text + "\n" + (findings.sound() ? "The data directory is sound.\n" : "The data directory is NOT sound.\n");
}

// Files that are deleted while we look would seem to be missing, so none is.
Result<void> compare_files(const std::string& folder, const CheckArguments& arguments, Findings& findings) {
    const std::string objects = folder + "/objects", images = folder + "/registry";
    const Fd held_objects = TRY(object_store::hold_removals(objects));
    Fd held_images;
    if (file_exists(images)) held_images = TRY(object_store::hold_removals(images));
    const auto store = TRY(metadata_store::open_read_only(folder + "/metadata.db"));
    TRY(count_dangling(*store, findings));
    findings.objects = TRY(object_store::audit_objects(*store, objects, {.deep = arguments.deep}));
    findings.registry = TRY(registry::audit_registry(*store, images, {.deep = arguments.deep}));
    return {};
}

}  // namespace

Result<CheckReport> check_data_directory(const Config& config, const CheckArguments& arguments) {
    const std::string database = config.data_dir + "/metadata.db";
    if (!file_exists(database)) return not_found("there is no data directory at " + config.data_dir);
    const auto lock = TRY(take_server_lock(config.data_dir));
    Findings findings;
    findings.server_runs = !lock;
    if (findings.server_runs && arguments.repair_orphans)
        return Error{ErrorKind::Conflict, "a server is running; it removes orphans when it starts", ""};
    const time_t began = ::time(nullptr);
    findings.database = TRY(metadata_store::check_database(database));
    TRY(compare_files(config.data_dir, arguments, findings));
    for (auto* orphans : {&findings.objects.orphans, &findings.registry.orphans}) {
        if (findings.server_runs) forget_young_orphans(*orphans, began);
        if (!arguments.repair_orphans) continue;
        for (const auto& path : *orphans)
            if (::unlink(path.c_str()) == 0) ++findings.removed_orphans;
    }
    return CheckReport{arguments.json ? as_json(findings).dump() + "\n" : as_text(findings, arguments),
                       findings.sound()};
}

}  // namespace millwright::programs
