// Gets images ready to run: with a container engine it pulls them into the engine, without one it unpacks their layers.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "executors/executor.h"
#include "oci/reference.h"

namespace millwright::executors {

struct ImageRequest {
    oci::Reference reference;
    std::string account, region;  // of the caller; what a reference without a host, or with an ECR host, means
};

// Said while it works, from the calling thread: "Pulling 3 of 7 layers, 41 of 96 MiB". At most a few times a second.
using ImageProgress = std::function<void(const std::string&)>;

// Thread-safe.
class Images {
  public:
    virtual ~Images() = default;
    // Is it there, or can it be had? Quick, pulls nothing. NotFound, InvalidInput: the message is for the user.
    virtual Result<void> look(const ImageRequest& request) = 0;
    // Whether it is on this machine under that very name; quick. False also while what has it does not answer.
    virtual Result<bool> here(const ImageRequest& request) = 0;
    // Pulls or unpacks what is missing; returns at once when nothing is. Two calls for one image share the work.
    // `stop` is asked between pieces: true ends it with Conflict. The layers stay while a run that began with them
    // lives.
    virtual Result<RunImage> prepare(const ImageRequest& request, const ImageProgress& progress,
                                     const std::function<bool()>& stop) = 0;
};

}  // namespace millwright::executors
