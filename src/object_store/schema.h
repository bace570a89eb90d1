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
};

}  // namespace millwright::object_store
