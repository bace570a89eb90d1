#include "services/sagemaker/errors.h"

namespace millwright::services {

aws::ApiError training_job_error(const Error& failure) {
    switch (failure.kind) {
        case ErrorKind::NotFound:
        case ErrorKind::Conflict:
            return aws::validation_exception(failure.message);
        case ErrorKind::AlreadyExists:
            return {400, "ResourceInUse", failure.message};
        case ErrorKind::LimitExceeded:
            return {400, "ResourceLimitExceeded", failure.message};
        default:
            return failure;
    }
}

aws::ApiError tags_error(const Error& failure) {
    if (failure.kind == ErrorKind::NotFound) return aws::validation_exception(failure.message);
    return failure;
}

}  // namespace millwright::services
