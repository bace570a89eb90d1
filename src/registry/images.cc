#include "base/fail_point.h"
#include "base/log.h"
#include "oci/reference.h"
#include "registry/digests.h"
#include "registry/image_document.h"
#include "registry/schema.h"
#include "registry/store.h"

namespace millwright::registry {
namespace {

using metadata_store::Durable;
using metadata_store::Space;

constexpr auto kPullPrecision = std::chrono::hours(1);

Error no_tag(const std::string& tag) {
    return failure(ErrorKind::NotFound, "There is no image with tag " + tag, reason::kTag);
}

Result<std::string> digest_of_name(Connection& connection, int64_t repository, const ImageName& name) {
    if (name.tag.empty()) return name.digest;
    const auto named = TRY(find_tag_row(connection, repository, name.tag));
    if (!named || (!name.digest.empty() && *named != name.digest)) return no_tag(name.tag);
    return *named;
}

// What the document names must be here, or an image that nobody can pull would be acknowledged.
Result<void> check_parts(Connection& connection, int64_t repository, const ImageDocument& document) {
    for (const auto& blob : document.blobs) {
        const auto row = TRY(
            connection.query_one("SELECT b.size FROM image_repository_blob l JOIN image_blob b ON b.digest=l.digest "
                                 "WHERE l.repository=? AND l.digest=?",
                                 repository, blob.digest));
        if (!row)
            return failure(ErrorKind::InvalidInput, "The layer " + blob.digest + " was not pushed to this repository",
                           reason::kMissingBlob);
        if (row->integer(0) != static_cast<int64_t>(blob.size))
            return failure(ErrorKind::InvalidInput,
                           "The layer " + blob.digest + " has " + std::to_string(row->integer(0)) +
                               " bytes, and the manifest says " + std::to_string(blob.size),
                           reason::kManifest);
    }
    for (const auto& child : document.children)
        if (!TRY(connection.query_one("SELECT 1 FROM image_manifest WHERE repository=? AND digest=?", repository,
                                      child)))
            return failure(ErrorKind::InvalidInput, "The image " + child + " was not pushed to this repository",
                           reason::kMissingChild);
    return {};
}

Result<void> insert_parts(Transaction& tx, int64_t repository, const std::string& digest,
                          const ImageDocument& document) {
    constexpr std::string_view kInsert =
        "INSERT INTO image_manifest_part(repository, manifest, kind, digest) VALUES(?,?,?,?) ON CONFLICT DO NOTHING";
    for (const auto& blob : document.blobs) TRY(tx.run(kInsert, repository, digest, kBlobPart, blob.digest));
    for (const auto& child : document.children) TRY(tx.run(kInsert, repository, digest, kChildPart, child));
    return {};
}

Result<void> insert_manifest(Transaction& tx, int64_t repository, const std::string& digest,
                             const ImageDocument& document, std::string_view text, int64_t now) {
    TRY(tx.run(
        "INSERT INTO image_manifest(repository, digest, media_type, artifact_type, config_media_type, subject, size, "
        "image_bytes, pushed, text) VALUES(?,?,?,?,?,?,?,?,?,?)",
        repository, digest, document.media_type, document.artifact_type, document.config_media_type, document.subject,
        uint64_t{text.size()}, document.image_bytes, now, metadata_store::Blob{std::string(text)}));
    return insert_parts(tx, repository, digest, document);
}

Result<void> set_tag(Transaction& tx, const Repository& repository, const std::string& tag, const std::string& digest,
                     const std::optional<std::string>& named) {
    if (named && *named != digest && repository.immutable_tags)
        return failure(ErrorKind::Conflict,
                       "The image tag '" + tag + "' already exists in the '" + repository.name.name +
                           "' repository and cannot be overwritten because the tag is immutable.",
                       reason::kImmutable);
    TRY(
        tx.run("INSERT INTO image_tag(repository, name, digest) VALUES(?,?,?) "
               "ON CONFLICT(repository, name) DO UPDATE SET digest=excluded.digest",
               repository.id, tag, digest));
    return {};
}

// `touched`: what the blobs of the image count as at most, so that they are collected soon.
Result<void> delete_image(Transaction& tx, int64_t repository, const std::string& digest,
                          Registry::Referenced referenced, int64_t touched) {
    TRY(find_image_row(tx, repository, digest));
    if (referenced == Registry::Referenced::Refuse) {
        const auto index = TRY(
            tx.query_one("SELECT manifest FROM image_manifest_part WHERE repository=? AND digest=? AND kind=? LIMIT 1",
                         repository, digest, kChildPart));
        if (index)
            return failure(ErrorKind::Conflict, "The image " + digest + " is part of the index " + index->text(0),
                           reason::kReferenced);
    }
    TRY(
        tx.run("UPDATE image_repository_blob SET touched=min(touched, ?3) WHERE repository=?1 AND digest IN "
               "(SELECT digest FROM image_manifest_part WHERE repository=?1 AND manifest=?2 AND kind=0)",
               repository, digest, touched));
    TRY(tx.run("DELETE FROM image_tag WHERE repository=? AND digest=?", repository, digest));
    TRY(tx.run("DELETE FROM image_manifest_part WHERE repository=? AND manifest=?", repository, digest));
    TRY(tx.run("DELETE FROM image_manifest WHERE repository=? AND digest=?", repository, digest));
    return {};
}

}  // namespace

Result<StoredImage> Store::find_image(const RepositoryName& repository, const ImageName& name) {
    return database_.read([&](Connection& connection) -> Result<StoredImage> {
        const int64_t id = TRY(repository_id(connection, repository));
        const auto digest = TRY(digest_of_name(connection, id, name));
        auto image = TRY(find_image_row(connection, id, digest));
        const auto text =
            TRY(connection.query_one("SELECT text FROM image_manifest WHERE repository=? AND digest=?", id, digest));
        return StoredImage{std::move(image), text->text(0)};
    });
}

void Store::note_pull(const RepositoryName& repository, const Image& image) {
    if (image.pulled && clock_.now() - *image.pulled < kPullPrecision) return;
    const auto noted = database_.write(
        [&](Transaction& tx) -> Result<void> {
            const int64_t id = TRY(repository_id(tx, repository));
            TRY(tx.run("UPDATE image_manifest SET pulled=? WHERE repository=? AND digest=?", now(), id, image.digest));
            return {};
        },
        Durable::WithNext);
    if (!noted) log::warning("noting the pull of an image", noted.error());
}

Result<PutOutcome> Store::put_image(const RepositoryName& repository, std::string_view text,
                                    const PutOptions& options) {
    if (!options.tag.empty() && !oci::is_tag(options.tag))
        return failure(ErrorKind::InvalidInput, "A tag has 1 to 128 of A-Z a-z 0-9 _ . - and begins with none of . -",
                       reason::kTag);
    if (!options.digest.empty()) TRY(check_digest(options.digest));
    const auto document = TRY(read_image_document(text, options.media_type));
    const DigestKind kind = options.digest.empty() ? DigestKind::Sha256 : kind_of_digest(options.digest);
    const std::string digest = digest_text(kind, millwright::digest(kind, text));
    if (!options.digest.empty() && options.digest != digest)
        return failure(ErrorKind::InvalidInput, "The manifest's digest is " + digest, reason::kDigest);
    FAIL_POINT("registry.before_manifest");
    FAIL_POINT_AT_EXIT("registry.after_manifest");
    return database_.write(
        [&](Transaction& tx) -> Result<PutOutcome> {
            const auto found = TRY(find_repository_row(tx, repository));
            std::optional<std::string> named;
            if (!options.tag.empty()) named = TRY(find_tag_row(tx, found.id, options.tag));
            const bool known =
                TRY(tx.query_one("SELECT 1 FROM image_manifest WHERE repository=? AND digest=?", found.id, digest))
                    .has_value();
            if (known && options.refuse_same && (options.tag.empty() || named == digest))
                return failure(ErrorKind::AlreadyExists,
                               "Image with digest '" + digest + "' and tag '" + options.tag +
                                   "' already exists in the repository with name '" + repository.name +
                                   "' in registry with id '" + repository.account + "'",
                               reason::kSameImage);
            if (!known) {
                TRY(check_parts(tx, found.id, document));
                TRY(insert_manifest(tx, found.id, digest, document, text, now()));
            }
            if (!options.tag.empty()) TRY(set_tag(tx, found, options.tag, digest, named));
            auto image = TRY(find_image_row(tx, found.id, digest));
            return PutOutcome{std::move(image), !known};
        },
        Durable::Now, Space::Free);
}

Result<void> Store::remove_image(const RepositoryName& repository, const std::string& digest, Referenced referenced) {
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        const int64_t id = TRY(repository_id(tx, repository));
        return delete_image(tx, id, digest, referenced, touched_by_removal());
    }));
    wake();
    return {};
}

