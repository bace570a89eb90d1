#include "services/registry/login.h"

#include "base/strings.h"

namespace millwright::services {
namespace {

constexpr std::string_view kScope = "registry login";

}  // namespace

RegistryLogins::Password RegistryLogins::issue(const aws::Caller& caller) const {
    const Timestamp expires = clock_.now() + kLife;
    return {
        tokens_.encode(kScope, {caller.access_key_id, caller.region, std::to_string(to_epoch_milliseconds(expires))}),
        expires};
}

std::optional<RegistryLogins::Claim> RegistryLogins::open(std::string_view password) const {
    const auto position = tokens_.decode(kScope, password);
    if (!position || position->size() != 3) return std::nullopt;
    const auto expires = parse_int((*position)[2]);
    if (!expires || clock_.now() >= from_epoch_milliseconds(*expires)) return std::nullopt;
    return Claim{(*position)[0], (*position)[1]};
}

}  // namespace millwright::services
