#include <algorithm>

#include "services/registry/exchange.h"

namespace millwright::services {
ApiResult<void> list_tags(const RegistryExchange& exchange) {
    const auto page = TRY(page_asked(exchange));
    const auto tags = TRY(in_registry(exchange.registry().list_tags(exchange.repository, {page.last, page.limit + 1})));
    Json list = Json::array();
    for (size_t i = 0; i < std::min(tags.size(), page.limit); ++i) list.push_back(tags[i]);
    net::Headers headers;
    if (tags.size() > page.limit && page.limit > 0)
        headers.add("Link", next_page_link(exchange.path("tags/list"),
                                           "n=" + std::to_string(page.limit) + "&last=" + tags[page.limit - 1]));
    return exchange.send_json(Json::object({{"name", exchange.repository.name}, {"tags", std::move(list)}}),
                              std::move(headers));
}

ApiResult<void> list_catalog(const RegistryExchange& exchange) {
    const auto page = TRY(page_asked(exchange));
    const auto& place = exchange.repository;
    const auto found = TRY(
        in_registry(exchange.registry().list_repositories(place.account, place.region, {page.last, page.limit + 1})));
    Json list = Json::array();
    for (size_t i = 0; i < std::min(found.size(), page.limit); ++i) list.push_back(found[i].name.name);
    net::Headers headers;
    if (found.size() > page.limit && page.limit > 0)
        headers.add("Link", next_page_link("/v2/_catalog", "n=" + std::to_string(page.limit) +
                                                               "&last=" + found[page.limit - 1].name.name));
    return exchange.send_json(Json::object({{"repositories", std::move(list)}}), std::move(headers));
}

}  // namespace millwright::services
