#include "oci/reference.h"
#include "registry/store.h"

namespace millwright::registry {
namespace {

constexpr size_t kMaxDocuments = 1 << 20;  // bytes of one

Result<std::vector<Repository>> repositories_of(const std::vector<Row>& rows) {
    std::vector<Repository> found;
    for (const auto& row : rows)
        found.push_back({{row.text(1), row.text(2), row.text(3)},
                         row.integer(0),
                         from_epoch_milliseconds(row.integer(4)),
                         row.integer(5) != 0});
    return found;
}

Result<bool> has_images(Connection& connection, int64_t repository) {
    const auto row = TRY(connection.query_one("SELECT 1 FROM image_manifest WHERE repository=? LIMIT 1", repository));
    return row.has_value();
}

}  // namespace

Result<Repository> Store::create_repository(const RepositoryName& name, bool immutable_tags,
                                            const AlsoInTransaction& also) {
    if (!oci::is_repository_name(name.name))
        return failure(ErrorKind::InvalidInput,
                       "A repository name has 1 to 256 characters: parts of a-z 0-9, with single . _ __ - between "
                       "them, joined by '/'",
                       reason::kRepositoryName);
    return database_.write(
        [&](Transaction& tx) -> Result<Repository> {
            const auto made =
                tx.run("INSERT INTO image_repository(account, region, name, created, immutable_tags) VALUES(?,?,?,?,?)",
                       name.account, name.region, name.name, now(), immutable_tags);
            if (!made && made.error().kind == ErrorKind::AlreadyExists)
                return failure(ErrorKind::AlreadyExists,
                               "The repository with name '" + name.name + "' already exists in the registry with id '" +
                                   name.account + "'",
                               reason::kRepository);
            TRY(made);
            if (also) TRY(also(tx));
            return find_repository_row(tx, name);
        },
        metadata_store::Durable::Now, metadata_store::Space::Free);
}

Result<Repository> Store::find_repository(const RepositoryName& name) {
    return database_.read([&](Connection& connection) { return find_repository_row(connection, name); });
}

Result<std::vector<Repository>> Store::list_repositories(std::string_view account, std::string_view region,
                                                         const Page& page) {
    const auto rows = TRY(database_.read([&](Connection& connection) {
        return connection.query(
            "SELECT id, account, region, name, created, immutable_tags FROM image_repository "
            "WHERE account=? AND region=? AND name>? ORDER BY name LIMIT ?",
            account, region, page.after, uint64_t{page.limit});
    }));
    return repositories_of(rows);
}

Result<std::vector<Repository>> Store::all_repositories(int64_t after, size_t limit) {
    const auto rows = TRY(database_.read([&](Connection& connection) {
        return connection.query(
            "SELECT id, account, region, name, created, immutable_tags FROM image_repository "
            "WHERE id>? ORDER BY id LIMIT ?",
            after, uint64_t{limit});
    }));
    return repositories_of(rows);
}

Result<Repository> Store::remove_repository(const RepositoryName& name, Contents contents,
                                            const AlsoInTransaction& also) {
    std::vector<std::pair<std::string, std::string>> uploads;  // and their files
    auto removed = database_.write([&](Transaction& tx) -> Result<Repository> {
        uploads.clear();
        auto repository = TRY(find_repository_row(tx, name));
        if (contents == Contents::MustBeGone && TRY(has_images(tx, repository.id)))
            return failure(ErrorKind::Conflict,
                           "The repository with name '" + name.name + "' in registry with id '" + name.account +
                               "' cannot be deleted because it still contains images",
                           reason::kRepository);
        for (const auto& row : TRY(tx.query("SELECT id, file FROM image_upload WHERE repository=?", repository.id)))
            uploads.emplace_back(row.text(0), row.text(1));
        for (const auto* table : {"image_upload", "image_tag", "image_manifest_part", "image_manifest",
                                  "image_repository_blob", "image_repository_document"})
            TRY(tx.run("DELETE FROM " + std::string(table) + " WHERE repository=?", repository.id));
        TRY(tx.run("DELETE FROM image_repository WHERE id=?", repository.id));
        if (also) TRY(also(tx));
        return repository;
    });
    if (!removed) return removed;
    for (const auto& [upload, file] : uploads) {
        sessions_.forget(upload);
        files_->remove(file);
    }
    wake();
    return removed;
}

Result<void> Store::set_immutable_tags(const RepositoryName& name, bool immutable) {
    return database_.write([&](Transaction& tx) -> Result<void> {
        const int64_t repository = TRY(repository_id(tx, name));
        TRY(tx.run("UPDATE image_repository SET immutable_tags=? WHERE id=?", immutable, repository));
        return {};
    });
}

Result<std::optional<std::string>> Store::document(const RepositoryName& name, std::string_view kind) {
    return database_.read([&](Connection& connection) -> Result<std::optional<std::string>> {
        const int64_t repository = TRY(repository_id(connection, name));
        const auto row = TRY(connection.query_one(
            "SELECT text FROM image_repository_document WHERE repository=? AND kind=?", repository, kind));
        if (!row) return std::optional<std::string>();
        return std::optional<std::string>(row->text(0));
    });
}

Result<void> Store::set_document(const RepositoryName& name, std::string_view kind,
                                 const std::optional<std::string>& text) {
    if (text && text->size() > kMaxDocuments)
        return Error{ErrorKind::LimitExceeded, "a document of a repository has at most 1 MiB", ""};
    return database_.write([&](Transaction& tx) -> Result<void> {
        const int64_t repository = TRY(repository_id(tx, name));
        TRY(tx.run("DELETE FROM image_repository_document WHERE repository=? AND kind=?", repository, kind));
        if (text)
            TRY(tx.run("INSERT INTO image_repository_document(repository, kind, text) VALUES(?,?,?)", repository, kind,
                       *text));
        return {};
    });
}

}  // namespace millwright::registry
