// Decimal text to float, eight digits at a step; the same bits as strtof in the "C" locale.
//
//   number = [+-] ( digits [ "." [digits] ] | "." digits ) [ (e|E) [+-] digits ]  |  [+-] (inf | infinity | nan)
//
// How it is exact: the digits (up to 19), the power of ten and their product are each rounded once, so the double they
// give is off by at most three units in its last place. Rounding that to float is right unless the double lies within
// those units of the middle between two floats; such numbers, very long ones, and those outside the range of normal
// floats go to the slow, exact conversion.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millwright::algorithms {

namespace float_parser_internal {

// Converts the whole of [begin, end), known to be a number of the grammar above without inf and nan.
float convert_exactly(const char* begin, const char* end);
// inf, infinity or nan at `p`, any case; null when there is none.
const char* parse_word(const char* p, const char* end, float& value);

constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr double kNegativePowersOfTen[] = {1e0,   1e-1,  1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,
                                           1e-8,  1e-9,  1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15,
                                           1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22};
constexpr int kLargestPower = 22;
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
                  ((digits >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
                 32;
        number = number * kPowersOfTenInt[count] + digits;
        p += count;
        if (count < 8) return p;
    }
}

#if defined(__SSE2__)
// Value of the first `count` (at most 8) characters at `p`, all of them digits.
inline uint64_t digits_value(const char* p, unsigned count) {
    uint64_t word = 0;
    std::memcpy(&word, p, 8);
    word ^= 0x3030303030303030;
    uint64_t digits = count == 0 ? 0 : word << (64 - 8 * count);
    digits = digits * 10 + (digits >> 8);
    return ((digits & 0x000000FF000000FF) * 0x000F424000000064 +
            ((digits >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >>
           32;
}

// "digits.digits" of at most eight digits each, the usual field: both ends come from one look at 16 bytes, so that the
// search for the end of a field does not wait for its value. Null when it is something else. REQUIRES: 24 bytes at `p`.
inline const char* take_short_decimal(const char* p, uint64_t& number, int& exponent, ptrdiff_t& digits) {
    const __m128i bytes = _mm_sub_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), _mm_set1_epi8('0'));
    const __m128i is_digit_mask = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(9)), bytes);
    const unsigned others = (~static_cast<unsigned>(_mm_movemask_epi8(is_digit_mask)) & 0xFFFF) | 0x30000;
    const auto point = static_cast<unsigned>(std::countr_zero(others));
    const auto stop = static_cast<unsigned>(std::countr_zero(others & (others - 1)));
    const unsigned fraction = stop - point - 1;
    if (point > 8 || p[point] != '.' || fraction > 8 || stop >= 16) return nullptr;
    number = digits_value(p, point) * kPowersOfTenInt[fraction] + digits_value(p + point + 1, fraction);
    exponent = -static_cast<int>(fraction);
    digits = static_cast<ptrdiff_t>(point + fraction);
    return p + stop;
}
#endif

inline bool is_digit(const char* p, const char* end) { return p != end && *p >= '0' && *p <= '9'; }

// digits [ "." digits ], of any length; `digits` counts them.
inline const char* take_decimal(const char* p, const char* end, uint64_t& number, int& exponent, ptrdiff_t& digits) {
    const char* const integer = p;
    p = take_digits(p, end, number);
    digits = p - integer;
    if (p == end || *p != '.') return p;
    const char* const fraction = ++p;
    p = take_digits(p, end, number);
    exponent = -static_cast<int>(p - fraction);
    digits += p - fraction;
    return p;
}

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

// number * 10^exponent as a float. False: it lies too near to the middle between two floats, or outside of the range of
// normal ones. REQUIRES: |exponent| <= kLargestPower.
inline bool scaled_float(uint64_t number, int exponent, bool negative, float& value) {
    double magnitude = static_cast<double>(number);
    magnitude *= exponent < 0 ? kNegativePowersOfTen[-exponent] : kPowersOfTen[exponent];
    constexpr uint64_t kHalf = uint64_t{1} << 28;
    const uint64_t low_bits = std::bit_cast<uint64_t>(magnitude) & (2 * kHalf - 1);
    const bool near_middle = low_bits - (kHalf - 4) <= 8;
    const bool normal = magnitude >= 0x1p-126 && magnitude < 0x1p127;
    if (near_middle || (!normal && number != 0)) [[unlikely]]
        return false;
    const uint32_t sign = static_cast<uint32_t>(negative) << 31;
    value = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(magnitude)) | sign);
    return true;
}

}  // namespace float_parser_internal

// Parses a number at `p`; returns the position behind it, or null when there is none.
inline const char* parse_float(const char* p, const char* end, float& value) {
    using namespace float_parser_internal;
    const char* const begin = p;
    if (p == end) return nullptr;
    // Signs are as good as random: no branch on them.
    const bool negative = *p == '-';
    p += static_cast<int>(negative) | static_cast<int>(*p == '+');

    uint64_t number = 0;
    ptrdiff_t digits = 0;
    int exponent = 0;
    const char* after = nullptr;
#if defined(__SSE2__)
    if (end - p >= 24) [[likely]]
        after = take_short_decimal(p, number, exponent, digits);
#endif
    p = after != nullptr ? after : take_decimal(p, end, number, exponent, digits);
    if (digits == 0) [[unlikely]]
        return parse_word(begin, end, value);
    if (p != end && (*p | 0x20) == 'e') p = take_exponent(p, end, exponent);

    const bool fits = digits <= 19 && exponent <= kLargestPower && exponent >= -kLargestPower;
    if (!fits || !scaled_float(number, exponent, negative, value)) [[unlikely]]
        value = convert_exactly(begin, p);
    return p;
}

}  // namespace millwright::algorithms
