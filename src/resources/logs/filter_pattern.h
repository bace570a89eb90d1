// The unstructured filter patterns of CloudWatch Logs:
//
//   pattern = *( term / "-" term / "?" term )     separated by spaces
//   term    = 1*( letter / digit / "_" ) / DQUOTE text DQUOTE
//   text    = characters, with quote and backslash written after a backslash
//
// A message matches when it contains every plain term and none with "-"; terms with "?" stand alone and one of them is
// enough. Case matters. JSON ({...}), space-delimited ([...]) and regular-expression (%...%) patterns are refused.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::resources {

class FilterPattern {
  public:
    FilterPattern() = default;  // matches everything
    // InvalidInput with a text for the client.
    static Result<FilterPattern> parse(std::string_view text);
    bool matches(std::string_view message) const;

  private:
    std::vector<std::string> all_, none_, any_;
};

}  // namespace millwright::resources
