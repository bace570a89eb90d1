// What a request of the distribution API is for, from its path.
//
//   /v2/                                    Base
//   /v2/_catalog                            Catalog
//   /v2/<name>/tags/list                    Tags
//   /v2/<name>/manifests/<tag or digest>    Manifest
//   /v2/<name>/blobs/<digest>               Blob
//   /v2/<name>/blobs/uploads/               Uploads
//   /v2/<name>/blobs/uploads/<id>           Upload
//   /v2/<name>/referrers/<digest>           Referrers
//
// Names may themselves have parts called "blobs" and the like, so paths are read from their end.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::services {

struct RegistryTarget {
    enum class Kind { Base, Catalog, Tags, Manifest, Blob, Uploads, Upload, Referrers };
    Kind kind = Kind::Base;
    std::string repository;  // a valid name; empty for Base and Catalog
    std::string item;        // tag, digest or id; as a tag or a digest valid, else anything without '/'
};

// `path` still percent-encoded. NotFound: no such path. InvalidInput with registry::reason::kRepositoryName, kTag or
// kDigest.
Result<RegistryTarget> find_registry_target(std::string_view path);

}  // namespace millwright::services
