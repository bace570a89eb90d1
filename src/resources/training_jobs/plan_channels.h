// The input channels of a CreateTrainingJob request, in our own terms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "executors/contract/channel.h"
#include "object_store/object_store.h"

namespace millwright::resources {

// InvalidInput: what is not supported or contradicts itself; the message names the channel and the member.
Result<std::vector<executors::Channel>> plan_channels(const Json& request);

// "s3://bucket/key"; InvalidInput names `member` when it is anything else.
Result<object_store::S3Uri> parse_s3_member(const std::string& uri, std::string_view member);

}  // namespace millwright::resources
