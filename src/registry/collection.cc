#include <sys/stat.h>

#include <algorithm>

#include "base/fail_point.h"
#include "base/log.h"
#include "registry/schema.h"
#include "registry/store.h"

namespace millwright::registry {
namespace {

using object_store::FileStore;

constexpr size_t kPage = 500;  // rows of one transaction, which others wait for

// The last time somebody wrote to it; nothing when there is no file.
std::optional<Timestamp> written_at(const FileStore& files, const std::string& id) {
    const auto file = files.open_for_reading(id);
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0) return std::nullopt;
    return from_epoch_milliseconds(int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000);
}

}  // namespace

Result<std::unique_ptr<Registry>> Registry::open(const std::string& folder, metadata_store::Database& database,
                                                 const Clock& clock, Random& random, const Settings& settings) {
    TRY(database.migrate("registry", kMigrations));
    auto files = TRY(FileStore::open(folder, database, random));
    return std::unique_ptr<Registry>(std::make_unique<Store>(std::move(files), database, clock, random, settings));
}

Store::Store(std::unique_ptr<FileStore> files, metadata_store::Database& database, const Clock& clock, Random& random,
             const Settings& settings)
    : files_(std::move(files)), database_(database), clock_(clock), random_(random), settings_(settings) {
    if (settings_.pause.count() > 0) collector_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

Store::~Store() {
    collector_.request_stop();
    const MutexLock lock(mutex_);
    stopping_ = true;
    woken_.notify_all();
}

void Store::wake() {
    const MutexLock lock(mutex_);
    wake_ = true;
    woken_.notify_all();
}

void Store::run(const std::stop_token& stop) {
    size_t orphans = 0;
    for (int shard = 0; shard < FileStore::kShards && !stop.stop_requested(); ++shard) {
        const auto swept = files_->remove_orphans(shard, [this](const auto& ids) { return named_files(ids); });
        if (!swept) {
            log::error("removing orphaned layer files", swept.error());
            break;
        }
        orphans += *swept;
    }
    if (orphans > 0) log::info("removed " + std::to_string(orphans) + " layer files left by a crash");
    while (!stop.stop_requested()) {
        const auto collected = collect_garbage();
        if (!collected)
            log::error("collecting layers that no image has", collected.error());
        else if (collected->blobs + collected->uploads > 0)
            log::info("removed " + std::to_string(collected->blobs) + " layers with " +
                      std::to_string(collected->bytes) + " bytes and " + std::to_string(collected->uploads) +
                      " forgotten uploads");
        const auto next = std::chrono::steady_clock::now() + settings_.pause;
        const MutexLock lock(mutex_);
        while (!wake_ && !stopping_)
            if (!woken_.wait_until(mutex_, next)) break;
        wake_ = false;
    }
}

Result<std::set<std::string>> Store::named_files(const std::vector<std::string>& ids) {
    return database_.read([&](Connection& connection) -> Result<std::set<std::string>> {
        std::set<std::string> named;
        for (const auto& id : ids) {
            const auto row =
                TRY(connection.query_one("SELECT 1 WHERE EXISTS(SELECT 1 FROM image_blob WHERE file=?1) "
                                         "OR EXISTS(SELECT 1 FROM image_upload WHERE file=?1)",
                                         id));
            if (row) named.insert(id);
        }
        return named;
    });
}

Result<Collected> Store::collect_garbage() {
    Collected collected;
    TRY(collect_uploads(collected));
    TRY(collect_links(collected));
    TRY(collect_blobs(collected));
    return collected;
}

Result<void> Store::collect_uploads(Collected& collected) {
    const Timestamp oldest = clock_.now() - settings_.upload_life;
    const auto rows = TRY(database_.read([&](Connection& connection) {
        return connection.query("SELECT id, file FROM image_upload WHERE begun<?", to_epoch_milliseconds(oldest));
    }));
    for (const auto& row : rows) {
        const std::string id = row.text(0), file = row.text(1);
        const auto claim = sessions_.claim(id);  // nobody may begin to write while it is dropped
        if (!claim) continue;
        const auto written = written_at(*files_, file);
        if (written && *written >= oldest) continue;
        TRY(drop_upload(id, file));
        ++collected.uploads;
    }
    return {};
}

// Candidates are found by reading; only what still is one in the transaction is deleted. An image is pushed in a
// transaction, too: either it finds the blob, and keeps it, or it is refused.
Result<void> Store::collect_links(Collected& collected) {
    constexpr std::string_view kUnused =
        "touched<?1 AND NOT EXISTS(SELECT 1 FROM image_manifest_part p WHERE p.repository=l.repository "
        "AND p.digest=l.digest AND p.kind=0)";
    static const std::string find = "SELECT repository, digest FROM image_repository_blob l WHERE " +
                                    std::string(kUnused) +
                                    " AND (repository, digest)>(?2,?3) "
                                    "ORDER BY repository, digest LIMIT ?4";
    static const std::string remove =
        "DELETE FROM image_repository_blob AS l WHERE " + std::string(kUnused) + " AND repository=?2 AND digest=?3";
    const int64_t oldest = now() - settings_.grace.count();
    int64_t repository = 0;
    std::string digest;
    for (size_t got = kPage; got == kPage;) {
        const auto rows = TRY(database_.read(
            [&](Connection& connection) { return connection.query(find, oldest, repository, digest, kPage); }));
        got = rows.size();
        if (got == 0) break;
        repository = rows.back().integer(0);
        digest = rows.back().text(1);
        collected.links += TRY(database_.write([&](Transaction& tx) -> Result<uint64_t> {
            uint64_t gone = 0;
            for (const auto& row : rows)
                gone += static_cast<uint64_t>(TRY(tx.run(remove, oldest, row.integer(0), row.text(1))));
            return gone;
        }));
    }
    return {};
}

Result<void> Store::collect_blobs(Collected& collected) {
    constexpr std::string_view kFind =
        "SELECT digest FROM image_blob b WHERE digest>? AND "
        "NOT EXISTS(SELECT 1 FROM image_repository_blob l WHERE l.digest=b.digest) ORDER BY digest LIMIT ?";
    constexpr std::string_view kRemove =
        "DELETE FROM image_blob AS b WHERE digest=?1 AND "
        "NOT EXISTS(SELECT 1 FROM image_repository_blob l WHERE l.digest=b.digest)";
    std::string after;
    for (size_t got = kPage; got == kPage;) {
        const auto rows =
            TRY(database_.read([&](Connection& connection) { return connection.query(kFind, after, kPage); }));
        got = rows.size();
        if (got == 0) break;
        after = rows.back().text(0);
        std::vector<std::pair<std::string, uint64_t>> freed;  // files and their sizes
        TRY(database_.write([&](Transaction& tx) -> Result<void> {
            freed.clear();
            for (const auto& row : rows) {
                const auto blob = TRY(tx.query_one("SELECT file, size FROM image_blob WHERE digest=?", row.text(0)));
                const auto gone = TRY(tx.run(kRemove, row.text(0)));
                if (blob && gone > 0) freed.emplace_back(blob->text(0), static_cast<uint64_t>(blob->integer(1)));
            }
            return {};
        }));
        FAIL_POINT("registry.collected");
        for (const auto& [file, size] : freed) {
            files_->remove(file);
            ++collected.blobs;
            collected.bytes += size;
        }
    }
    return {};
}

}  // namespace millwright::registry
