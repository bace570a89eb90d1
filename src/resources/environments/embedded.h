// The Python programs of this folder, as text.
#pragma once

#include <string_view>

namespace millwright::resources {

extern const std::string_view kBuildEnvironment, kAskPip;

}  // namespace millwright::resources
