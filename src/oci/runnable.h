// Reads what an image says about itself, and tells whether this machine can run it.
#pragma once

#include "oci/image.h"
#include "oci/image_source.h"

namespace millwright::oci {

// One image, as it lies in a source.
struct FoundImage {
    Reference reference;
    FoundManifest manifest;
};
struct RunnableImage {
    FoundImage found;
    Manifest manifest;
    ImageConfig config;
};

// Of an index the image for this machine, by its digest; any other manifest as it is. NotFound: there is none, and
// which there are.
Result<FoundImage> for_this_machine(ImageSource& source, FoundImage found);
// InvalidInput, with a message for its user: an artifact that is not an image, one for another system or architecture,
// damaged or of an unknown kind. REQUIRES: `found` is no index.
Result<RunnableImage> open_runnable(ImageSource& source, FoundImage found);

}  // namespace millwright::oci
