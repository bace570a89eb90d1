// Refusing what is not supported: a request may only use members from a list.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millwright::resources {

// InvalidInput naming the first member of `document` outside `supported`: "Millwright does not support
// <path><member> yet."
Result<void> only_supported(const Json& document, std::string_view path,
                            std::initializer_list<std::string_view> supported);
Error not_supported_yet(std::string_view what);

}  // namespace millwright::resources
