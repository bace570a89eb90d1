#include "resources/training_jobs/plan_channels.h"

#include <algorithm>
#include <set>

#include "executors/contract/training_contract.h"

namespace millwright::resources {

using executors::Channel;

namespace {

// One channel of the request while it is read.
struct Asked {
    const Json& request;
    const Json& channel;
    std::string where;  // begins every message

    Error refused(const std::string& why) const { return invalid_input(where + why + "."); }
};

Result<Channel::Mode> read_mode(const Asked& asked) {
    const auto& job = asked.request["AlgorithmSpecification"]["TrainingInputMode"];
    const auto mode = asked.channel["InputMode"].string_or(job.string_or("File"));
    if (mode == "File") return Channel::Mode::File;
    if (mode == "Pipe") return Channel::Mode::Pipe;
    if (mode == "FastFile") return Channel::Mode::FastFile;
    return asked.refused("has the input mode '" + mode + "'; it must be File, Pipe or FastFile");
}

Result<void> read_attributes(const Asked& asked, const Json& s3, Channel& channel) {
    const auto& names = s3["AttributeNames"];
    const bool augmented = channel.source == Channel::Source::AugmentedManifest;
    if (!augmented && names.size() > 0)
        return asked.refused("has AttributeNames, which belong to the S3DataType AugmentedManifestFile");
    if (!augmented) return {};
    if (channel.mode != Channel::Mode::Pipe)
        return asked.refused("has the S3DataType AugmentedManifestFile, which is for the input mode Pipe only");
    if (names.size() == 0) return asked.refused("needs AttributeNames for the S3DataType AugmentedManifestFile");
    std::set<std::string> known;
    for (const auto& name : names.items()) {
        if (!known.insert(name.string_or("")).second)
            return asked.refused("names the attribute '" + name.string_or("") + "' twice");
        channel.attribute_names.push_back(name.string_or(""));
    }
    return {};
}

Result<void> read_s3_source(const Asked& asked, Channel& channel) {
    const auto& s3 = asked.channel["DataSource"]["S3DataSource"];
    const auto type = s3["S3DataType"].string_or("");
    if (type == "S3Prefix" || type == "Converse") {
        channel.source = Channel::Source::S3Prefix;
    } else if (type == "ManifestFile") {
        channel.source = Channel::Source::ManifestFile;
    } else if (type == "AugmentedManifestFile") {
        channel.source = Channel::Source::AugmentedManifest;
    } else {
        return asked.refused("has the S3DataType '" + type +
                             "'; it must be S3Prefix, ManifestFile or AugmentedManifestFile");
    }
    if (channel.mode == Channel::Mode::FastFile && channel.source != Channel::Source::S3Prefix)
        return asked.refused("has the input mode FastFile, which is for the S3DataType S3Prefix only");
    channel.uri = TRY(parse_s3_member(s3["S3Uri"].string_or(""), asked.where + "S3Uri"));
    if (s3["S3DataDistributionType"].string_or("") == "ShardedByS3Key")
        channel.distribution = Channel::Distribution::ShardedByS3Key;
    return read_attributes(asked, s3, channel);
}

Result<void> read_groups(const Asked& asked, Channel& channel) {
    for (const auto& name : asked.channel["DataSource"]["S3DataSource"]["InstanceGroupNames"].items()) {
        const auto& groups = asked.request["ResourceConfig"]["InstanceGroups"].items();
        const bool known = std::any_of(groups.begin(), groups.end(),
                                       [&](const Json& group) { return group["InstanceGroupName"] == name; });
        if (!known)
            return asked.refused("names the instance group '" + name.string_or("") +
                                 "', which ResourceConfig.InstanceGroups does not have");
        channel.instance_groups.push_back(name.string_or(""));
    }
    return {};
}

Result<void> read_file_system(const Asked& asked, Channel& channel) {
    const auto& system = asked.channel["DataSource"]["FileSystemDataSource"];
    channel.source = Channel::Source::FileSystem;
    if (channel.mode != Channel::Mode::File)
        return asked.refused("has a FileSystemDataSource, which is for the input mode File only");
    channel.file_system = system["FileSystemId"].string_or("");
    channel.directory = system["DirectoryPath"].string_or("");
    if (!channel.directory.starts_with('/')) return asked.refused("needs a DirectoryPath that begins with '/'");
    channel.writable = system["FileSystemAccessMode"].string_or("") == "rw";
    return {};
}

Result<void> read_framing(const Asked& asked, Channel& channel) {
    const bool pipe = channel.mode == Channel::Mode::Pipe;
    for (const auto* member : {"CompressionType", "RecordWrapperType"}) {
        const auto value = asked.channel[member].string_or("None");
        if (value != "None" && !pipe)
            return asked.refused("has the " + std::string(member) + " " + value +
                                 ", which is for the input mode Pipe " + "only; use None");
    }
    channel.gunzip = asked.channel["CompressionType"].string_or("None") == "Gzip";
    channel.wrap_in_recordio = asked.channel["RecordWrapperType"].string_or("None") == "RecordIO";
    const auto& shuffle = asked.channel["ShuffleConfig"];
    if (!shuffle.is_object()) return {};
    if (channel.source == Channel::Source::FileSystem)
        return asked.refused("has a ShuffleConfig, which is for S3 data only");
    channel.shuffle_seed = static_cast<uint64_t>(shuffle["Seed"].int_or(0));
    return {};
}

Result<Channel> read_channel(const Json& request, const Json& asked_channel) {
    const auto name = asked_channel["ChannelName"].string_or("");
    const Asked asked{request, asked_channel, "InputDataConfig channel '" + name + "' "};
    const auto& data = asked_channel["DataSource"];
    Channel channel;
    channel.name = name;
    channel.content_type = asked_channel["ContentType"].string_or("");
    channel.mode = TRY(read_mode(asked));
    const bool s3 = data["S3DataSource"].is_object(), file_system = data["FileSystemDataSource"].is_object();
    if (s3 == file_system) return asked.refused("needs either an S3DataSource or a FileSystemDataSource");
    if (s3) {
        TRY(read_s3_source(asked, channel));
        TRY(read_groups(asked, channel));
    } else {
        TRY(read_file_system(asked, channel));
    }
    TRY(read_framing(asked, channel));
    return channel;
}

}  // namespace

Result<std::vector<Channel>> plan_channels(const Json& request) {
    std::vector<Channel> channels;
    for (const auto& asked : request["InputDataConfig"].items()) {
        auto channel = TRY(read_channel(request, asked));
        channels.push_back(std::move(channel));
    }
    TRY(executors::check_channel_names(channels));
    return channels;
}

Result<void> find_file_systems(const std::map<std::string, std::string>& folders, std::vector<Channel>& channels) {
    for (auto& channel : channels) {
        if (channel.source != Channel::Source::FileSystem) continue;
        const auto found = folders.find(channel.file_system);
        if (found == folders.end()) {
            return invalid_input("InputDataConfig channel '" + channel.name + "' names the file system '" +
                                 channel.file_system +
                                 "', which is not configured: name its folder under [file_systems] in config.toml.");
        }
        channel.file_system = found->second;
    }
    return {};
}

Result<object_store::S3Uri> parse_s3_member(const std::string& uri, std::string_view member) {
    if (!uri.starts_with("s3://")) {
        return invalid_input("Millwright does not support the URI '" + uri + "' in " + std::string(member) +
                             ": it must begin with s3://.");
    }
    return object_store::parse_s3_uri(uri);
}

}  // namespace millwright::resources
