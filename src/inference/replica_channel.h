// The way to a replica over its unix socket, with kept-alive connections.
#pragma once

#include <memory>
#include <string>

#include "resources/endpoints/routes.h"

namespace millwright::inference {

// `max_answer_bytes`: what a replica may answer.
std::shared_ptr<resources::ReplicaChannel> open_replica_channel(const std::string& socket, size_t max_answer_bytes);

}  // namespace millwright::inference
