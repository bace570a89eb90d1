// Manifests, indexes and configurations of container images: the OCI image specification 1.1 and Docker's schema 2,
// which differ in their media types only. Schema 1 is refused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace millwright::oci {

inline constexpr size_t kMaxManifestBytes = size_t{4} << 20;

struct Platform {
    std::string architecture, os, variant;  // "amd64", "linux", ""
};

struct Descriptor {
    std::string media_type, digest;
    uint64_t size = 0;
    std::optional<Platform> platform;
    std::string artifact_type;
    Json annotations;  // an object, or null
};

struct Manifest {
    std::string media_type, artifact_type;
    Descriptor config;
    std::vector<Descriptor> layers;  // the lowest first
    std::optional<Descriptor> subject;
    Json annotations;
};

struct Index {
    std::string media_type, artifact_type;
    std::vector<Descriptor> manifests;
    std::optional<Descriptor> subject;
    Json annotations;
};

bool is_index(std::string_view media_type);
bool is_manifest(std::string_view media_type);  // of one image or artifact
bool is_layer(std::string_view media_type);     // tar, gzip or zstd, ours to unpack
// Among these: layers that clients do not push, because their bytes are to be had elsewhere only.
bool is_foreign_layer(std::string_view media_type);
// InvalidInput: not JSON, not of this kind, or a member that must be there is missing or wrong. A document that could
// be read in two ways (a member twice, layers in an index) is refused. LimitExceeded: more than kMaxManifestBytes.
Result<Manifest> parse_manifest(std::string_view text);
Result<Index> parse_index(std::string_view text);
// The entry for that architecture and system, of the wanted variant rather than of another one, or one that does not
// say; NotFound names what there is.
Result<Descriptor> choose_platform(const Index& index, const Platform& wanted);
Platform this_platform();

// What a container of the image is started with.
struct ImageConfig {
    Platform platform;
    std::vector<std::string> entrypoint, command;  // Entrypoint and Cmd
    std::vector<std::string> environment;          // "NAME=value"
    std::string working_folder;                    // WorkingDir; empty: "/"
    std::string user;                              // "", "name", "uid", "uid:gid", …
    std::string stop_signal;
    std::map<std::string, std::string> labels;
    std::vector<std::string> exposed_ports;  // "8080/tcp"
    std::vector<std::string> diff_ids;       // of the layers, unpacked
    std::string created;
};
Result<ImageConfig> parse_image_config(std::string_view text);

}  // namespace millwright::oci
