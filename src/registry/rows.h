// Rows of this module's tables, as several operations read them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "metadata_store/database.h"
#include "registry/registry.h"

namespace millwright::registry {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

Error failure(ErrorKind kind, std::string message, std::string_view why);

// NotFound with kRepository.
Result<Repository> find_repository_row(Connection& connection, const RepositoryName& name);
Result<int64_t> repository_id(Connection& connection, const RepositoryName& name);

// The columns of image_manifest that image_of() reads, the text last.
inline constexpr std::string_view kImageColumns =
    "digest, media_type, artifact_type, config_media_type, subject, size, image_bytes, pushed, pulled";
// Without tags.
Image image_of(const Row& row);
Result<std::vector<std::string>> tags_of(Connection& connection, int64_t repository, const std::string& digest);
// NotFound with kManifest.
Result<Image> find_image_row(Connection& connection, int64_t repository, const std::string& digest);
// What the tag names.
Result<std::optional<std::string>> find_tag_row(Connection& connection, int64_t repository, const std::string& tag);

}  // namespace millwright::registry
