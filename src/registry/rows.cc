#include "registry/rows.h"

namespace millwright::registry {

Error failure(ErrorKind kind, std::string message, std::string_view why) {
    return {kind, std::move(message), std::string(why)};
}

Result<Repository> find_repository_row(Connection& connection, const RepositoryName& name) {
    const auto row = TRY(connection.query_one(
        "SELECT id, created, immutable_tags FROM image_repository WHERE account=? AND region=? AND name=?",
        name.account, name.region, name.name));
    if (!row)
        return failure(ErrorKind::NotFound,
                       "The repository with name '" + name.name + "' does not exist in the registry with id '" +
                           name.account + "'",
                       reason::kRepository);
    return Repository{name, row->integer(0), from_epoch_milliseconds(row->integer(1)), row->integer(2) != 0};
}

Result<int64_t> repository_id(Connection& connection, const RepositoryName& name) {
    const auto repository = TRY(find_repository_row(connection, name));
    return repository.id;
}

Image image_of(const Row& row) {
    Image image{row.text(0), row.text(1), row.text(2), row.text(3), row.text(4)};
    image.manifest_bytes = static_cast<uint64_t>(row.integer(5));
    image.image_bytes = static_cast<uint64_t>(row.integer(6));
    image.pushed = from_epoch_milliseconds(row.integer(7));
    if (const auto pulled = row.optional_integer(8)) image.pulled = from_epoch_milliseconds(*pulled);
    return image;
}

Result<std::vector<std::string>> tags_of(Connection& connection, int64_t repository, const std::string& digest) {
    const auto rows = TRY(connection.query("SELECT name FROM image_tag WHERE repository=? AND digest=? ORDER BY name",
                                           repository, digest));
    std::vector<std::string> tags;
    for (const auto& row : rows) tags.push_back(row.text(0));
    return tags;
}

Result<Image> find_image_row(Connection& connection, int64_t repository, const std::string& digest) {
    static const std::string sql =
        "SELECT " + std::string(kImageColumns) + " FROM image_manifest WHERE repository=? AND digest=?";
    const auto row = TRY(connection.query_one(sql, repository, digest));
    if (!row) return failure(ErrorKind::NotFound, "There is no image with digest " + digest, reason::kManifest);
    Image image = image_of(*row);
    image.tags = TRY(tags_of(connection, repository, digest));
    return image;
}

Result<std::optional<std::string>> find_tag_row(Connection& connection, int64_t repository, const std::string& tag) {
    const auto row =
        TRY(connection.query_one("SELECT digest FROM image_tag WHERE repository=? AND name=?", repository, tag));
    if (!row) return std::optional<std::string>();
    return std::optional<std::string>(row->text(0));
}

}  // namespace millwright::registry
