// Value-or-error results. The method names are those of std::expected.
//
//   Result<Upload> complete(UploadId id) {
//       auto upload = TRY(find(id));          // returns the error to our caller
//       TRY(upload.check_parts_contiguous());
//       return publish(std::move(upload));
//   }
//
// Our code does not throw; a library that throws is caught in the file that wraps it.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace millwright {

// What a caller can do about a failure. Only Unavailable is worth a retry.
enum class ErrorKind { InvalidInput, NotFound, AlreadyExists, Conflict, LimitExceeded, Denied, Unavailable, Internal };

std::string_view to_string(ErrorKind kind);

// `message` is for whoever called us; `detail` is for the log (cause chain, errno text, file and line).
struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::Internal;
    std::string message;
    std::string detail;
};

// Error with errno's text as detail. REQUIRES: errno still holds the failure.
Error error_from_errno(std::string what);
Error internal_error(std::string message, std::string detail = "");
Error invalid_input(std::string message);
Error not_found(std::string message);

// Wraps an error on its way into a Result; lets TRY return from functions of any value type.
template <typename E>
struct Failure {
    E error;
};
template <typename E>
Failure(E) -> Failure<E>;

template <typename T, typename E = Error>
class [[nodiscard]] Result {
  public:
    using value_type = T;
    using error_type = E;

    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
    Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}
    template <typename F>
    requires std::is_convertible_v<F, E> Result(Failure<F> failure)
        : state_(std::in_place_index<1>, E(std::move(failure.error))) {}

    bool has_value() const { return state_.index() == 0; }
    explicit operator bool() const { return has_value(); }

    T& value() & { return CHECK(has_value()), std::get<0>(state_); }
    const T& value() const& { return CHECK(has_value()), std::get<0>(state_); }
    T&& value() && { return CHECK(has_value()), std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    E& error() & { return CHECK(!has_value()), std::get<1>(state_); }
    const E& error() const& { return CHECK(!has_value()), std::get<1>(state_); }
    E&& error() && { return CHECK(!has_value()), std::get<1>(std::move(state_)); }

    template <typename U>
    T value_or(U&& otherwise) const& {
        return has_value() ? std::get<0>(state_) : static_cast<T>(std::forward<U>(otherwise));
    }

  private:
    std::variant<T, E> state_;
};

template <typename E>
class [[nodiscard]] Result<void, E> {
  public:
    using value_type = void;
    using error_type = E;

    Result() = default;
    Result(E error) : error_(std::move(error)) {}
    template <typename F>
    requires std::is_convertible_v<F, E> Result(Failure<F> failure) : error_(E(std::move(failure.error))) {}

    bool has_value() const { return !error_.has_value(); }
    explicit operator bool() const { return has_value(); }
    void value() const { CHECK(has_value()); }

    E& error() & { return CHECK(error_.has_value()), *error_; }
    const E& error() const& { return CHECK(error_.has_value()), *error_; }
    E&& error() && { return CHECK(error_.has_value()), *std::move(error_); }

  private:
    std::optional<E> error_;
};

namespace result_internal {
template <typename T, typename E>
T unwrap(Result<T, E>&& result) {
    return std::move(result).value();
}
template <typename E>
void unwrap(Result<void, E>&&) {}
}  // namespace result_internal

}  // namespace millwright

// Yields the value, or returns the error from the enclosing function. May be nested: each use has its own variable.
// As the only thing of its full expression that owns memory: what the expression has made before the early return leaks
// with GCC 12, as in `f(std::string("x"), TRY(g()))`. Name the value first.
#define TRY(expression) MILLWRIGHT_TRY_EXPANDED(expression, __COUNTER__)
#define MILLWRIGHT_TRY_EXPANDED(expression, number) MILLWRIGHT_TRY_NUMBERED(expression, number)
#define MILLWRIGHT_TRY_NUMBERED(expression, number) MILLWRIGHT_TRY_NAMED(expression, try_result_##number##_)
#define MILLWRIGHT_TRY_NAMED(expression, name)                     \
    __extension__({                                                \
        auto name = (expression);                                  \
        if (!name.has_value()) [[unlikely]]                        \
            return ::millwright::Failure{std::move(name).error()}; \
        ::millwright::result_internal::unwrap(std::move(name));    \
    })
