#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fail_point.h"
#include "oci/reference.h"
#include "registry/digests.h"
#include "registry/receiving.h"
#include "registry/schema.h"
#include "registry/store.h"

namespace millwright::registry {
namespace {

using metadata_store::Durable;
using metadata_store::Space;

constexpr int kOpenAttempts = 16;  // the blob may be pushed again between reading its row and opening its file

Error no_blob(std::string_view digest) {
    return failure(ErrorKind::NotFound, "There is no layer " + std::string(digest.substr(0, 200)), reason::kBlob);
}

struct StoredBlob {
    int64_t repository = 0;
    std::string file;
    uint64_t size = 0;
    int64_t touched = 0;
};

Result<StoredBlob> find_blob_row(Connection& connection, const RepositoryName& name, const std::string& digest) {
    const int64_t repository = TRY(repository_id(connection, name));
    const auto row = TRY(connection.query_one(
        "SELECT b.file, b.size, l.touched FROM image_repository_blob l JOIN image_blob b ON b.digest=l.digest "
        "WHERE l.repository=? AND l.digest=?",
        repository, digest));
    if (!row) return no_blob(digest);
    return StoredBlob{repository, row->text(0), static_cast<uint64_t>(row->integer(1)), row->integer(2)};
}

Result<void> link_blob(Transaction& tx, int64_t repository, const std::string& digest, int64_t now) {
    TRY(
        tx.run("INSERT INTO image_repository_blob(repository, digest, touched) VALUES(?,?,?) "
               "ON CONFLICT(repository, digest) DO UPDATE SET touched=excluded.touched",
               repository, digest, now));
    return {};
}

class FileReader final : public oci::BlobReader {
  public:
    FileReader(Fd fd, uint64_t size) : fd_(std::move(fd)), size_(size) {}
    uint64_t size() const override { return size_; }
    Result<size_t> read(char* buffer, size_t size) override {
        for (;;) {
            const ssize_t got = ::read(fd_.get(), buffer, size);
            if (got >= 0) return static_cast<size_t>(got);
            if (errno != EINTR) return error_from_errno("cannot read a layer");
        }
    }

  private:
    const Fd fd_;
    const uint64_t size_;
};

Result<RepositoryName> ours(const oci::Reference& reference) {
    const auto host = oci::parse_ecr_host(reference.host);
    if (!host)
        return failure(ErrorKind::NotFound, oci::to_string(reference) + " is not an image of this registry",
                       reason::kRepository);
    return RepositoryName{host->account, host->region, reference.repository};
}

}  // namespace

Result<BlobInfo> Store::find_blob(const RepositoryName& repository, const std::string& digest) {
    const auto blob =
        TRY(database_.read([&](Connection& connection) { return find_blob_row(connection, repository, digest); }));
    // Whoever asks may push an image with it next; until then it must not be collected.
    if (now() - blob.touched >= settings_.grace.count() / 4) TRY(touch(blob.repository, digest));
    return BlobInfo{digest, blob.size};
}

Result<void> Store::touch(int64_t repository, const std::string& digest) {
    return database_.write(
        [&](Transaction& tx) -> Result<void> {
            const auto changed =
                TRY(tx.run("UPDATE image_repository_blob SET touched=? WHERE repository=? AND digest=?", now(),
                           repository, digest));
            if (changed == 0) return no_blob(digest);  // it was collected this moment
            return {};
        },
        Durable::WithNext);
}

Result<OpenBlob> Store::open_blob_file(const RepositoryName& repository, const std::string& digest) {
    for (int attempt = 1;; ++attempt) {
        const auto blob =
            TRY(database_.read([&](Connection& connection) { return find_blob_row(connection, repository, digest); }));
        auto fd = files_->open_for_reading(blob.file);
        if (fd) return OpenBlob{{digest, blob.size}, std::move(*fd)};
        if (fd.error().kind != ErrorKind::NotFound) return fd.error();
        if (attempt == kOpenAttempts)
            return internal_error("the file of a layer is missing; millwright check tells more", digest);
    }
}

Result<BlobInfo> Store::mount_blob(const RepositoryName& repository, const std::string& digest,
                                   const RepositoryName& from) {
    TRY(check_digest(digest));
    return database_.write(
        [&](Transaction& tx) -> Result<BlobInfo> {
            const int64_t target = TRY(repository_id(tx, repository));
            const auto blob = TRY(find_blob_row(tx, from, digest));
            TRY(link_blob(tx, target, digest, now()));
            return BlobInfo{digest, blob.size};
        },
        Durable::Now, Space::Free);
}

Result<std::vector<RepositoryName>> Store::repositories_with_blob(const RepositoryName& place,
                                                                  const std::string& digest, size_t limit) {
    const auto rows = TRY(database_.read([&](Connection& connection) {
        return connection.query(
            "SELECT r.name FROM image_repository_blob l JOIN image_repository r ON r.id=l.repository "
            "WHERE l.digest=? AND r.account=? AND r.region=? ORDER BY r.name LIMIT ?",
            digest, place.account, place.region, uint64_t{limit});
    }));
    std::vector<RepositoryName> found;
    for (const auto& row : rows) found.push_back({place.account, place.region, row.text(0)});
    return found;
}

Result<void> Store::remove_blob(const RepositoryName& repository, const std::string& digest) {
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        const auto blob = TRY(find_blob_row(tx, repository, digest));
        const auto user = TRY(
            tx.query_one("SELECT manifest FROM image_manifest_part WHERE repository=? AND digest=? AND kind=? LIMIT 1",
                         blob.repository, digest, kBlobPart));
        if (user)
            return failure(ErrorKind::Conflict, "The layer is part of the image " + user->text(0), reason::kBlobInUse);
        TRY(tx.run("DELETE FROM image_repository_blob WHERE repository=? AND digest=?", blob.repository, digest));
        return {};
    }));
    wake();
    return {};
}

