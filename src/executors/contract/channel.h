// Input channels: which objects a channel has, and which host sees which of them under what name.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "object_store/object_store.h"

namespace millwright::executors {

struct Channel {
    enum class Source { S3Prefix, ManifestFile, AugmentedManifest, FileSystem };
    enum class Distribution { FullyReplicated, ShardedByS3Key };
    enum class Mode { File, Pipe, FastFile };

    std::string name;
    Source source = Source::S3Prefix;
    object_store::S3Uri uri;  // the prefix, or the manifest's own key
    Distribution distribution = Distribution::FullyReplicated;
    std::string content_type;  // empty: not given
    Mode mode = Mode::File;
    bool gunzip = false;                       // CompressionType Gzip; Pipe only
    bool wrap_in_recordio = false;             // RecordWrapperType RecordIO; Pipe only
    std::optional<uint64_t> shuffle_seed;      // ShuffleConfig
    std::vector<std::string> attribute_names;  // AugmentedManifest, in order
    std::vector<std::string> instance_groups;  // only on hosts of these; empty: on all
    std::string file_system;                   // FileSystem: the folder of the host that is the file system
    std::string directory;                     // FileSystem: DirectoryPath, inside `file_system`
    bool writable = false;                     // FileSystem: FileSystemAccessMode rw
};

// One file of a channel.
struct ChannelObject {
    std::string bucket, key;
    std::string path;  // inside the channel's folder, see local_path.h; empty in Pipe mode
};

struct ChannelContent {
    std::string prefix_uri;              // first line of the "<channel>-manifest" file
    std::vector<ChannelObject> objects;  // S3Prefix: by key, bytewise; manifests: as listed
    // AugmentedManifest: what its lines deliver, as the items file of feed_spec.h.
    std::string items;
    uint64_t records = 0;
};

inline constexpr size_t kMaxManifestBytes = size_t{64} << 20;
inline constexpr size_t kMaxChannelObjects = 1'000'000;

// [{"prefix": "s3://bucket/p/"}, "a", "b", …] -> s3://bucket/p/a … InvalidInput: anything else.
Result<ChannelContent> parse_manifest(std::string_view text);

// JSON Lines. Each line delivers one item per attribute, in their order: the object that the attribute names if its
// name ends in "-ref", else the value as text (a string as it is, anything else as it is written). InvalidInput:
// anything else.
Result<ChannelContent> parse_augmented_manifest(std::string_view text, const std::vector<std::string>& attributes);

// Asks the store what the channel has, in the order that ShuffleConfig gives it unless it is shuffled anew each epoch
// (Pipe mode). InvalidInput: no objects, a broken manifest, or hostile names. NotFound: bucket or manifest are missing.
// REQUIRES: not a FileSystem.
Result<ChannelContent> resolve_channel(object_store::ObjectStore& store, const Channel& channel);

// The folder that a FileSystem channel shows, without links in its path. InvalidInput: there is none, or the path leads
// out of the file system.
Result<std::string> resolve_directory(const Channel& channel);

// Positions in `objects` that host `rank` of `hosts` sees: all of them, or every hosts-th.
std::vector<size_t> shard_of(size_t objects, Channel::Distribution distribution, size_t rank, size_t hosts);

// Links objects into `folder` (made if missing), under their paths. Conflict when `stop` was set meanwhile.
Result<void> link_channel(object_store::ObjectStore& store, const ChannelContent& content,
                          const std::vector<size_t>& chosen, const std::string& folder, const std::atomic<bool>& stop);

// The same for a feeder: all objects by number, with names and items. `folder` as feed_folder() of feed_spec.h.
Result<void> link_feed(object_store::ObjectStore& store, const ChannelContent& content, const std::string& folder,
                       const std::atomic<bool>& stop);

}  // namespace millwright::executors
