#include "services/registry/target.h"

#include "base/encoding.h"
#include "base/strings.h"
#include "oci/reference.h"
#include "registry/registry.h"

namespace millwright::services {
namespace {

using Kind = RegistryTarget::Kind;
namespace reason = registry::reason;

Error invalid(std::string message, std::string_view why) {
    return {ErrorKind::InvalidInput, std::move(message), std::string(why)};
}

// Cuts "/<word>" off the end.
bool cut(std::string_view& text, std::string_view word) {
    if (!text.ends_with(word) || text.size() <= word.size() || text[text.size() - word.size() - 1] != '/') return false;
    text.remove_suffix(word.size() + 1);
    return true;
}

Result<Kind> split_kind(std::string_view& rest, std::string_view last) {
    if (last == "list" && cut(rest, "tags")) return Kind::Tags;
    if (cut(rest, "manifests")) return Kind::Manifest;
    if (cut(rest, "referrers")) return Kind::Referrers;
    std::string_view uploads = rest;
    if (cut(uploads, "uploads") && cut(uploads, "blobs")) {
        rest = uploads;
        return last.empty() ? Kind::Uploads : Kind::Upload;
    }
    if (cut(rest, "blobs")) return last == "uploads" ? Kind::Uploads : Kind::Blob;
    return not_found("There is no such path in the registry");
}

Result<void> check_item(const RegistryTarget& target) {
    const bool digest = oci::is_digest(target.item);
    if ((target.kind == Kind::Blob || target.kind == Kind::Referrers) && !digest)
        return invalid("A digest has the form sha256:<64 hex digits> or sha512:<128 hex digits>", reason::kDigest);
    if (target.kind == Kind::Manifest && !digest && !oci::is_tag(target.item)) {
        if (target.item.find(':') != std::string::npos)
            return invalid("A digest has the form sha256:<64 hex digits> or sha512:<128 hex digits>", reason::kDigest);
        return invalid("A tag has 1 to 128 of A-Z a-z 0-9 _ . - and begins with none of . -", reason::kTag);
    }
    return {};
}

}  // namespace

Result<RegistryTarget> find_registry_target(std::string_view path) {
    const std::string decoded = percent_decode(path);
    std::string_view rest = decoded;
    if (rest == "/v2" || rest == "/v2/") return RegistryTarget{};
    if (!rest.starts_with("/v2/")) return not_found("There is no such path in the registry");
    rest.remove_prefix(3);
    if (rest == "/_catalog") return RegistryTarget{Kind::Catalog, "", ""};
    const size_t slash = rest.rfind('/');
    RegistryTarget target;
    target.item = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    target.kind = TRY(split_kind(rest, target.item));
    target.repository = rest.substr(rest.empty() ? 0 : 1);
    if (!oci::is_repository_name(target.repository))
        return invalid("'" + valid_utf8(target.repository.substr(0, 300)) + "' is not the name of a repository",
                       reason::kRepositoryName);
    TRY(check_item(target));
    return target;
}

}  // namespace millwright::services
