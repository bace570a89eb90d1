#include "object_store/audit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <unordered_set>

#include "base/digest.h"
#include "base/encoding.h"
#include "object_store/file_store.h"
#include "object_store/properties.h"
#include "object_store/writing.h"

namespace millwright::object_store {
namespace {

using metadata_store::Connection;
using metadata_store::Row;

constexpr int kPage = 1000;
constexpr size_t kMaxDamages = 100;

// Bytes a row names.
struct Named {
    std::string what;  // "s3://bucket/key"
    std::string id;
    uint64_t offset = 0, size = 0;
    std::string etag;
    std::vector<uint64_t> part_sizes;
    bool whole = true;  // the file has nothing else
};
using Visit = std::function<Result<void>(const Named&)>;

Result<Named> object_of(const Row& row) {
    ObjectInfo info;
    TRY(read_properties(row.text(7), info));
    Named named{"s3://" + row.text(2) + "/" + row.text(1), row.text(4), 0,
                static_cast<uint64_t>(row.integer(5)),     row.text(6), std::move(info.part_sizes)};
    return named;
}

Result<void> for_each_object_row(Connection& connection, const Visit& visit) {
    constexpr std::string_view kCurrent =
        "SELECT o.bucket, o.key, b.name, 0, o.file, o.size, o.etag, o.properties FROM object o "
        "JOIN bucket b ON b.id=o.bucket WHERE (o.bucket, o.key) > (?1, ?2) ORDER BY o.bucket, o.key LIMIT ?4";
    constexpr std::string_view kOld =
        "SELECT o.bucket, o.key, b.name, o.sequence, o.file, o.size, o.etag, o.properties FROM old_version o "
        "JOIN bucket b ON b.id=o.bucket WHERE (o.bucket, o.key, -o.sequence) > (?1, ?2, ?3) "
        "ORDER BY o.bucket, o.key, -o.sequence LIMIT ?4";
    for (const std::string_view sql : {kCurrent, kOld}) {
        int64_t bucket = -1, sequence = 0;
        std::string key;
        for (size_t got = kPage; got == kPage;) {
            const auto rows = TRY(connection.query(sql, bucket, key, sequence, kPage));
            got = rows.size();
            for (const auto& row : rows) {
                bucket = row.integer(0);
                key = row.text(1);
                sequence = -row.integer(3);
                if (row.is_null(4)) continue;  // a delete marker
                const auto named = TRY(object_of(row));
                TRY(visit(named));
            }
        }
    }
    return {};
}

Result<void> for_each_part_row(Connection& connection, const Visit& visit) {
    std::string upload;
    int64_t number = -1;
    for (size_t got = kPage; got == kPage;) {
        const auto rows =
            TRY(connection.query("SELECT upload, number, file, file_offset, size, etag FROM upload_part "
                                 "WHERE (upload, number) > (?, ?) ORDER BY upload, number LIMIT ?",
                                 upload, number, kPage));
        got = rows.size();
        for (const auto& row : rows) {
            upload = row.text(0);
            number = row.integer(1);
            Named named{"part " + std::to_string(number) + " of upload " + upload,
                        row.text(2),
                        static_cast<uint64_t>(row.integer(3)),
                        static_cast<uint64_t>(row.integer(4)),
                        row.text(5),
                        {}};
            named.whole = false;
            TRY(visit(named));
        }
    }
    return {};
}

std::string path_in(const std::string& folder, const std::string& id) {
    return folder + "/" + id.substr(0, 2) + "/" + id;
}

Result<std::string> md5_of(const Source& source) {
    Digest md5(DigestKind::Md5);
    std::string buffer(size_t{256} << 10, '\0');
    for (;;) {
        const size_t got = TRY(source(std::span(buffer)));
        if (got == 0) return md5.finish();
        md5.update(std::string_view(buffer).substr(0, got));
    }
}

// The ETag that these bytes have.
Result<std::string> etag_of(const std::function<Source(uint64_t offset, uint64_t length)>& bytes, const Named& named) {
    if (named.etag.find('-') == std::string::npos) {
        const auto md5 = TRY(md5_of(bytes(named.offset, named.size)));
        return to_hex(md5);
    }
    Digest all(DigestKind::Md5);
    uint64_t offset = 0;
    for (const uint64_t size : named.part_sizes) {
        const auto md5 = TRY(md5_of(bytes(offset, size)));
        all.update(md5);
        offset += size;
    }
    return to_hex(all.finish()) + "-" + std::to_string(named.part_sizes.size());
}

class Auditor {
  public:
    Auditor(Connection& connection, const std::string& folder, const AuditOptions& options)
        : connection_(connection), folder_(folder), options_(options) {}

    Result<Audit> run() {
        TRY(for_each_object_row(connection_, [this](const Named& named) -> Result<void> {
            ++audit_.objects;
            return check(named);
        }));
        TRY(for_each_part_row(connection_, [this](const Named& named) -> Result<void> {
            ++audit_.parts;
            return check(named);
        }));
        for (const auto& row : TRY(connection_.query("SELECT file FROM upload WHERE file IS NOT NULL")))
            known_.insert(row.text(0));
        const auto small = TRY(connection_.query_one("SELECT count(*) FROM small_bytes"));
        const auto stored = static_cast<uint64_t>(small->integer(0));
        audit_.unnamed_small = stored > audit_.small ? stored - audit_.small : 0;
        find_orphans();
        return std::move(audit_);
    }

