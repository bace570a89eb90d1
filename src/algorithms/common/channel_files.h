// The data files of a channel, whatever its input mode.
#pragma once

#include <string>
#include <vector>

#include "algorithms/common/readers.h"
#include "algorithms/common/training_environment.h"

namespace millwright::algorithms {

// File and FastFile: list_channel_files() of the channel's folder. Pipe: one epoch, put down as a file in
// `scratch_folder`, because readers look at their input more than once; one file, or none when the epoch is empty.
// NotFound: the channel has neither folder nor pipe.
Result<std::vector<std::string>> channel_files(const Channel& channel, const FolderRules& rules,
                                               const std::string& scratch_folder = "/tmp");

}  // namespace millwright::algorithms
