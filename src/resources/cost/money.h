// Amounts in millionths of a US dollar: exact, so that a total is the sum of its lines to the last digit.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace millwright::resources {

struct Money {
    int64_t micro_dollars = 0;
    Money& operator+=(Money other) {
        micro_dollars += other.micro_dollars;
        return *this;
    }
    friend Money operator+(Money a, Money b) { return {a.micro_dollars + b.micro_dollars}; }
    friend Money operator-(Money a, Money b) { return {a.micro_dollars - b.micro_dollars}; }
    friend auto operator<=>(const Money&, const Money&) = default;
};

// The dearest price that is taken from a user's table: a million dollars an hour.
inline constexpr int64_t kDearestMicroDollars = 1'000'000'000'000;

// `seconds` of `instances` at a price per hour, rounded to the nearest millionth (halves up). All of them are >= 0.
Money cost_of(Money per_hour, int64_t seconds, int64_t instances);

std::string to_text(Money amount);  // "1.234567"; negative amounts begin with '-'

}  // namespace millwright::resources
