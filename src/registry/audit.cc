#include "registry/audit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <unordered_set>

#include "base/files.h"
#include "object_store/file_store.h"
#include "object_store/writing.h"
#include "registry/digests.h"
#include "registry/rows.h"
#include "registry/schema.h"

namespace millwright::registry {
namespace {

constexpr size_t kPage = 1000, kPageOfImages = 50, kMaxDamages = 100;

Result<bool> has_registry(Connection& connection) {
    const auto row = TRY(connection.query_one("SELECT 1 FROM sqlite_master WHERE type='table' AND name='image_blob'"));
    return row.has_value();
}

struct NamedFile {
    std::string digest, file;  // no digest: of an upload
    uint64_t size = 0;
};

Result<void> for_each_file(Connection& connection, const std::function<Result<void>(const NamedFile&)>& visit) {
    std::string after;
    for (size_t got = kPage; got == kPage;) {
        const auto rows = TRY(connection.query(
            "SELECT digest, file, size FROM image_blob WHERE digest>? ORDER BY digest LIMIT ?", after, kPage));
        got = rows.size();
        for (const auto& row : rows) {
            after = row.text(0);
            TRY(visit({row.text(0), row.text(1), static_cast<uint64_t>(row.integer(2))}));
        }
    }
    for (const auto& row : TRY(connection.query("SELECT file FROM image_upload"))) TRY(visit({"", row.text(0), 0}));
    return {};
}

std::string path_in(const std::string& folder, const std::string& id) {
    return folder + "/" + id.substr(0, 2) + "/" + id;
}

class Auditor {
  public:
    Auditor(Connection& connection, const std::string& folder, const object_store::AuditOptions& options)
        : connection_(connection), folder_(folder), options_(options) {}

    Result<Audit> run() {
        TRY(for_each_file(connection_, [this](const NamedFile& named) { return check(named); }));
        TRY(check_images());
        TRY(check_parts());
        find_orphans();
        return std::move(audit_);
    }

  private:
    void damaged(const std::string& what) {
        ++audit_.damaged;
        if (audit_.damages.size() < kMaxDamages) audit_.damages.push_back(what);
    }

    Result<void> check(const NamedFile& named) {
        known_.insert(named.file);
        if (named.digest.empty()) {
            ++audit_.uploads;  // its file may not be there yet, and has as many bytes as came
            return {};
        }
        ++audit_.blobs;
        audit_.bytes += named.size;
        const std::string what = "layer " + named.digest + " (" + named.file + "): ";
        const auto file = open_file(path_in(folder_, named.file), O_RDONLY | O_NOFOLLOW);
        struct stat status {};
        if (!file || ::fstat(file->get(), &status) != 0)
            damaged(what + "its file is missing");
        else if (static_cast<uint64_t>(status.st_size) != named.size)
            damaged(what + "its file has " + std::to_string(status.st_size) + " bytes, not " +
                    std::to_string(named.size));
        else if (options_.deep)
            check_bytes(named, file->get(), what);
        return {};
    }

    void check_bytes(const NamedFile& named, int fd, const std::string& what) {
        const DigestKind kind = kind_of_digest(named.digest);
        Digest hash(kind);
        const auto source = object_store::source_of_file(fd, 0, named.size);
        std::string buffer(size_t{256} << 10, '\0');
        for (;;) {
            const auto got = source(std::span(buffer));
            if (!got) return damaged(what + "its bytes cannot be read");
            if (*got == 0) break;
            hash.update(std::string_view(buffer).substr(0, *got));
        }
        if (digest_text(kind, hash.finish()) != named.digest) damaged(what + "its bytes have another digest");
    }

    Result<void> check_images() {
        int64_t after = 0;
        for (size_t got = kPageOfImages; got == kPageOfImages;) {
            const auto rows = TRY(connection_.query(
                "SELECT id, digest, text FROM image_manifest WHERE id>? ORDER BY id LIMIT ?", after, kPageOfImages));
            got = rows.size();
            for (const auto& row : rows) {
                after = row.integer(0);
                ++audit_.images;
                const DigestKind kind = kind_of_digest(row.text(1));
                if (digest_text(kind, millwright::digest(kind, row.text(2))) != row.text(1))
                    damaged("image " + row.text(1) + ": its manifest has another digest");
            }
        }
        return {};
    }

    Result<void> check_parts() {
        const auto rows = TRY(connection_.query(
            "SELECT p.manifest, p.digest FROM image_manifest_part p WHERE p.kind=0 AND NOT EXISTS(SELECT 1 FROM "
            "image_repository_blob l JOIN image_blob b ON b.digest=l.digest "
            "WHERE l.repository=p.repository AND l.digest=p.digest) LIMIT 1000"));
        for (const auto& row : rows) damaged("image " + row.text(0) + ": its layer " + row.text(1) + " is gone");
        return {};
    }

    void find_orphans() {
        std::error_code failure;
        for (std::filesystem::recursive_directory_iterator entries(folder_, failure), end; !failure && entries != end;
             entries.increment(failure)) {
            const std::string name = entries->path().filename().string();
            if (entries.depth() == 1 && entries->is_regular_file(failure) && !known_.contains(name))
                audit_.orphans.push_back(entries->path().string());
        }
    }

    Connection& connection_;
    const std::string folder_;
    const object_store::AuditOptions options_;
    Audit audit_;
    std::unordered_set<std::string> known_;
};

}  // namespace

Result<Audit> audit_registry(Connection& connection, const std::string& folder,
                             const object_store::AuditOptions& options) {
    if (!TRY(has_registry(connection))) return Audit{};
    return Auditor(connection, folder, options).run();
}

Result<object_store::CopiedObjects> copy_registry(Connection& connection, const std::string& from,
                                                  const std::string& to) {
    object_store::CopiedObjects copied;
    if (!TRY(has_registry(connection))) return copied;
    TRY(make_directories(to, 0700));
    std::unordered_set<std::string> shards;
    TRY(for_each_file(connection, [&](const NamedFile& named) -> Result<void> {
        auto one = object_store::copy_stored_file(named.file, from, to, copied);
        // The file of an upload that a power cut took away.
        if (!one && named.digest.empty() && one.error().kind == ErrorKind::NotFound) return {};
        if (one) shards.insert(to + "/" + named.file.substr(0, 2));
        return one;
    }));
    for (const auto& shard : shards) TRY(sync_directory(shard));
    TRY(sync_directory(to));
    return copied;
}

}  // namespace millwright::registry
