// The tables of this module.
#pragma once

#include <vector>

#include "metadata_store/database.h"

namespace millwright::registry {

// image_blob: the file of each digest. image_repository_blob: where it is visible, and when somebody last pushed,
// mounted or asked for it. image_manifest_part: what a manifest (kind 0: blobs) or an index (kind 1: manifests) names,
// which keeps it. Times are milliseconds.
inline const std::vector<metadata_store::Migration> kMigrations = {
    {"registry 1: repositories, manifests, blobs, uploads", R"sql(
CREATE TABLE image_repository(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    immutable_tags INTEGER NOT NULL,
    UNIQUE(account, region, name));
CREATE TABLE image_repository_document(
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY(repository, kind)) WITHOUT ROWID;
CREATE TABLE image_blob(
    digest TEXT PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE image_repository_blob(
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    digest TEXT NOT NULL REFERENCES image_blob(digest),
    touched INTEGER NOT NULL,
    PRIMARY KEY(repository, digest)) WITHOUT ROWID;
CREATE INDEX image_repository_blob_digest ON image_repository_blob(digest);
CREATE TABLE image_manifest(
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    config_media_type TEXT NOT NULL,
    subject TEXT NOT NULL,
    size INTEGER NOT NULL,
    image_bytes INTEGER NOT NULL,
    pushed INTEGER NOT NULL,
    pulled INTEGER,
    text BLOB NOT NULL,
    UNIQUE(repository, digest));
CREATE INDEX image_manifest_subject ON image_manifest(repository, subject, digest) WHERE subject<>'';
CREATE TABLE image_manifest_part(
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    manifest TEXT NOT NULL,
    kind INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY(repository, manifest, kind, digest)) WITHOUT ROWID;
CREATE INDEX image_manifest_part_digest ON image_manifest_part(repository, digest, kind);
CREATE TABLE image_tag(
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY(repository, name)) WITHOUT ROWID;
CREATE INDEX image_tag_digest ON image_tag(repository, digest, name);
CREATE TABLE image_upload(
    id TEXT PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES image_repository(id),
    file TEXT NOT NULL UNIQUE,
    begun INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX image_upload_repository ON image_upload(repository);
)sql"},
};

inline constexpr int kBlobPart = 0, kChildPart = 1;  // image_manifest_part.kind

}  // namespace millwright::registry
