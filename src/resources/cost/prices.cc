#include "resources/cost/prices.h"

namespace millwright::resources {
namespace {

const ListPrice* find_list_price(std::string_view region, std::string_view instance_type) {
    const ListPrice* elsewhere = nullptr;
    for (const auto& price : list_prices()) {
        if (price.instance_type != instance_type) continue;
        if (price.region == region) return &price;
        if (!elsewhere) elsewhere = &price;
    }
    return elsewhere;
}

void fill(OwnPrice& price, const OwnPrice& from) {
    if (!price.list) price.list = from.list;
    if (!price.spot) price.spot = from.spot;
    if (!price.own) price.own = from.own;
}

}  // namespace

Price Prices::find(std::string_view region, std::string_view instance_type) const {
    OwnPrice own;
    for (const auto& where : {std::string(region), std::string("*")}) {
        const auto entry = own_.by_type.find({where, std::string(instance_type)});
        if (entry != own_.by_type.end()) fill(own, entry->second);
    }
    Price price;
    if (own.list) {
        price.list = own.list;
        price.as_of = "your own table";
    } else if (const auto* known = find_list_price(region, instance_type)) {
        price.list = known->per_hour;
        price.region = known->region;
        price.as_of = known->as_of;
    }
    price.spot = own.spot;
    if (!price.spot && price.list && own_.spot_discount_millionths) {
        constexpr int64_t kWhole = 1'000'000;
        const auto rest = kWhole - *own_.spot_discount_millionths;
        // At most 10^12 times 10^6.
        price.spot = Money{(price.list->micro_dollars * rest + kWhole / 2) / kWhole};
    }
    price.own = own.own ? own.own : own_.own_per_hour;
    return price;
}

}  // namespace millwright::resources
