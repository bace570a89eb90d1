// Which bucket and key a request means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"

namespace millwright::s3 {

struct Target {
    std::string bucket;  // "": the service itself
    std::string key;     // "": the bucket
};

// The bucket in the host name, or "" for path style. `host`: the Host header, with or without port.
std::string bucket_of_host(std::string_view host, const std::vector<std::string>& domains);
// `raw_path`: percent-encoded, from the first '/'. InvalidURI for broken escapes.
aws::ApiResult<Target> find_target(std::string_view host, std::string_view raw_path,
                                   const std::vector<std::string>& domains);

}  // namespace millwright::s3
