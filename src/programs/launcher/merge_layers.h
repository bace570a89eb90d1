// What overlayfs shows of several layers, as copies: for machines that do not permit it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::launcher {

// `layers`, the lowest first, in the form of overlayfs with user.overlay.* attributes: a character device 0:0 removes
// what lies below, a folder with user.overlay.opaque hides it. `target` exists and is empty. Hard links within a layer,
// modes, owners (for root) and times are kept; blocks are shared where the file system can.
Result<void> merge_layers(const std::vector<std::string>& layers, const std::string& target);

}  // namespace millwright::launcher
