// What a training job leaves: /opt/ml/model and /opt/ml/output/data of all hosts, as tar.gz or as single objects.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "object_store/object_store.h"

namespace millwright::executors {

enum class ArtifactForm { TarGzip, Files };

struct ArtifactPaths {
    std::string folder;  // of the run
    int hosts = 1;
};

// Uploads the union over all hosts of `inside` (relative to /opt/ml: "model", "output/data"); of equal names the first
// host's wins. TarGzip: one object <key_prefix><name>.tar.gz, rooted inside the folder, written even when there is
// nothing (when `even_if_empty`). Files: objects <key_prefix><name>/<path>. The same input gives the same bytes, so it
// may be repeated after a crash. Returns the URI of the archive or of the prefix; empty when nothing was uploaded.
// InvalidInput: a file that cannot be packed (unreadable, too many, too deep); NotFound: no bucket.
struct ArtifactRequest {
    std::string inside;          // "model"
    std::string name;            // "model"
    object_store::S3Uri target;  // bucket and key prefix, ends with '/'
    ArtifactForm form = ArtifactForm::TarGzip;
    bool even_if_empty = false;
};
Result<std::string> upload_artifacts(object_store::ObjectStore& store, const ArtifactPaths& paths,
                                     const ArtifactRequest& request);

}  // namespace millwright::executors
