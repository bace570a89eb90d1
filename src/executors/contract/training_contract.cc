#include "executors/contract/training_contract.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/files.h"
#include "executors/contract/feed_spec.h"

namespace millwright::executors {
namespace {

constexpr const char* kGroup = "homogeneousCluster";
constexpr const char* kInterface = "eth0";

std::vector<std::string> sorted_hosts(int first, int count) {
    std::vector<std::string> hosts;
    for (int i = first; i < first + count; ++i) hosts.push_back(algo_name(i));
    std::sort(hosts.begin(), hosts.end());
    return hosts;
}

Json to_array(const std::vector<std::string>& texts) {
    auto array = Json::array();
    for (const auto& text : texts) array.push_back(text);
    return array;
}

bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string manifest_text(const ChannelContent& content) {
    std::string text = content.prefix_uri + "\n";
    for (const auto& object : content.objects) text += "s3://" + object.bucket + "/" + object.key + "\n";
    return text;
}

const InstanceGroup* group_of(const TrainingDescription& training, int host) {
    for (const auto& group : training.groups) {
        if (host < group.hosts) return &group;
        host -= group.hosts;
    }
    return nullptr;
}

bool has_channel(const TrainingDescription& training, const Channel& channel, int host) {
    const auto& wanted = channel.instance_groups;
    if (wanted.empty()) return true;
    const auto* group = group_of(training, host);
    return group && std::find(wanted.begin(), wanted.end(), group->name) != wanted.end();
}

const char* mode_name(Channel::Mode mode) {
    switch (mode) {
        case Channel::Mode::File:
            break;
        case Channel::Mode::Pipe:
            return "Pipe";
        case Channel::Mode::FastFile:
            return "FastFile";
    }
    return "File";
}

Result<void> write_configs(const TrainingDescription& training, const std::string& ml, int host) {
    const auto config = ml + "/input/config/";
    TRY(make_directories(config));
    const auto hyperparameters = training.hyperparameters.is_object() ? training.hyperparameters : Json::object();
    TRY(write_file(config + "hyperparameters.json", hyperparameters.dump()));
    TRY(write_file(config + "inputdataconfig.json", input_data_config(training, host).dump()));
    TRY(write_file(config + "resourceconfig.json", resource_config(training, host).dump()));
    for (const auto& [name, document] : training.further_configs) {
        TRY(write_file(config + name + ".json", document.dump()));
    }
    return {};
}

// What becomes of the channels, one after the other.
class Staging {
  public:
    Staging(object_store::ObjectStore& store, const TrainingDescription& training, const std::string& folder,
            const std::atomic<bool>& stop)
        : store_(store), training_(training), folder_(folder), stop_(stop), feed_{folder, {}} {}

    Result<void> add(const Channel& channel) {
        const auto hosts = hosts_of(training_, channel);
        for (const int host : hosts) TRY(make_directories(input_of(host)));
        if (channel.source == Channel::Source::FileSystem) {
            auto source = TRY(resolve_directory(channel));
            const auto mode = channel.writable ? Mount::Mode::Writable : Mount::Mode::ReadOnly;
            mount(channel, std::move(source), mode, hosts);
            tree_.mounts.back().through_links = false;
            return {};
        }
        const auto content = TRY(resolve_channel(store_, channel));
        if (training_.check_readable)
            for (const auto& object : content.objects) TRY(training_.check_readable(object.bucket, object.key));
        const auto manifest = manifest_text(content);
        for (const int host : hosts) TRY(write_file(input_of(host) + channel.name + "-manifest", manifest));
        return channel.mode == Channel::Mode::Pipe ? feed(channel, content, hosts) : link(channel, content, hosts);
    }

