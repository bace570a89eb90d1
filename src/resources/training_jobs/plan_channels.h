// The input channels of a CreateTrainingJob request, in our own terms.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/channel.h"
#include "object_store/object_store.h"

namespace millwright::resources {

// InvalidInput: what is not supported or contradicts itself; the message names the channel and the member. File systems
// are named by their id, see below.
Result<std::vector<executors::Channel>> plan_channels(const Json& request);

// Puts the folders of this machine in the place of the ids of file systems. InvalidInput: an id that is not in
// `folders`.
Result<void> find_file_systems(const std::map<std::string, std::string>& folders,
                               std::vector<executors::Channel>& channels);

// "s3://bucket/key"; InvalidInput names `member` when it is anything else.
Result<object_store::S3Uri> parse_s3_member(const std::string& uri, std::string_view member);

}  // namespace millwright::resources
