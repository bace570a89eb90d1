// The way to a replica over its unix socket or TCP port, with kept-alive connections.
#pragma once

#include <memory>
#include <string>

#include "resources/endpoints/routes.h"

namespace millwright::inference {

// `address`: see resources::OpenChannel. `max_answer_bytes`: what a replica may answer. One that is no address answers
// nothing.
std::shared_ptr<resources::ReplicaChannel> open_replica_channel(const std::string& address, size_t max_answer_bytes);

}  // namespace millwright::inference
