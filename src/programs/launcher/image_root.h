// The file system of a host whose run has an image: the layers of the image below a writable layer of the host's own,
// with /proc, /dev, /sys, names and /opt/ml as every run has them. Nothing of the machine's files is in it.
#pragma once

#include "base/result.h"
#include "executors/process/launch_spec.h"

namespace millwright::launcher {

// As enter_private_root(). Changes lie in <folder>/<algo-N>/layers/image/upper; where overlayfs is refused the layers
// are copied to layers/image/copy instead.
Result<void> enter_image_root(const executors::LaunchSpec& spec, int host);
// The image's working folder is made where the image lacks it.
Result<void> enter_work_folder_of_image(const executors::LaunchSpec& spec);

}  // namespace millwright::launcher
