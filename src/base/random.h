// Random bytes and ids; passed in so that a test or simulation can repeat them from a seed.
#pragma once

#include <cstdint>
#include <string>

namespace millwright {

// Thread-safe.
class Random {
  public:
    virtual ~Random() = default;
    virtual std::string bytes(size_t count) = 0;

    std::string hex(size_t digits);                // lower case
    std::string uuid();                            // version 4
    std::string letters_and_digits(size_t count);  // A-Z 0-9, as in access keys
    uint64_t below(uint64_t limit);
};

Random& system_random();  // the kernel's generator

}  // namespace millwright
