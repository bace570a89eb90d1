#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace millwright {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::InvalidInput:
            return "InvalidInput";
        case ErrorKind::NotFound:
            return "NotFound";
        case ErrorKind::AlreadyExists:
            return "AlreadyExists";
        case ErrorKind::Conflict:
            return "Conflict";
        case ErrorKind::LimitExceeded:
            return "LimitExceeded";
        case ErrorKind::Denied:
            return "Denied";
        case ErrorKind::Unavailable:
            return "Unavailable";
        case ErrorKind::Internal:
            return "Internal";
    }
    return "Internal";
}

Error error_from_errno(std::string what) {
    const int code = errno;
    ErrorKind kind = ErrorKind::Internal;
    if (code == ENOENT) kind = ErrorKind::NotFound;
    if (code == EEXIST) kind = ErrorKind::AlreadyExists;
    if (code == ENOSPC || code == EDQUOT) kind = ErrorKind::LimitExceeded;
    if (code == EMFILE || code == ENFILE) kind = ErrorKind::Unavailable;  // not a full disk, and it passes
    return {kind, std::move(what), std::strerror(code)};
}
Error internal_error(std::string message, std::string detail) {
    return {ErrorKind::Internal, std::move(message), std::move(detail)};
}
Error invalid_input(std::string message) { return {ErrorKind::InvalidInput, std::move(message), ""}; }
Error not_found(std::string message) { return {ErrorKind::NotFound, std::move(message), ""}; }

namespace check_internal {
void fail(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "CHECK failed: %s at %s:%d\n", condition, file, line);
    std::abort();
}
}  // namespace check_internal

}  // namespace millwright
