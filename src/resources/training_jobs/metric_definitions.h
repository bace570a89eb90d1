// The MetricDefinitions that the service adds to a built-in algorithm.
#pragma once

#include <string_view>

#include "base/json.h"

namespace millwright::resources {

// An array of {Name, Regex}. `algorithm` as in resources/images.
Json default_metric_definitions(std::string_view algorithm);

}  // namespace millwright::resources