Result<std::string> Store::remove_tag(const RepositoryName& repository, const std::string& tag, LastTag last) {
    auto digest = database_.write([&](Transaction& tx) -> Result<std::string> {
        const int64_t id = TRY(repository_id(tx, repository));
        const auto named = TRY(find_tag_row(tx, id, tag));
        if (!named) return no_tag(tag);
        TRY(tx.run("DELETE FROM image_tag WHERE repository=? AND name=?", id, tag));
        const auto left = TRY(tags_of(tx, id, *named));
        if (left.empty() && last == LastTag::RemovesImage)
            TRY(delete_image(tx, id, *named, Referenced::Refuse, touched_by_removal()));
        return *named;
    });
    if (digest) wake();
    return digest;
}

Result<std::vector<std::string>> Store::list_tags(const RepositoryName& repository, const Page& page) {
    return database_.read([&](Connection& connection) -> Result<std::vector<std::string>> {
        const int64_t id = TRY(repository_id(connection, repository));
        const auto rows =
            TRY(connection.query("SELECT name FROM image_tag WHERE repository=? AND name>? ORDER BY name LIMIT ?", id,
                                 page.after, uint64_t{page.limit}));
        std::vector<std::string> tags;
        for (const auto& row : rows) tags.push_back(row.text(0));
        return tags;
    });
}

