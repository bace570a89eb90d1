#include "executors/contract/training_contract.h"

#include <algorithm>
#include <set>

#include "base/files.h"

namespace millwright::executors {
namespace {

constexpr const char* kGroup = "homogeneousCluster";
constexpr const char* kInterface = "eth0";

std::vector<std::string> sorted_hosts(int count) {
    std::vector<std::string> hosts;
    for (int i = 0; i < count; ++i) hosts.push_back(algo_name(i));
    std::sort(hosts.begin(), hosts.end());
    return hosts;
}

Json to_array(const std::vector<std::string>& texts) {
    auto array = Json::array();
    for (const auto& text : texts) array.push_back(text);
    return array;
}

std::string manifest_text(const ChannelContent& content) {
    std::string text = content.prefix_uri + "\n";
    for (const auto& object : content.objects) text += "s3://" + object.bucket + "/" + object.key + "\n";
    return text;
}

Result<void> write_configs(const TrainingDescription& training, const std::string& ml, int host) {
    const auto config = ml + "/input/config/";
    TRY(make_directories(config));
    const auto hyperparameters = training.hyperparameters.is_object() ? training.hyperparameters : Json::object();
    TRY(write_file(config + "hyperparameters.json", hyperparameters.dump()));
    TRY(write_file(config + "inputdataconfig.json", input_data_config(training).dump()));
    TRY(write_file(config + "resourceconfig.json", resource_config(training, host).dump()));
    for (const auto& [name, document] : training.further_configs) {
        TRY(write_file(config + name + ".json", document.dump()));
    }
    return {};
}

Result<void> write_host(const TrainingDescription& training, const std::vector<ChannelContent>& contents,
                        const std::string& ml, int host) {
    for (const char* folder : {"/input/data", "/model", "/output/data", "/output/metrics/sagemaker"}) {
        TRY(make_directories(ml + folder));
    }
    TRY(write_configs(training, ml, host));
    for (size_t i = 0; i < contents.size(); ++i) {
        const auto target = ml + "/input/data/" + training.channels[i].name;
        TRY(make_directories(target));
        TRY(write_file(target + "-manifest", manifest_text(contents[i])));
    }
    return {};
}

// Returns the source of the channel's mount.
Result<std::string> stage_channel(object_store::ObjectStore& store, const TrainingDescription& training,
                                  const Channel& channel, const ChannelContent& content, const std::string& folder,
                                  const std::atomic<bool>& stop) {
    const auto hosts = static_cast<size_t>(training.hosts);
    const bool sharded = channel.distribution == Channel::Distribution::ShardedByS3Key && hosts > 1;
    if (!sharded) {
        const auto source = folder + "/shared/channels/" + channel.name;
        const auto all = shard_of(content.objects.size(), Channel::Distribution::FullyReplicated, 0, 1);
        TRY(link_channel(store, content, all, source, stop));
        return source;
    }
    for (size_t rank = 0; rank < hosts; ++rank) {
        const auto shard = shard_of(content.objects.size(), channel.distribution, rank, hosts);
        TRY(link_channel(store, content, shard,
                         folder + "/" + algo_name(static_cast<int>(rank)) + "/channels/" + channel.name, stop));
    }
    return folder + "/{host}/channels/" + channel.name;
}

}  // namespace

std::string algo_name(int index) { return "algo-" + std::to_string(index + 1); }

Result<void> check_channel_names(const std::vector<Channel>& channels) {
    std::set<std::string> taken;
    for (const auto& channel : channels) {
        const bool usable = channel.name != "." && channel.name != ".." && channel.name.find('/') == std::string::npos;
        if (!usable || channel.name.empty())
            return invalid_input("'" + channel.name + "' cannot be the name of a channel.");
        if (!taken.insert(channel.name).second || !taken.insert(channel.name + "-manifest").second) {
            return invalid_input("The channel name '" + channel.name + "' is used twice.");
        }
    }
    return {};
}

Json resource_config(const TrainingDescription& training, int host) {
    const auto hosts = to_array(sorted_hosts(training.hosts));
    return Json::object({
        {"current_host", algo_name(host)},
        {"current_instance_type", training.instance_type},
        {"current_group_name", kGroup},
        {"hosts", hosts},
        {"instance_groups",
         Json::array({Json::object(
             {{"instance_group_name", kGroup}, {"instance_type", training.instance_type}, {"hosts", hosts}})})},
        {"network_interface_name", kInterface},
    });
}

Json input_data_config(const TrainingDescription& training) {
    auto config = Json::object();
    for (const auto& channel : training.channels) {
        const bool sharded = channel.distribution == Channel::Distribution::ShardedByS3Key;
        auto entry = Json::object({{"TrainingInputMode", "File"},
                                   {"S3DistributionType", sharded ? "ShardedByS3Key" : "FullyReplicated"},
                                   {"RecordWrapperType", "None"}});
        if (!channel.content_type.empty()) entry.set("ContentType", channel.content_type);
        config.set(channel.name, std::move(entry));
    }
    return config;
}

Result<StagedTree> write_training_tree(object_store::ObjectStore& store, const TrainingDescription& training,
                                       const std::string& folder, const std::atomic<bool>& stop) {
    TRY(check_channel_names(training.channels));
    StagedTree tree;
    auto& mounts = tree.mounts;
    std::vector<ChannelContent> contents;
    for (const auto& channel : training.channels) {
        auto content = TRY(resolve_channel(store, channel));
        auto source = TRY(stage_channel(store, training, channel, content, folder, stop));
        mounts.push_back({std::move(source), "/opt/ml/input/data/" + channel.name, Mount::Mode::Overlay});
        contents.push_back(std::move(content));
    }
    for (int host = 0; host < training.hosts; ++host) {
        TRY(write_host(training, contents, folder + "/" + algo_name(host) + "/ml", host));
    }
    if (training.checkpoints) {
        TRY(restore_checkpoints(store, training.checkpoints->uri, folder, training.hosts, stop));
        mounts.push_back(
            {folder + "/{host}/" + kCheckpointFolder, training.checkpoints->local_path, Mount::Mode::Writable});
    }
    return tree;
}

}  // namespace millwright::executors
