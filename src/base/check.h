// CHECK(condition): aborts on our own bugs, always on. Never on user input.
#pragma once

namespace millwright::check_internal {
[[noreturn]] void fail(const char* condition, const char* file, int line);
}

#define CHECK(condition) \
    ((condition) ? static_cast<void>(0) : ::millwright::check_internal::fail(#condition, __FILE__, __LINE__))
