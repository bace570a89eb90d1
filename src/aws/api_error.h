// An error as an AWS client sees it: HTTP status, code, message. Chosen in services/, rendered by aws/ per protocol.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace millwright::aws {

struct [[nodiscard]] ApiError {
    ApiError(int http_status, std::string error_code, std::string text)
        : status(http_status), code(std::move(error_code)), message(std::move(text)) {}
    // The general mapping for failures no operation names specially: InvalidInput -> ValidationException 400,
    // Denied -> AccessDeniedException 403, LimitExceeded -> ResourceLimitExceeded 400, Unavailable ->
    // ServiceUnavailable 503, everything else -> InternalFailure 500 with a text that shows nothing of the inside.
    ApiError(const Error& failure);  // NOLINT: implicit, so that TRY crosses the layer border

    int status;
    std::string code;
    std::string message;
    Json members;        // further members of a modelled exception (ModelError: OriginalStatusCode, …)
    std::string detail;  // for the log only
    std::vector<std::pair<std::string, std::string>> headers = {};  // of the answer, beside those of the protocol
};

template <typename T>
using ApiResult = Result<T, ApiError>;

inline ApiError validation_exception(std::string text) { return {400, "ValidationException", std::move(text)}; }

}  // namespace millwright::aws
