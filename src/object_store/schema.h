// The tables of this module. Keys sort as bytes (SQLite's BINARY collation compares UTF-8 text that way).
#pragma once

#include <vector>

#include "metadata_store/database.h"

namespace millwright::object_store {

// `properties` is a JSON document with what only one object's reader needs: see properties.h.
inline const std::vector<metadata_store::Migration> kMigrations = {
    {"object_store 1: buckets, objects, uploads", R"sql(
CREATE TABLE bucket(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    region TEXT NOT NULL,
    created INTEGER NOT NULL);
CREATE TABLE object(
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    key TEXT NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    properties TEXT NOT NULL,
    PRIMARY KEY(bucket, key)) WITHOUT ROWID;
CREATE UNIQUE INDEX object_file ON object(file);
CREATE TABLE upload(
    id TEXT PRIMARY KEY,
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    key TEXT NOT NULL,
    initiated INTEGER NOT NULL,
    options TEXT NOT NULL,
    file TEXT,
    slot_size INTEGER) WITHOUT ROWID;
CREATE INDEX upload_key ON upload(bucket, key, id);
CREATE INDEX upload_file ON upload(file);
CREATE TABLE upload_part(
    upload TEXT NOT NULL REFERENCES upload(id),
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    file_offset INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    checksums TEXT NOT NULL,
    PRIMARY KEY(upload, number)) WITHOUT ROWID;
CREATE INDEX upload_part_file ON upload_part(file);
)sql"},
    // `object` has the current version of each key: what plain buckets need and what listings scan. Everything else is
    // in `old_version`, also delete markers (no file), which are no objects even when they are the newest. The newest
    // version of a key has the greatest sequence. See versions.h.
    {"object_store 2: versions, bucket documents, completed uploads", R"sql(
ALTER TABLE bucket ADD COLUMN versioning INTEGER NOT NULL DEFAULT 0;
ALTER TABLE object ADD COLUMN version TEXT NOT NULL DEFAULT 'null';
ALTER TABLE object ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
CREATE TABLE old_version(
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    key TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    version TEXT NOT NULL,
    file TEXT,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    storage_class TEXT NOT NULL,
    properties TEXT NOT NULL,
    PRIMARY KEY(bucket, key, sequence DESC)) WITHOUT ROWID;
CREATE UNIQUE INDEX old_version_id ON old_version(bucket, key, version);
CREATE UNIQUE INDEX old_version_file ON old_version(file) WHERE file IS NOT NULL;
CREATE TABLE bucket_document(
    bucket INTEGER NOT NULL REFERENCES bucket(id),
    name TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY(bucket, name)) WITHOUT ROWID;
CREATE TABLE completed_upload(
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    key TEXT NOT NULL,
    answer TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX completed_upload_number ON completed_upload(number);
)sql"},
};

}  // namespace millwright::object_store