  private:
    void damaged(const Named& named, const std::string& how) {
        ++audit_.damaged;
        if (audit_.damages.size() < kMaxDamages)
            audit_.damages.push_back(named.what + ": " + how + " (" + named.id + ")");
    }

    Result<void> check(const Named& named) {
        audit_.bytes += named.size;
        return FileStore::is_small(named.id) ? check_small(named) : check_file(named);
    }

    Result<void> check_small(const Named& named) {
        ++audit_.small;
        const auto bytes = FileStore::small_bytes(connection_, named.id);
        if (!bytes && bytes.error().kind != ErrorKind::Internal) return bytes.error();
        if (!bytes) {
            damaged(named, "its bytes are missing");
        } else if (bytes->size() != named.size) {
            damaged(named, "it has " + std::to_string(bytes->size()) + " bytes, not " + std::to_string(named.size));
        } else if (options_.deep && named.etag.find('-') == std::string::npos &&
                   to_hex(digest(DigestKind::Md5, *bytes)) != named.etag) {
            damaged(named, "its bytes have another MD5");
        }
        return {};
    }

    Result<void> check_file(const Named& named) {
        if (known_.insert(named.id).second) ++audit_.files;
        const auto file = open_file(path_in(folder_, named.id), O_RDONLY | O_NOFOLLOW);
        if (!file) {
            damaged(named, file.error().kind == ErrorKind::NotFound
                               ? "its file is missing"
                               : "its file cannot be opened: " + file.error().detail);
            return {};
        }
        struct stat status {};
        if (::fstat(file->get(), &status) != 0) return error_from_errno("cannot examine an object file");
        const auto size = static_cast<uint64_t>(status.st_size);
        if (named.whole ? size != named.size : size < named.offset + named.size) {
            damaged(named, "its file has " + std::to_string(size) + " bytes, not " + std::to_string(named.size));
            return {};
        }
        if (!options_.deep) return {};
        const auto etag = etag_of(
            [&](uint64_t offset, uint64_t length) { return source_of_file(file->get(), offset, length); }, named);
        if (!etag)
            damaged(named, "its bytes cannot be read: " + etag.error().detail);
        else if (*etag != named.etag)
            damaged(named, "its bytes have another MD5");
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
    const AuditOptions options_;
    Audit audit_;
    std::unordered_set<std::string> known_;
};

}  // namespace

Result<void> copy_stored_file(const std::string& id, const std::string& from, const std::string& to,
                              CopiedObjects& copied) {
    const std::string target = path_in(to, id);
    TRY(make_directories(to + "/" + id.substr(0, 2), 0700));
    const Fd source = TRY(open_file(path_in(from, id), O_RDONLY | O_NOFOLLOW));
    struct stat status {};
    if (::fstat(source.get(), &status) != 0) return error_from_errno("cannot examine an object file");
    const auto size = static_cast<uint64_t>(status.st_size);
    copied.bytes += size;
    // The shared file of a running upload is still written, so it must not be the same one in both stores.
    if ((status.st_mode & S_IWUSR) == 0) {
        const Fd made = TRY(materialize(source.get(), size, target));
        ++(made ? copied.copied : copied.linked);
        if (made && ::fdatasync(made.get()) != 0) return error_from_errno("cannot sync " + target);
        return {};
    }
    const Fd made = TRY(open_file(target, O_RDWR | O_CREAT | O_EXCL, 0600));
    TRY(copy_range(source.get(), 0, made.get(), 0, size));
    if (::fdatasync(made.get()) != 0) return error_from_errno("cannot sync " + target);
    ++copied.copied;
    return {};
}

Result<Fd> hold_removals(const std::string& folder) {
    Fd file = TRY(open_file(folder + "/" + kRemovalLock, O_RDWR | O_CREAT, 0600));
    struct flock lock {};
    lock.l_type = F_WRLCK;
    while (::fcntl(file.get(), F_OFD_SETLKW, &lock) != 0)
        if (errno != EINTR) return error_from_errno("cannot lock " + folder);
    return file;
}

Result<Audit> audit_objects(Connection& connection, const std::string& folder, const AuditOptions& options) {
    return Auditor(connection, folder, options).run();
}

Result<CopiedObjects> copy_objects(Connection& connection, const std::string& from, const std::string& to) {
    CopiedObjects copied;
    std::unordered_set<std::string> done;
    std::unordered_set<std::string> shards;
    const auto copy = [&](const std::string& id) -> Result<void> {
        if (FileStore::is_small(id) || !done.insert(id).second) return {};
        shards.insert(to + "/" + id.substr(0, 2));
        return copy_stored_file(id, from, to, copied);
    };
    TRY(make_directories(to, 0700));
    TRY(for_each_object_row(connection, [&](const Named& named) { return copy(named.id); }));
    TRY(for_each_part_row(connection, [&](const Named& named) { return copy(named.id); }));
    for (const auto& row : TRY(connection.query("SELECT file FROM upload WHERE file IS NOT NULL"))) {
        // The first part is still being written, so there may be no file yet.
        auto one = copy(row.text(0));
        if (!one && one.error().kind != ErrorKind::NotFound) return one.error();
    }
    for (const auto& shard : shards) TRY(sync_directory(shard));
    TRY(sync_directory(to));
    return copied;
}

}  // namespace millwright::object_store
