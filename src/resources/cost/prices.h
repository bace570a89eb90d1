// What an hour of an instance costs: AWS's list price for training as far as it is known here, and what the user's own
// table says.
//
// A known price always wins over none, and one of the asked region over one of another; whoever shows it must say where
// and when it is from. There is no guess: of a type that nobody has priced nothing is known.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "resources/cost/money.h"

namespace millwright::resources {

// A row of the table that comes with Millwright (list_prices.cc).
struct ListPrice {
    std::string_view region, instance_type;
    Money per_hour;
    std::string_view as_of;   // "2026-09-24"
    std::string_view source;  // where it can be looked up
};
// In the order in which regions stand in for each other.
std::span<const ListPrice> list_prices();

// One entry of the user's table; what is empty says nothing.
struct OwnPrice {
    std::optional<Money> list, spot, own;  // per instance hour
};

// The user's table, <data-dir>/prices.toml.
struct OwnPrices {
    std::map<std::pair<std::string, std::string>, OwnPrice> by_type;  // (region or "*", instance type)
    std::optional<Money> own_per_hour;                                // of every type that says nothing else
    // What spot instances cost less than the list price, of every type without a spot price; 0 to 1'000'000.
    std::optional<int64_t> spot_discount_millionths;
};

struct Price {
    std::optional<Money> list, spot, own;  // per instance hour
    // Of the list price: "us-east-1", "2026-09-24"; "" and "your own table" for the user's.
    std::string region, as_of;
};

class Prices {
  public:
    explicit Prices(OwnPrices own = {}) : own_(std::move(own)) {}
    Price find(std::string_view region, std::string_view instance_type) const;

  private:
    OwnPrices own_;
};

}  // namespace millwright::resources
