#include "resources/training_jobs/plan_channels.h"

#include "executors/contract/training_contract.h"

namespace millwright::resources {

using executors::Channel;

namespace {

Result<Channel::Source> source_of(const std::string& type, const std::string& where) {
    if (type == "S3Prefix") return Channel::Source::S3Prefix;
    if (type == "ManifestFile") return Channel::Source::ManifestFile;
    return invalid_input("Millwright does not support " + where + "DataSource.S3DataSource.S3DataType " + type +
                         ": use S3Prefix or ManifestFile.");
}

Result<Channel> read_channel(const Json& channel, const std::string& default_mode) {
    const auto name = channel["ChannelName"].string_or("");
    const auto where = "InputDataConfig channel '" + name + "' ";
    const auto mode = channel["InputMode"].string_or(default_mode);
    if (mode != "File")
        return invalid_input("Millwright does not support input mode " + mode + " (" + where + "): use File.");
    for (const auto* member : {"CompressionType", "RecordWrapperType"}) {
        const auto value = channel[member].string_or("None");
        if (value != "None")
            return invalid_input(std::string(member) + " " + value + " of " + where +
                                 "is for Pipe mode only; use None.");
    }
    const auto& s3 = channel["DataSource"]["S3DataSource"];
    if (!s3.is_object()) return invalid_input(where + "needs an S3DataSource.");
    Channel result;
    result.name = name;
    result.source = TRY(source_of(s3["S3DataType"].string_or(""), where));
    result.uri = TRY(parse_s3_member(s3["S3Uri"].string_or(""), where + "S3Uri"));
    if (s3["S3DataDistributionType"].string_or("") == "ShardedByS3Key") {
        result.distribution = Channel::Distribution::ShardedByS3Key;
    }
    result.content_type = channel["ContentType"].string_or("");
    return result;
}

}  // namespace

Result<std::vector<Channel>> plan_channels(const Json& request) {
    const auto mode = request["AlgorithmSpecification"]["TrainingInputMode"].string_or("File");
    std::vector<Channel> channels;
    for (const auto& channel : request["InputDataConfig"].items()) channels.push_back(TRY(read_channel(channel, mode)));
    TRY(executors::check_channel_names(channels));
    return channels;
}

Result<object_store::S3Uri> parse_s3_member(const std::string& uri, std::string_view member) {
    if (!uri.starts_with("s3://")) {
        return invalid_input("Millwright does not support the URI '" + uri + "' in " + std::string(member) +
                             ": it must begin with s3://.");
    }
    return object_store::parse_s3_uri(uri);
}

}  // namespace millwright::resources
