#include "aws/api_error.h"

namespace millwright::aws {

ApiError::ApiError(const Error& failure) : status(500), code("InternalFailure"), detail(failure.message) {
    if (!failure.detail.empty()) detail += " (" + failure.detail + ")";
    message = failure.message;
    switch (failure.kind) {
        case ErrorKind::InvalidInput:
            status = 400;
            code = "ValidationException";
            return;
        case ErrorKind::Denied:
            status = 403;
            code = "AccessDeniedException";
            return;
        case ErrorKind::LimitExceeded:
            status = 400;
            code = "ResourceLimitExceeded";
            return;
        case ErrorKind::Unavailable:
            status = 503;
            code = "ServiceUnavailable";
            return;
        default:
            message = "The request processing has failed because of an unknown error, exception or failure.";
    }
}

}  // namespace millwright::aws
