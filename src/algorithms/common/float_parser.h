// Decimal text to float, eight digits at a step; the same bits as strtof in the "C" locale.
//
//   number = [+-] ( digits [ "." [digits] ] | "." digits ) [ (e|E) [+-] digits ]  |  [+-] (inf | infinity | nan)
//
// How it is exact: the digits (up to 19) and the power of ten give a double that is off by at most two units in its last
// place. Rounding that to float is right unless the double lies within those units of the middle between two floats; such
// numbers, very long ones, and those outside the range of normal floats go to the slow, exact conversion.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace millwright::algorithms {

namespace float_parser_internal {

// Converts the whole of [begin, end), known to be a number of the grammar above without inf and nan.
float convert_exactly(const char* begin, const char* end);
// inf, infinity or nan at `p`, any case; null when there is none.
const char* parse_word(const char* p, const char* end, float& value);

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int kLargestExactPower = 22;
constexpr uint64_t kPowersOfTenInt[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

// Bytes behind the end read as 0, which is no digit.
inline uint64_t load_eight(const char* p, const char* end) {
    uint64_t word = 0;
    if (end - p >= 8) [[likely]] {
        std::memcpy(&word, p, 8);
    } else {
        std::memcpy(&word, p, static_cast<size_t>(end - p));
    }
    return word;
}

// Appends the digits at `p` to `number`; returns the position behind them. `number` wraps beyond 19 digits.
inline const char* take_digits(const char* p, const char* end, uint64_t& number) {
    for (;;) {
        const uint64_t word = load_eight(p, end) ^ 0x3030303030303030;
        const uint64_t not_digit = ((word + 0x7676767676767676) | word) & 0x8080808080808080;
        const unsigned count = not_digit == 0 ? 8 : static_cast<unsigned>(std::countr_zero(not_digit)) / 8;
        if (count == 0) return p;
        uint64_t digits = word << (64 - 8 * count);
        digits = digits * 10 + (digits >> 8);
        digits = ((digits & 0x000000FF000000FF) * 0x000F424000000064 +
                  ((digits >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >> 32;
        number = number * kPowersOfTenInt[count] + digits;
        p += count;
        if (count < 8) return p;
    }
}

inline bool is_digit(const char* p, const char* end) { return p != end && *p >= '0' && *p <= '9'; }

// Reads "e[+-]digits" when it is there. Exponents are cut off at a value far outside any float.
inline const char* take_exponent(const char* p, const char* end, int& exponent) {
    const char* q = p + 1;
    const bool negative = q != end && *q == '-';
    if (q != end && (*q == '-' || *q == '+')) ++q;
    if (!is_digit(q, end)) return p;
    int number = 0;
    for (; is_digit(q, end); ++q)
        if (number < 100000) number = number * 10 + (*q - '0');
    exponent += negative ? -number : number;
    return q;
}

}  // namespace float_parser_internal

// Parses a number at `p`; returns the position behind it, or null when there is none.
inline const char* parse_float(const char* p, const char* end, float& value) {
    using namespace float_parser_internal;
    const char* const begin = p;
    if (p == end) return nullptr;
    const bool negative = *p == '-';
    if (negative || *p == '+') ++p;

    uint64_t number = 0;
    const char* const integer = p;
    p = take_digits(p, end, number);
    auto digits = p - integer;
    int exponent = 0;
    if (p != end && *p == '.') {
        const char* const fraction = ++p;
        p = take_digits(p, end, number);
        exponent = -static_cast<int>(p - fraction);
        digits += p - fraction;
    }
    if (digits == 0) [[unlikely]] return parse_word(begin, end, value);
    if (p != end && (*p | 0x20) == 'e') p = take_exponent(p, end, exponent);

    if (digits > 19 || exponent > kLargestExactPower || exponent < -kLargestExactPower) [[unlikely]] {
        value = convert_exactly(begin, p);
        return p;
    }
    double magnitude = static_cast<double>(number);
    magnitude = exponent < 0 ? magnitude / kPowersOfTen[-exponent] : magnitude * kPowersOfTen[exponent];
    constexpr uint64_t kHalf = uint64_t{1} << 28;
    const uint64_t low_bits = std::bit_cast<uint64_t>(magnitude) & (2 * kHalf - 1);
    const bool near_middle = low_bits - (kHalf - 2) <= 4;
    const bool normal = magnitude >= 0x1p-126 && magnitude < 0x1p127;
    if (near_middle || (!normal && number != 0)) [[unlikely]] {
        value = convert_exactly(begin, p);
        return p;
    }
    value = static_cast<float>(negative ? -magnitude : magnitude);
    return p;
}

}  // namespace millwright::algorithms
