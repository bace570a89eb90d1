// The contract of a training container, from a description in our own terms to files and mounts:
//
//   <folder>/algo-N/ml/            becomes /opt/ml of host N
//     input/config/*.json          hyperparameters, inputdataconfig, resourceconfig, … in the exact form
//     input/data/<channel>/        mount point; the files are in <folder>/shared/channels or <folder>/algo-N/channels
//     input/data/<channel>_0       Pipe channels: the first FIFO; the feeder makes the others, see feed_spec.h
//     input/data/<channel>-manifest, checkpoints-manifest
//     model/ output/data/ output/metrics/sagemaker/ …
//   <folder>/algo-N/checkpoints/   is shown at the LocalPath of the checkpoint configuration
//
// Channel files are links into the object store, so nothing is copied: File mode shows them through an overlay, into
// which jobs may write, FastFile mode read-only.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/channel.h"
#include "executors/contract/checkpoints.h"
#include "executors/executor.h"

namespace millwright::executors {

// Hosts of one kind. Hosts are numbered through the groups in their order.
struct InstanceGroup {
    std::string name, instance_type;
    int hosts = 1;
};

// A folder whose files go to S3 while the job runs and once more after its end: tensors, TensorBoard and
// profiler data.
struct LiveOutput {
    std::string inside;       // relative to /opt/ml: "output/tensors"; the job makes the folder
    object_store::S3Uri uri;  // the key ends with '/'
    std::string mount_at{};   // elsewhere than in /opt/ml/output: a folder of the run is shown here
};

struct TrainingDescription {
    std::string instance_type;  // of all hosts, unless there are groups
    int hosts = 1;              // all groups together
    Json hyperparameters;       // object of strings; null: none
    std::vector<Channel> channels;
    std::optional<CheckpointPlace> checkpoints;
    // Further input/config/<name>.json, as they are: "checkpointconfig", "debughookconfig", …
    std::vector<std::pair<std::string, Json>> further_configs;
    std::vector<InstanceGroup> groups{};  // empty: one, "homogeneousCluster"
    std::vector<LiveOutput> live_outputs{};
    // Asked for every object of a channel before any is shown; unset: all may be read.
    std::function<Result<void>(const std::string& bucket, const std::string& key)> check_readable{};
};

// What the tree adds to the run.
struct StagedTree {
    std::vector<Mount> mounts;
    // Feeders of Pipe channels, see RunSpec; the program by its name only, the caller knows where programs lie.
    std::vector<std::vector<std::string>> companions;
};

// The service model allows "." and ".." as channel names, and a channel named like the "-manifest" or a FIFO of
// another.
Result<void> check_channel_names(const std::vector<Channel>& channels);

std::string algo_name(int index);  // 0 -> "algo-1"

// Writes the tree and returns the mounts and feeders of its channels and checkpoints. REQUIRES: `folder` is empty.
// InvalidInput and NotFound are faults of the user's data ("ClientError: …"); Conflict: `stop` was set.
Result<StagedTree> write_training_tree(object_store::ObjectStore& store, const TrainingDescription& training,
                                       const std::string& folder, const std::atomic<bool>& stop);

// Of live output `index`, relative to the folder of a host.
std::string live_output_folder(const TrainingDescription& training, size_t index);

Json resource_config(const TrainingDescription& training, int host);
Json input_data_config(const TrainingDescription& training, int host);
// Indexes of the hosts that have the channel, in order: its ranks.
std::vector<int> hosts_of(const TrainingDescription& training, const Channel& channel);

}  // namespace millwright::executors
