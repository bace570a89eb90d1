// Names of container images, in the grammar of the OCI distribution specification and of the Docker CLI:
//
//   [host[:port]/]path[:tag][@sha256:<64 hex digits>]
//
// The first part is a host when it has a dot or a colon, or is "localhost".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::oci {

struct Reference {
    std::string host;        // "123456789012.dkr.ecr.us-west-2.amazonaws.com", "localhost:5000"; empty: none given
    std::string repository;  // "my/image"; lower case
    std::string tag;         // empty when there is a digest alone; "latest" when neither was given
    std::string digest;      // "sha256:…"; empty: none
};

Result<Reference> parse_reference(std::string_view text);  // InvalidInput
std::string to_string(const Reference& reference);

bool is_repository_name(std::string_view text);  // of the distribution specification, at most 256 characters
bool is_tag(std::string_view text);
bool is_digest(std::string_view text);  // sha256 or sha512

// "<account>.dkr.ecr.<region>.amazonaws.com", also ".amazonaws.com.cn" and "dkr.ecr-fips", with or without a port.
struct EcrHost {
    std::string account, region;
};
std::optional<EcrHost> parse_ecr_host(std::string_view host);
std::string to_string(const EcrHost& host);  // the first form

}  // namespace millwright::oci