    Result<void> add_checkpoints(const CheckpointPlace& place) {
        const auto keys = TRY(restore_checkpoints(store_, place.uri, folder_, training_.hosts, stop_));
        tree_.mounts.push_back({folder_ + "/{host}/" + kCheckpointFolder, place.local_path, Mount::Mode::Writable});
        std::string manifest = "s3://" + place.uri.bucket + "/" + place.uri.key + "\n";
        for (const auto& key : keys) manifest += "s3://" + place.uri.bucket + "/" + key + "\n";
        for (int host = 0; host < training_.hosts; ++host) {
            const auto path = input_of(host) + "checkpoints-manifest";
            if (!file_exists(path)) TRY(write_file(path, manifest));  // a channel may have taken the name
        }
        return {};
    }

    Result<void> add_live_outputs() {
        for (size_t i = 0; i < training_.live_outputs.size(); ++i) {
            const auto& target = training_.live_outputs[i].mount_at;
            if (target.empty()) continue;
            const auto inside = live_output_folder(training_, i);
            for (int host = 0; host < training_.hosts; ++host)
                TRY(make_directories(folder_ + "/" + algo_name(host) + "/" + inside));
            tree_.mounts.push_back({folder_ + "/{host}/" + inside, target, Mount::Mode::Writable});
        }
        return {};
    }

    Result<StagedTree> finish() && {
        if (feed_.channels.empty()) return std::move(tree_);
        const auto file = folder_ + "/" + kFeedFile;
        TRY(write_file(file, encode_feed_spec(feed_), 0600));
        tree_.companions.push_back({kFeederProgram, file});
        return std::move(tree_);
    }

  private:
    std::string input_of(int host) const { return folder_ + "/" + algo_name(host) + "/ml/input/data/"; }

    void mount(const Channel& channel, std::string source, Mount::Mode mode, const std::vector<int>& hosts) {
        Mount one{std::move(source), "/opt/ml/input/data/" + channel.name, mode};
        if (hosts.size() != static_cast<size_t>(training_.hosts)) one.hosts = hosts;
        tree_.mounts.push_back(std::move(one));
    }

    Result<void> link(const Channel& channel, const ChannelContent& content, const std::vector<int>& hosts) {
        const auto mode = channel.mode == Channel::Mode::FastFile ? Mount::Mode::ReadOnly : Mount::Mode::Overlay;
        for (const int host : hosts) TRY(make_directories(input_of(host) + channel.name));
        const bool sharded = channel.distribution == Channel::Distribution::ShardedByS3Key && hosts.size() > 1;
        if (!sharded) {
            const auto source = folder_ + "/shared/channels/" + channel.name;
            const auto all = shard_of(content.objects.size(), Channel::Distribution::FullyReplicated, 0, 1);
            TRY(link_channel(store_, content, all, source, stop_));
            mount(channel, source, mode, hosts);
            return {};
        }
        for (size_t rank = 0; rank < hosts.size(); ++rank) {
            const auto shard = shard_of(content.objects.size(), channel.distribution, rank, hosts.size());
            TRY(link_channel(store_, content, shard,
                             folder_ + "/" + algo_name(hosts[rank]) + "/channels/" + channel.name, stop_));
        }
        mount(channel, folder_ + "/{host}/channels/" + channel.name, mode, hosts);
        return {};
    }

    Result<void> feed(const Channel& channel, const ChannelContent& content, const std::vector<int>& hosts) {
        TRY(link_feed(store_, content, feed_folder(folder_, feed_.channels.size()), stop_));
        FeedChannel feed;
        feed.name = channel.name;
        feed.objects = content.objects.size();
        const bool augmented = channel.source == Channel::Source::AugmentedManifest;
        feed.items_per_record = augmented ? channel.attribute_names.size() : 0;
        feed.records = augmented ? content.records : content.objects.size();
        feed.sharded = channel.distribution == Channel::Distribution::ShardedByS3Key;
        feed.gunzip = channel.gunzip;
        feed.wrap_in_recordio = channel.wrap_in_recordio;
        feed.shuffle_seed = channel.shuffle_seed;
        for (const int host : hosts) {
            feed.hosts.push_back(algo_name(host));
            // There when the job starts: some readers look for it to tell the mode.
            const auto fifo = input_of(host) + channel.name + "_0";
            if (mkfifo(fifo.c_str(), 0644) != 0) return error_from_errno("cannot make " + fifo);
        }
        feed_.channels.push_back(std::move(feed));
        return {};
    }

