#include <sys/stat.h>

#include "base/fail_point.h"
#include "object_store/writing.h"
#include "registry/digests.h"
#include "registry/receiving.h"
#include "registry/store.h"

namespace millwright::registry {
namespace {

using metadata_store::Durable;
using metadata_store::Space;

constexpr size_t kIdDigits = 32;

Error no_upload() {
    return failure(ErrorKind::NotFound, "There is no such upload; it may have been completed or have expired",
                   reason::kUpload);
}

Error busy() { return failure(ErrorKind::Conflict, "Another request writes to this upload", reason::kUploadBusy); }

Result<uint64_t> size_of(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return error_from_errno("cannot examine the file of an upload");
    return static_cast<uint64_t>(status.st_size);
}

}  // namespace

// Not synced: a power cut may cost the upload, which the client then begins again.
Result<UploadInfo> Store::begin_upload(const RepositoryName& repository) {
    auto draft = TRY(files_->create(object_store::FileStore::Reopening::Allowed));
    UploadInfo upload{random_.hex(kIdDigits), 0, clock_.now()};
    auto written = database_.write(
        [&](Transaction& tx) -> Result<void> {
            const int64_t id = TRY(repository_id(tx, repository));
            const auto count = TRY(tx.query_one(
                "SELECT count(*) FROM image_upload u JOIN image_repository r ON r.id=u.repository WHERE r.account=?",
                repository.account));
            if (count->integer(0) >= static_cast<int64_t>(settings_.max_uploads))
                return failure(ErrorKind::LimitExceeded,
                               "This account has " + std::to_string(settings_.max_uploads) +
                                   " uploads that are not completed; complete or cancel some",
                               reason::kManyUploads);
            TRY(tx.run("INSERT INTO image_upload(id, repository, file, begun) VALUES(?,?,?,?)", upload.id, id,
                       draft.id(), to_epoch_milliseconds(upload.begun)));
            return {};
        },
        Durable::WithNext, Space::Free);
    if (written || written.error().kind == ErrorKind::Internal) draft.keep();
    TRY(written);
    return upload;
}

Result<Store::Upload> Store::find_upload_row(const RepositoryName& repository, const std::string& id) {
    return database_.read([&](Connection& connection) -> Result<Upload> {
        const int64_t number = TRY(repository_id(connection, repository));
        const auto row =
            TRY(connection.query_one("SELECT file, begun FROM image_upload WHERE id=? AND repository=?", id, number));
        if (!row) return no_upload();
        return Upload{number, id, row->text(0), from_epoch_milliseconds(row->integer(1))};
    });
}

Result<UploadInfo> Store::find_upload(const RepositoryName& repository, const std::string& id) {
    const auto upload = TRY(find_upload_row(repository, id));
    const auto file = files_->open_for_reading(upload.file);
    if (!file) return file.error().kind == ErrorKind::NotFound ? no_upload() : file.error();
    const uint64_t size = TRY(size_of(file->get()));
    return UploadInfo{id, size, upload.begun};
}

Result<UploadInfo> Store::write_piece(const Upload& upload, UploadSessions::Claim& claim, int fd, const Piece& piece,
                                      const Source& source) {
    const uint64_t size = TRY(size_of(fd));
    if (piece.position && *piece.position != size)
        return failure(
            ErrorKind::InvalidInput,
            "The upload goes on at byte " + std::to_string(size) + ", not at " + std::to_string(*piece.position),
            reason::kUploadPosition);
    const bool hashing = claim.hashed() == size;
    const uint64_t received = TRY(receive(fd, size, settings_.max_blob_bytes, source, [&](std::string_view bytes) {
        if (hashing) claim.update(bytes);
    }));
    if (piece.length && *piece.length != received)
        return failure(
            ErrorKind::InvalidInput,
            "The client announced " + std::to_string(*piece.length) + " bytes and sent " + std::to_string(received),
            reason::kUploadLength);
    return UploadInfo{upload.id, size + received, upload.begun};
}

Result<UploadInfo> Store::append(const RepositoryName& repository, const std::string& id, const Piece& piece,
                                 const Source& source) {
    const auto upload = TRY(find_upload_row(repository, id));
    auto claim = sessions_.claim(id);
    if (!claim) return busy();
    const auto file = files_->open_for_writing(upload.file);
    if (!file) return file.error().kind == ErrorKind::NotFound ? no_upload() : file.error();
    return write_piece(upload, *claim, file->get(), piece, source);
}

// Of what was written by an earlier server, when a write failed in its middle, and for another algorithm than that of
// nearly all clients, the bytes are read again.
Result<std::string> Store::digest_of_upload(DigestKind kind, UploadSessions::Claim& claim, int fd, uint64_t size) {
    if (kind == DigestKind::Sha256 && claim.hashed() == size) return digest_text(kind, claim.finish());
    Digest hash(kind);
    const auto source = object_store::source_of_file(fd, 0, size);
    std::string buffer(size_t{256} << 10, '\0');
    for (;;) {
        const size_t got = TRY(source(std::span(buffer)));
        if (got == 0) return digest_text(kind, hash.finish());
        hash.update(std::string_view(buffer).substr(0, got));
    }
}

Result<BlobInfo> Store::complete_upload(const RepositoryName& repository, const std::string& id,
                                        const std::string& digest, const Piece& piece, const Source& source) {
    TRY(check_digest(digest));
    const auto upload = TRY(find_upload_row(repository, id));
    auto claim = sessions_.claim(id);
    if (!claim) return busy();
    const auto file = files_->open_for_writing(upload.file);
    if (!file) return file.error().kind == ErrorKind::NotFound ? no_upload() : file.error();
    const auto whole = TRY(write_piece(upload, *claim, file->get(), piece, source));
    const auto computed = TRY(digest_of_upload(kind_of_digest(digest), *claim, file->get(), whole.offset));
    if (computed != digest) {
        TRY(drop_upload(id, upload.file));
        return failure(ErrorKind::InvalidInput, "The bytes have the digest " + computed, reason::kDigest);
    }
    TRY(files_->seal(upload.file, file->get()));
    auto published = publish({upload.repository, digest, upload.file, whole.offset, id});
    // The client may try again, and that writes.
    if (!published && ::fchmod(file->get(), 0600) != 0) return error_from_errno("cannot reopen an upload");
    TRY(published);
    sessions_.forget(id);
    return BlobInfo{digest, whole.offset};
}

Result<void> Store::drop_upload(const std::string& id, const std::string& file) {
    const auto deleted = TRY(database_.write(
        [&](Transaction& tx) { return tx.run("DELETE FROM image_upload WHERE id=?", id); }, Durable::WithNext));
    sessions_.forget(id);
    if (deleted > 0) files_->remove(file);
    return {};
}

Result<void> Store::abort_upload(const RepositoryName& repository, const std::string& id) {
    const auto upload = TRY(find_upload_row(repository, id));
    return drop_upload(id, upload.file);
}

}  // namespace millwright::registry
