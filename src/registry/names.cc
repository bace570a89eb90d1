#include "oci/reference.h"
#include "registry/registry.h"

namespace millwright::registry {

std::string arn_of(const RepositoryName& name) {
    return "arn:aws:ecr:" + name.region + ":" + name.account + ":repository/" + name.name;
}

std::string uri_of(const RepositoryName& name) {
    return oci::to_string(oci::EcrHost{name.account, name.region}) + "/" + name.name;
}

}  // namespace millwright::registry
