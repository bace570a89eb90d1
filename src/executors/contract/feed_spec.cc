#include "executors/contract/feed_spec.h"

#include <charconv>

#include "base/files.h"
#include "executors/contract/shuffle.h"

namespace millwright::executors {
namespace {

constexpr std::string_view kMagic = "millwright-feed 1";
constexpr uint64_t kLinksPerFolder = 1000;
constexpr size_t kMaxFailureBytes = size_t{64} << 10;

void put(std::string& out, std::string_view key, std::string_view value) {
    out.append(key).push_back('\0');
    out.append(value).push_back('\0');
}

// False when there is no terminating NUL.
bool next_field(std::string_view& text, std::string_view& field) {
    const size_t end = text.find('\0');
    if (end == std::string_view::npos) return false;
    field = text.substr(0, end);
    text.remove_prefix(end + 1);
    return true;
}

bool read_number(std::string_view text, uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

bool read_member(FeedSpec& spec, std::string_view key, std::string_view value) {
    if (key == "folder") return spec.folder = value, true;
    if (key == "channel") return spec.channels.emplace_back().name = value, true;
    if (spec.channels.empty()) return false;
    auto& channel = spec.channels.back();
    if (key == "objects") return read_number(value, channel.objects);
    if (key == "items_per_record") return read_number(value, channel.items_per_record);
    if (key == "records") return read_number(value, channel.records);
    if (key == "sharded") return channel.sharded = true;
    if (key == "gunzip") return channel.gunzip = true;
    if (key == "wrap_in_recordio") return channel.wrap_in_recordio = true;
    if (key == "shuffle_seed") return read_number(value, channel.shuffle_seed.emplace());
    if (key == "host") return channel.hosts.emplace_back(value), true;
    return false;
}

}  // namespace

std::string encode_feed_spec(const FeedSpec& spec) {
    std::string out = std::string(kMagic) + '\0';
    put(out, "folder", spec.folder);
    for (const auto& channel : spec.channels) {
        put(out, "channel", channel.name);
        put(out, "objects", std::to_string(channel.objects));
        put(out, "items_per_record", std::to_string(channel.items_per_record));
        put(out, "records", std::to_string(channel.records));
        if (channel.sharded) put(out, "sharded", "");
        if (channel.gunzip) put(out, "gunzip", "");
        if (channel.wrap_in_recordio) put(out, "wrap_in_recordio", "");
        if (channel.shuffle_seed) put(out, "shuffle_seed", std::to_string(*channel.shuffle_seed));
        for (const auto& host : channel.hosts) put(out, "host", host);
    }
    return out.append("end").append(1, '\0');
}

Result<FeedSpec> decode_feed_spec(std::string_view text) {
    std::string_view key, value;
    if (!next_field(text, key) || key != kMagic) return invalid_input("not a feed file of version 1");
    FeedSpec spec;
    for (;;) {
        if (!next_field(text, key)) return invalid_input("the feed file is cut off");
        if (key == "end") break;
        if (!next_field(text, value)) return invalid_input("the feed file is cut off");
        if (!read_member(spec, key, value)) return invalid_input("bad feed file entry " + std::string(key));
    }
    if (!spec.folder.starts_with('/')) return invalid_input("the feed file names no folder");
    return spec;
}

std::string feed_folder(const std::string& run_folder, size_t channel) {
    return run_folder + "/feeds/" + std::to_string(channel);
}

std::string feed_object_path(const std::string& feed_folder, uint64_t object) {
    return feed_folder + "/" + std::to_string(object / kLinksPerFolder) + "/" + std::to_string(object);
}

std::string feed_items_path(const std::string& feed_folder) { return feed_folder + "/items"; }
std::string feed_names_path(const std::string& feed_folder) { return feed_folder + "/names"; }

std::optional<std::string> read_feed_failure(const std::string& run_folder) {
    auto text = read_file(run_folder + "/" + kFeedFailure, kMaxFailureBytes);
    if (!text || text->empty()) return std::nullopt;
    return std::move(*text);
}

std::optional<uint64_t> record_of_epoch(const FeedChannel& channel, size_t rank, uint64_t epoch, uint64_t index) {
    const uint64_t position = channel.sharded ? index * channel.hosts.size() + rank : index;
    if (position >= channel.records) return std::nullopt;
    if (!channel.shuffle_seed) return position;
    return shuffled_position(position, channel.records, *channel.shuffle_seed, epoch);
}

}  // namespace millwright::executors