Result<BlobInfo> Store::put_blob(const RepositoryName& repository, const std::string& digest, const Source& source) {
    TRY(check_digest(digest));
    const auto found = TRY(find_repository(repository));
    auto draft = TRY(files_->create());
    const DigestKind kind = kind_of_digest(digest);
    Digest hash(kind);
    const auto size = TRY(receive(draft.fd(), 0, settings_.max_blob_bytes, source,
                                  [&hash](std::string_view bytes) { hash.update(bytes); }));
    const std::string computed = digest_text(kind, hash.finish());
    if (computed != digest)
        return failure(ErrorKind::InvalidInput, "The bytes have the digest " + computed, reason::kDigest);
    TRY(draft.sync());
    draft.close();
    auto published = publish({found.id, digest, draft.id(), size, ""});
    // A failed commit of unknown outcome may still turn up after a restart; its file is then needed.
    if (published || published.error().kind == ErrorKind::Internal) draft.keep();
    TRY(published);
    return BlobInfo{digest, size};
}

// The new file takes the place of an older one with the same bytes, which heals one that the disk has lost.
Result<void> Store::publish(const NewBlob& blob) {
    std::optional<std::string> freed;
    FAIL_POINT("registry.before_blob");
    FAIL_POINT_AT_EXIT("registry.after_blob");
    TRY(database_.write(
        [&](Transaction& tx) -> Result<void> {
            freed.reset();
            if (!TRY(tx.query_one("SELECT 1 FROM image_repository WHERE id=?", blob.repository)))
                return failure(ErrorKind::NotFound, "The repository was deleted meanwhile", reason::kRepository);
            if (!blob.upload.empty() && TRY(tx.run("DELETE FROM image_upload WHERE id=?", blob.upload)) == 0)
                return failure(ErrorKind::NotFound, "The upload was cancelled meanwhile", reason::kUpload);
            const auto old = TRY(tx.query_one("SELECT file FROM image_blob WHERE digest=?", blob.digest));
            if (old) freed = old->text(0);
            TRY(
                tx.run("INSERT INTO image_blob(digest, file, size) VALUES(?,?,?) "
                       "ON CONFLICT(digest) DO UPDATE SET file=excluded.file, size=excluded.size",
                       blob.digest, blob.file, blob.size));
            return link_blob(tx, blob.repository, blob.digest, now());
        },
        Durable::Now, Space::Free));
    if (freed) files_->remove(*freed);
    return {};
}

Result<oci::FoundManifest> Store::find_manifest(const oci::Reference& reference) {
    const auto repository = TRY(ours(reference));
    const bool by_digest = !reference.digest.empty();
    auto found =
        TRY(find_image(repository, by_digest ? ImageName{"", reference.digest} : ImageName{reference.tag, ""}));
    note_pull(repository, found.image);
    return oci::FoundManifest{found.image.digest, found.image.media_type, std::move(found.text)};
}

Result<std::unique_ptr<oci::BlobReader>> Store::open_blob(const oci::Reference& repository, std::string_view digest) {
    const auto name = TRY(ours(repository));
    auto blob = TRY(open_blob_file(name, std::string(digest)));
    return std::unique_ptr<oci::BlobReader>(std::make_unique<FileReader>(std::move(blob.fd), blob.info.size));
}

Result<bool> Store::has_blob(std::string_view digest) {
    return database_.read([&](Connection& connection) -> Result<bool> {
        const auto row = TRY(
            connection.query_one("SELECT 1 FROM image_repository_blob WHERE digest=? LIMIT 1", std::string(digest)));
        return row.has_value();
    });
}

}  // namespace millwright::registry