Result<std::vector<Image>> Store::list_images(const RepositoryName& repository, const Page& page) {
    static const std::string sql = "SELECT " + std::string(kImageColumns) +
                                   " FROM image_manifest WHERE repository=? AND digest>? ORDER BY digest LIMIT ?";
    return database_.read([&](Connection& connection) -> Result<std::vector<Image>> {
        const int64_t id = TRY(repository_id(connection, repository));
        const auto rows = TRY(connection.query(sql, id, page.after, uint64_t{page.limit}));
        std::vector<Image> images;
        for (const auto& row : rows) {
            images.push_back(image_of(row));
            images.back().tags = TRY(tags_of(connection, id, images.back().digest));
        }
        return images;
    });
}

Result<std::vector<Referrer>> Store::referrers(const RepositoryName& repository, const std::string& digest,
                                               std::string_view artifact_type, const Page& page) {
    return database_.read([&](Connection& connection) -> Result<std::vector<Referrer>> {
        const int64_t id = TRY(repository_id(connection, repository));
        const auto rows = TRY(connection.query(
            "SELECT digest, media_type, artifact_type, size, text FROM image_manifest WHERE repository=?1 "
            "AND subject=?2 AND subject<>'' AND digest>?3 AND (?4='' OR artifact_type=?4) ORDER BY digest LIMIT ?5",
            id, digest, page.after, artifact_type, uint64_t{page.limit}));
        std::vector<Referrer> found;
        for (const auto& row : rows) {
            Referrer referrer{row.text(0), row.text(1), row.text(2), static_cast<uint64_t>(row.integer(3))};
            if (const auto document = Json::parse(row.text(4))) referrer.annotations = (*document)["annotations"];
            found.push_back(std::move(referrer));
        }
        return found;
    });
}

}  // namespace millwright::registry
