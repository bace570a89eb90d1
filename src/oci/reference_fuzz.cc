// A name of an image has one spelling, and nothing in it leaves the folder or the line it is put into.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::oci;
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (const auto host = parse_ecr_host(text)) CHECK(host->account.size() == 12 && !host->region.empty());
    const auto found = parse_reference(text);
    if (!found) return 0;
    CHECK(is_repository_name(found->repository) && found->repository.find("..") == std::string::npos);
    CHECK(found->tag.empty() ? is_digest(found->digest) : is_tag(found->tag));
    const std::string spelled = to_string(*found);
    CHECK(spelled.find_first_of(" \r\n%\\?#") == std::string::npos);
    const auto again = parse_reference(spelled);
    CHECK(again && to_string(*again) == spelled && again->host == found->host && again->tag == found->tag);
    return 0;
}
