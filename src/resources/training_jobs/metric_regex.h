// The regular expression of a metric definition, applied to log lines. RE2, with PCRE2 (bounded) for what RE2 has not:
// look-around and back references.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::resources {

// Thread-safe.
class MetricRegex {
  public:
    // InvalidInput: neither library understands it, or it has no group.
    static Result<std::unique_ptr<MetricRegex>> compile(const std::string& pattern);
    virtual ~MetricRegex() = default;
    // The first match's group 1 as a finite number.
    virtual std::optional<double> find(std::string_view line) const = 0;
};

}  // namespace millwright::resources
