// The user's own prices: <data-dir>/prices.toml. docs/reference/cost.md describes it.
#pragma once

#include <string>

#include "base/result.h"
#include "resources/cost/prices.h"

namespace millwright::programs {

// Empty when there is no such file. InvalidInput names the key that is unknown or has no price.
Result<resources::OwnPrices> load_own_prices(const std::string& path);

}  // namespace millwright::programs
