#include "programs/server/prices_file.h"

#include <cmath>

#include <toml++/toml.h>

#include "base/files.h"

namespace millwright::programs {
namespace {

using resources::Money;
using resources::OwnPrice;
using resources::OwnPrices;

Error wrong(const std::string& key, const std::string& expected) {
    return invalid_input("prices.toml: " + key + ": expected " + expected);
}

Result<Money> read_price(const toml::node& node, const std::string& key) {
    const auto value = node.value<double>();
    constexpr double kMicro = 1e6;
    if (!value || !(*value >= 0) || *value * kMicro > static_cast<double>(resources::kDearestMicroDollars))
        return wrong(key, "US dollars per hour, at most a million");
    return Money{std::llround(*value * kMicro)};
}

Result<void> read_type(const toml::node& node, const std::string& key, OwnPrice& price) {
    const auto* table = node.as_table();
    if (!table) return wrong(key, "a table of list, spot and own");
    for (const auto& [name, value] : *table) {
        const auto where = key + "." + std::string(name.str());
        const auto amount = TRY(read_price(value, where));
        if (name == "list") {
            price.list = amount;
        } else if (name == "spot") {
            price.spot = amount;
        } else if (name == "own") {
            price.own = amount;
        } else {
            return wrong(where, "list, spot or own");
        }
    }
    return {};
}

Result<void> read_region(const toml::node& node, const std::string& region, OwnPrices& prices) {
    const auto* table = node.as_table();
    if (!table) return wrong(region, "a table of instance types (or own, or spot_discount)");
    for (const auto& [type, content] : *table) {
        const std::string name(type.str());
        auto where = region;
        where.append(".").append(name);
        if (!name.starts_with("ml.")) return wrong(where, "an instance type such as \"ml.m5.xlarge\"");
        TRY(read_type(content, where, prices.by_type[{region, name}]));
    }
    return {};
}

Result<void> read_all(const toml::table& document, OwnPrices& prices) {
    for (const auto& [key, node] : document) {
        const std::string name(key.str());
        if (name == "own") {
            prices.own_per_hour = TRY(read_price(node, name));
        } else if (name == "spot_discount") {
            const auto discount = node.value<double>();
            if (!discount || !(*discount >= 0 && *discount <= 1)) return wrong(name, "a share from 0 to 1");
            prices.spot_discount_millionths = std::llround(*discount * 1e6);
        } else {
            TRY(read_region(node, name, prices));
        }
    }
    return {};
}

}  // namespace

Result<OwnPrices> load_own_prices(const std::string& path) {
    OwnPrices prices;
    if (!file_exists(path)) return prices;
    const std::string content = TRY(read_file(path, size_t{1} << 20));
    try {
        TRY(read_all(toml::parse(content), prices));
    } catch (const toml::parse_error& failure) {
        return invalid_input("prices.toml, line " + std::to_string(failure.source().begin.line) + ": " +
                             std::string(failure.description()));
    }
    return prices;
}

}  // namespace millwright::programs
