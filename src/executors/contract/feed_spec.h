// What the server tells the feeder of a run's Pipe channels, as files in the folder of the run that the job cannot see:
//
//   <folder>/feed                       the description below
//   <folder>/feeds/<k>/<i / 1000>/<i>   object i of the k-th described channel, linked from the object store
//   <folder>/feeds/<k>/items            channels of augmented manifests: what each record consists of
//   <folder>/feeds/<k>/names            the S3 URI of each object and NUL, for messages
//   <folder>/feed.failure               written by the feeder: why the data of an epoch could not be delivered
//
//   feed  = "millwright-feed 1" NUL *(key NUL value NUL) "end" NUL      keys as the members below; "channel" begins one
//   items = *(kind: 'o' | 't', value: u64 of this machine, text: value bytes of kind 't')
//
// The FIFOs are <folder>/algo-N/ml/input/data/<channel>_<epoch>.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::executors {

inline constexpr const char* kFeedFile = "feed";
inline constexpr const char* kFeedFailure = "feed.failure";
inline constexpr const char* kFeederProgram = "millwright-feeder";  // beside the other programs

struct FeedChannel {
    std::string name;
    uint64_t objects = 0;           // links
    uint64_t items_per_record = 0;  // of the items file; 0: there is none, every object is a record
    uint64_t records = 0;
    bool sharded = false;
    bool gunzip = false;            // objects, not texts
    bool wrap_in_recordio = false;  // every object or text becomes a RecordIO record
    std::optional<uint64_t> shuffle_seed;
    std::vector<std::string> hosts;  // that have the channel, by rank
};

struct FeedSpec {
    std::string folder;  // of the run
    std::vector<FeedChannel> channels;
};

std::string encode_feed_spec(const FeedSpec& spec);
// InvalidInput: not such a file, or of another version.
Result<FeedSpec> decode_feed_spec(std::string_view text);

std::string feed_folder(const std::string& run_folder, size_t channel);
std::string feed_object_path(const std::string& feed_folder, uint64_t object);
std::string feed_items_path(const std::string& feed_folder);
std::string feed_names_path(const std::string& feed_folder);

// "ClientError: …", when the feeder of a run could not deliver something.
std::optional<std::string> read_feed_failure(const std::string& run_folder);

// Record number `index` of the records that the host of `rank` gets in an epoch; nullopt beyond the last. Shuffled
// first and dealt out then, so that shards change from epoch to epoch.
std::optional<uint64_t> record_of_epoch(const FeedChannel& channel, size_t rank, uint64_t epoch, uint64_t index);

}  // namespace millwright::executors
