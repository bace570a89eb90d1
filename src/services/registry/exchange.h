// One request of the distribution API on its way through its operation.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/service.h"
#include "net/http.h"
#include "registry/registry.h"
#include "services/registry/errors.h"
#include "services/registry/registry_service.h"
#include "services/registry/target.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;

struct RegistryExchange {
    const aws::Call& call;
    net::Request& request;
    net::ResponseWriter& response;
    const RegistryParts& parts;
    RegistryTarget target;
    registry::RepositoryName repository;  // of the target; its name is empty for Base and Catalog
    std::vector<std::pair<std::string, std::string>> query;

    registry::Registry& registry() const { return parts.registry; }
    std::optional<std::string> parameter(std::string_view name) const;
    std::string header(std::string_view name) const { return request.headers.get(name); }
    bool head() const { return request.method == "HEAD"; }
    // "/v2/<name>/<rest>"
    std::string path(std::string_view rest) const;

    ApiResult<void> send_json(const Json& body, net::Headers headers = {}) const;
    ApiResult<void> send_empty(int status, net::Headers headers = {}) const;
};

// What page is asked for: ?n=100&last=x
struct PageAsked {
    size_t limit = 0;
    std::string last;
};
ApiResult<PageAsked> page_asked(const RegistryExchange& exchange);
// Link: </v2/…?n=…&last=…>; rel="next"
std::string next_page_link(std::string_view path, std::string_view query);

registry::Source body_source(net::Request& request);

// The permission `action` on `repository`; DENIED otherwise.
ApiResult<void> require_registry(const RegistryExchange& exchange, const registry::RepositoryName& repository,
                                 std::string_view action);
// For what is pushed: the repository is there afterwards, or NAME_UNKNOWN.
ApiResult<void> provide_repository(const RegistryExchange& exchange);

// uploads.cc
ApiResult<void> begin_upload(const RegistryExchange& exchange);
ApiResult<void> show_upload(const RegistryExchange& exchange);
ApiResult<void> continue_upload(const RegistryExchange& exchange);
ApiResult<void> complete_upload(const RegistryExchange& exchange);
ApiResult<void> abort_upload(const RegistryExchange& exchange);
// blobs.cc
ApiResult<void> show_blob(const RegistryExchange& exchange);
ApiResult<void> get_blob(const RegistryExchange& exchange);
ApiResult<void> delete_blob(const RegistryExchange& exchange);
// manifests.cc
ApiResult<void> get_manifest(const RegistryExchange& exchange);
ApiResult<void> put_manifest(const RegistryExchange& exchange);
ApiResult<void> delete_manifest(const RegistryExchange& exchange);
ApiResult<void> list_referrers(const RegistryExchange& exchange);
// tags.cc
ApiResult<void> list_tags(const RegistryExchange& exchange);
ApiResult<void> list_catalog(const RegistryExchange& exchange);

}  // namespace millwright::services
