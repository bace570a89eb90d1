// What holds for any text that is read as a manifest.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "executors/contract/channel.h"

namespace millwright::executors::fuzzing {

// The items of an accepted augmented manifest are whole, name objects that are there, and are JSON where they are not
// strings.
inline void augmented_manifest(std::string_view text) {
    const std::vector<std::string> attributes = {"a-ref", "b"};
    const auto content = parse_augmented_manifest(text, attributes);
    if (!content) return;
    std::string_view items = content->items;
    for (uint64_t i = 0; i < content->records * attributes.size(); ++i) {
        uint64_t value = 0;
        CHECK(items.size() >= 1 + sizeof value);
        std::memcpy(&value, items.data() + 1, sizeof value);
        CHECK(items[0] == (i % 2 == 0 ? 'o' : 't'));
        if (items[0] == 'o') {
            CHECK(value < content->objects.size());
            value = 0;
        }
        CHECK(items.size() - 1 - sizeof value >= value);
        items.remove_prefix(1 + sizeof value + value);
    }
    CHECK(items.empty());
    for (const auto& object : content->objects) CHECK(object_store::check_key(object.key).has_value());
}

inline void manifest(std::string_view text) {
    const auto content = parse_manifest(text);
    if (!content) return;
    CHECK(!content->objects.empty());
    for (const auto& object : content->objects) {
        CHECK(!object.path.empty() && !object.path.starts_with('/'));
        CHECK(("/" + object.path + "/").find("/../") == std::string::npos);
    }
}

}  // namespace millwright::executors::fuzzing
