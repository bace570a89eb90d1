// Amazon S3 over the object store: rest-xml, path style and virtual-host style.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "aws/service.h"
#include "base/time.h"
#include "object_store/object_store.h"

namespace millwright::s3 {

struct S3Settings {
    // Host names this server is known by. "bucket.<domain>" names a bucket, "<domain>" itself and any other host mean
    // path style; "s3.<region>.amazonaws.com" is understood always (clients behind the proxy).
    std::vector<std::string> domains = {"localhost"};
    // New buckets as AWS made them before April 2023: with access control lists, and nothing blocks public access.
    bool open_buckets = false;
    // Who may sign forms (POST uploads); without it they are refused. Outlives the service, as does the clock.
    const aws::CredentialSource* credentials = nullptr;
    const Clock* clock = &system_clock();
    // The accounts of this server: whom access control lists can name.
    std::function<std::vector<std::string>()> accounts = {};
};

// REQUIRES: store outlives the service.
aws::Service s3_service(object_store::ObjectStore& store, S3Settings settings = {});

}  // namespace millwright::s3
