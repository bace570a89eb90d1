// Failures in the form of the distribution specification: {"errors": [{"code", "message", "detail"}]}.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "aws/api_error.h"

namespace millwright::services {

aws::ApiError registry_error(const Error& failure);
template <typename T>
aws::ApiResult<T> in_registry(Result<T> result) {
    if (!result) return registry_error(result.error());
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(*result);
}
// The body of the answer.
std::string registry_error_body(const aws::ApiError& error);

}  // namespace millwright::services
