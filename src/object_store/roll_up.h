// Listing in key order with a delimiter, over anything that can be fetched from a position on.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::object_store {

// Greater than every key that starts with `prefix`, smaller than every greater key that does not: no byte of UTF-8 is
// 0xFF.
inline std::string end_of_prefix(std::string_view prefix) { return std::string(prefix) + '\xFF'; }

// What `key` is rolled up to: everything up to the first delimiter after `prefix`. REQUIRES: key starts with prefix.
inline std::optional<std::string> common_prefix(std::string_view key, std::string_view prefix,
                                                std::string_view delimiter) {
    if (delimiter.empty()) return std::nullopt;
    const size_t found = key.find(delimiter, prefix.size());
    if (found == std::string_view::npos) return std::nullopt;
    return std::string(key.substr(0, found + delimiter.size()));
}

// Where fetching goes on: rows greater than (key, id), or from `key` itself on.
struct Position {
    std::string key;
    std::string id;  // second sort column, where there is one
    bool inclusive = false;
};

struct RollUpRequest {
    std::string_view prefix, delimiter, after_key, after_id;
    size_t limit = 0;  // items and common prefixes together
};

template <typename Item>
struct RolledUp {
    std::vector<Item> items;
    std::vector<std::string> common_prefixes;
    bool truncated = false;
    std::string last_key, last_id;
};

// Where the first fetch of `request` starts.
inline Position first_position(const RollUpRequest& request) {
    const std::string_view after = request.after_key;
    if (after < request.prefix) return {std::string(request.prefix), "", true};
    // Everything under a common prefix that is not greater than `after` has been answered before.
    if (after.starts_with(request.prefix))
        if (const auto rolled = common_prefix(after, request.prefix, request.delimiter))
            return {end_of_prefix(*rolled), "", false};
    return {std::string(after), std::string(request.after_id), after.empty()};
}

// fetch(Position, count) -> Result<vector<Item>>: the next rows in order, within the prefix. Item has `key`;
// id_of(item) is its second sort column.
template <typename Item, typename Fetch, typename IdOf>
Result<RolledUp<Item>> roll_up(const RollUpRequest& request, Fetch fetch, IdOf id_of) {
    RolledUp<Item> page;
    if (request.limit == 0) return page;
    size_t count = 0;
    // Small at first when keys may be rolled up: one common prefix may hide a million of them.
    size_t batch = request.delimiter.empty() ? request.limit + 1 : 32;
    for (Position position = first_position(request);;) {
        const size_t wanted = std::min(batch, request.limit - count + 1);
        std::vector<Item> rows = TRY(fetch(position, wanted));
        const bool exhausted = rows.size() < wanted;
        bool rolled_any = false;
        if (request.delimiter.empty()) page.items.reserve(page.items.size() + rows.size());
        for (Item& row : rows) {
            if (position.key.ends_with('\xFF') && row.key < position.key) continue;  // of the prefix just answered
            if (count == request.limit) {
                page.truncated = true;
                return page;
            }
            ++count;
            if (auto rolled = common_prefix(row.key, request.prefix, request.delimiter)) {
                position = {end_of_prefix(*rolled), "", false};
                page.last_key = *rolled;
                page.last_id.clear();
                page.common_prefixes.push_back(*std::move(rolled));
                rolled_any = true;
            } else {
                position = {row.key, id_of(row), false};
                page.last_key = row.key;
                page.last_id = position.id;
                page.items.push_back(std::move(row));
            }
        }
        if (exhausted) return page;
        batch = rolled_any ? std::max<size_t>(batch / 2, 4) : batch * 2;
    }
}

}  // namespace millwright::object_store
