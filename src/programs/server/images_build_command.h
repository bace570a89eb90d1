// `millwright images build NAME…`: the prebuilt images, made by the container engine of this machine.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

struct ImagesBuildArguments {
    std::vector<std::string> names;       // see resources::find_prebuilt_image; empty: all
    std::string base = "debian:12-slim";  // what the base image is made from
    std::string network = "host";         // of the build's steps: pip's indexes are configured for this machine
    std::string context;                  // instead of building: write the context of one image to this folder
    bool gpu = false;
    bool no_cache = false;
    bool use = false;  // of frameworks: jobs and models that name AWS's images get these, by aliases
};

// Prints the names of what it has built to stdout, progress to stderr. `programs` is the folder of our programs.
Result<void> run_images_build_command(const Config& config, const ImagesBuildArguments& arguments,
                                      const std::string& programs);

}  // namespace millwright::programs