    object_store::ObjectStore& store_;
    const TrainingDescription& training_;
    const std::string& folder_;
    const std::atomic<bool>& stop_;
    StagedTree tree_;
    FeedSpec feed_;
};

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
    for (const auto& pipe : channels) {
        if (pipe.mode != Channel::Mode::Pipe) continue;
        for (const auto& name : taken) {
            if (name.starts_with(pipe.name + "_") && is_number(std::string_view(name).substr(pipe.name.size() + 1)))
                return invalid_input("The channel name '" + name + "' is that of an epoch of the Pipe channel '" +
                                     pipe.name + "'.");
        }
    }
    return {};
}

std::vector<int> hosts_of(const TrainingDescription& training, const Channel& channel) {
    std::vector<int> hosts;
    for (int host = 0; host < training.hosts; ++host) {
        if (has_channel(training, channel, host)) hosts.push_back(host);
    }
    return hosts;
}

std::string live_output_folder(const TrainingDescription& training, size_t index) {
    const auto& output = training.live_outputs[index];
    return output.mount_at.empty() ? "ml/" + output.inside : "live/" + std::to_string(index);
}

Json resource_config(const TrainingDescription& training, int host) {
    const std::vector<InstanceGroup> one = {{kGroup, training.instance_type, training.hosts}};
    auto groups = Json::array();
    std::string group_name, instance_type;
    int first = 0;
    for (const auto& group : training.groups.empty() ? one : training.groups) {
        const auto names = to_array(sorted_hosts(first, group.hosts));
        groups.push_back(Json::object(
            {{"instance_group_name", group.name}, {"instance_type", group.instance_type}, {"hosts", names}}));
        if (host >= first && host < first + group.hosts) {
            group_name = group.name;
            instance_type = group.instance_type;
        }
        first += group.hosts;
    }
    return Json::object({
        {"current_host", algo_name(host)},
        {"current_instance_type", instance_type},
        {"current_group_name", group_name},
        {"hosts", to_array(sorted_hosts(0, training.hosts))},
        {"instance_groups", std::move(groups)},
        {"network_interface_name", kInterface},
    });
}

Json input_data_config(const TrainingDescription& training, int host) {
    auto config = Json::object();
    for (const auto& channel : training.channels) {
        if (!has_channel(training, channel, host)) continue;
        const bool sharded = channel.distribution == Channel::Distribution::ShardedByS3Key;
        auto entry = Json::object({{"TrainingInputMode", mode_name(channel.mode)},
                                   {"S3DistributionType", sharded ? "ShardedByS3Key" : "FullyReplicated"},
                                   {"RecordWrapperType", channel.wrap_in_recordio ? "RecordIO" : "None"}});
        if (!channel.content_type.empty()) entry.set("ContentType", channel.content_type);
        config.set(channel.name, std::move(entry));
    }
    return config;
}

Result<StagedTree> write_training_tree(object_store::ObjectStore& store, const TrainingDescription& training,
                                       const std::string& folder, const std::atomic<bool>& stop) {
    TRY(check_channel_names(training.channels));
    for (int host = 0; host < training.hosts; ++host) {
        const auto ml = folder + "/" + algo_name(host) + "/ml";
        for (const char* inside : {"/input/data", "/model", "/output/data", "/output/metrics/sagemaker"})
            TRY(make_directories(ml + inside));
        TRY(write_configs(training, ml, host));
    }
    Staging staging(store, training, folder, stop);
    for (const auto& channel : training.channels) TRY(staging.add(channel));
    if (training.checkpoints) TRY(staging.add_checkpoints(*training.checkpoints));
    TRY(staging.add_live_outputs());
    return std::move(staging).finish();
}

}  // namespace millwright::executors
