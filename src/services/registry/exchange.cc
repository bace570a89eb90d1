#include "services/registry/exchange.h"

#include <algorithm>

#include "base/strings.h"
#include "services/registry/repository_access.h"

namespace millwright::services {
namespace {

constexpr size_t kMostOfAPage = 1000;

}  // namespace

std::optional<std::string> RegistryExchange::parameter(std::string_view name) const {
    for (const auto& [key, value] : query)
        if (key == name) return value;
    return std::nullopt;
}

std::string RegistryExchange::path(std::string_view rest) const {
    return "/v2/" + repository.name + "/" + std::string(rest);
}

ApiResult<void> RegistryExchange::send_json(const Json& body, net::Headers headers) const {
    if (!headers.has("Content-Type")) headers.add("Content-Type", "application/json");
    TRY(response.send(200, headers, body.dump()));
    return {};
}

ApiResult<void> RegistryExchange::send_empty(int status, net::Headers headers) const {
    TRY(head() || status == 304 ? response.send_headers_only(status, headers, 0) : response.send(status, headers, ""));
    return {};
}

ApiResult<PageAsked> page_asked(const RegistryExchange& exchange) {
    PageAsked page{kMostOfAPage, exchange.parameter("last").value_or("")};
    const auto count = exchange.parameter("n");
    if (!count) return page;
    const auto number = parse_int(*count);
    if (!number || *number < 0) return ApiError{400, "PAGINATION_NUMBER_INVALID", "n is a whole number, 0 or more"};
    page.limit = std::min(static_cast<size_t>(*number), kMostOfAPage);
    return page;
}

std::string next_page_link(std::string_view path, std::string_view query) {
    return "<" + std::string(path) + "?" + std::string(query) + ">; rel=\"next\"";
}

registry::Source body_source(net::Request& request) {
    return [&request](std::span<char> buffer) { return request.body->read(buffer); };
}

ApiResult<void> require_registry(const RegistryExchange& exchange, const registry::RepositoryName& repository,
                                 std::string_view action) {
    auto access =
        TRY(in_registry(repository_access(exchange.registry(), exchange.parts.tags, repository, std::string(action))));
    // Without a repository: what the account has.
    if (repository.name.empty()) access.resource = "*";
    auto allowed = exchange.call.require(access);
    if (allowed) return {};
    const ApiError& refusal = allowed.error();
    if (refusal.code != "AccessDeniedException") return refusal;
    return ApiError{403, "DENIED", refusal.message};
}

ApiResult<void> provide_repository(const RegistryExchange& exchange) {
    const auto& name = exchange.repository;
    const auto found = exchange.registry().find_repository(name);
    if (found) return {};
    if (found.error().kind != ErrorKind::NotFound || !exchange.parts.create_on_push)
        return registry_error(found.error());
    const auto access =
        TRY(in_registry(repository_access(exchange.registry(), exchange.parts.tags, name, "ecr:CreateRepository")));
    if (!TRY(exchange.call.may(access))) return registry_error(found.error());
    const auto made = exchange.registry().create_repository(name, false, [&](metadata_store::Transaction& tx) {
        return exchange.parts.tags.register_in(tx, registry::arn_of(name), {});
    });
    if (!made && made.error().kind != ErrorKind::AlreadyExists) return registry_error(made.error());
    return {};
}

}  // namespace millwright::services
