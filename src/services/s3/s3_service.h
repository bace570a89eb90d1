// Amazon S3 over the object store: rest-xml, path style and virtual-host style.
#pragma once

#include <string>
#include <vector>

#include "aws/service.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

struct S3Settings {
    // Host names this server is known by. "bucket.<domain>" names a bucket, "<domain>" itself and any other host mean
    // path style; "s3.<region>.amazonaws.com" is understood always (clients behind the proxy).
    std::vector<std::string> domains = {"localhost"};
};

// REQUIRES: store outlives the service.
aws::Service s3_service(object_store::ObjectStore& store, S3Settings settings = {});

}  // namespace millwright::s3
