#include "resources/identity/condition.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/encoding.h"
#include "base/strings.h"
#include "base/time.h"

namespace millwright::resources {
namespace {

using Comparison = Condition::Comparison;
using Order = Condition::Order;

struct OperatorRow {
    std::string_view name;
    Comparison comparison;
    Order order = Order::Equal;
    bool negated = false;
};

constexpr OperatorRow kOperators[] = {
    {"StringEquals", Comparison::Text},
    {"StringNotEquals", Comparison::Text, Order::Equal, true},
    {"StringEqualsIgnoreCase", Comparison::TextIgnoringCase},
    {"StringNotEqualsIgnoreCase", Comparison::TextIgnoringCase, Order::Equal, true},
    {"StringLike", Comparison::Like},
    {"StringNotLike", Comparison::Like, Order::Equal, true},
    {"NumericEquals", Comparison::Number},
    {"NumericNotEquals", Comparison::Number, Order::Equal, true},
    {"NumericLessThan", Comparison::Number, Order::Less},
    {"NumericLessThanEquals", Comparison::Number, Order::LessOrEqual},
    {"NumericGreaterThan", Comparison::Number, Order::Greater},
    {"NumericGreaterThanEquals", Comparison::Number, Order::GreaterOrEqual},
    {"DateEquals", Comparison::Date},
    {"DateNotEquals", Comparison::Date, Order::Equal, true},
    {"DateLessThan", Comparison::Date, Order::Less},
    {"DateLessThanEquals", Comparison::Date, Order::LessOrEqual},
    {"DateGreaterThan", Comparison::Date, Order::Greater},
    {"DateGreaterThanEquals", Comparison::Date, Order::GreaterOrEqual},
    {"Bool", Comparison::Boolean},
    {"BinaryEquals", Comparison::Binary},
    {"IpAddress", Comparison::Address},
    {"NotIpAddress", Comparison::Address, Order::Equal, true},
    {"ArnEquals", Comparison::Arn},
    {"ArnLike", Comparison::Arn},
    {"ArnNotEquals", Comparison::Arn, Order::Equal, true},
    {"ArnNotLike", Comparison::Arn, Order::Equal, true},
    {"Null", Comparison::Null},
};

std::optional<bool> boolean_of(std::string_view text) {
    if (equals_ignoring_case(text, "true")) return true;
    if (equals_ignoring_case(text, "false")) return false;
    return std::nullopt;
}

// ISO 8601, a bare date, or seconds of the epoch; as seconds.
std::optional<double> date_of(std::string_view text) {
    if (const auto seconds = parse_double(text)) return seconds;
    if (const auto time = parse_iso8601(text)) return to_epoch_seconds(*time);
    if (text.size() == 10)
        if (const auto day = parse_iso8601(std::string(text) + "T00:00:00Z")) return to_epoch_seconds(*day);
    return std::nullopt;
}

bool in_order(double value, Order order, double operand) {
    switch (order) {
        case Order::Equal:
            return value == operand;
        case Order::Less:
            return value < operand;
        case Order::LessOrEqual:
            return value <= operand;
        case Order::Greater:
            return value > operand;
        case Order::GreaterOrEqual:
            return value >= operand;
    }
    return false;
}

struct Network {
    std::array<uint8_t, 16> bytes{};  // IPv4 as ::ffff:a.b.c.d, so that both kinds compare
    unsigned bits = 128;
};

std::optional<Network> network_of(std::string_view text) {
    const size_t slash = text.find('/');
    const std::string address(text.substr(0, slash));
    Network out;
    unsigned offset = 0, most = 128;
    if (address.find(':') == std::string::npos) {
        out.bytes[10] = out.bytes[11] = 0xff;
        offset = 96;
        most = 32;
        if (inet_pton(AF_INET, address.c_str(), &out.bytes[12]) != 1) return std::nullopt;
    } else if (inet_pton(AF_INET6, address.c_str(), out.bytes.data()) != 1) {
        return std::nullopt;
    }
    if (slash == std::string_view::npos) return out;
    const auto bits = parse_int(text.substr(slash + 1));
    if (!bits || *bits < 0 || *bits > static_cast<int64_t>(most)) return std::nullopt;
    out.bits = offset + static_cast<unsigned>(*bits);
    return out;
}

bool contains(const Network& network, const std::array<uint8_t, 16>& address) {
    const size_t whole = network.bits / 8;
    if (std::memcmp(network.bytes.data(), address.data(), whole) != 0) return false;
    const unsigned rest = network.bits % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<uint8_t>(0xff00U >> rest);
    return (network.bytes[whole] & mask) == (address[whole] & mask);
}

bool is_operand(Comparison comparison, const std::string& text) {
    switch (comparison) {
        case Comparison::Number:
            return parse_double(text).has_value();
        case Comparison::Date:
            return date_of(text).has_value();
        case Comparison::Boolean:
        case Comparison::Null:
            return boolean_of(text).has_value();
        case Comparison::Binary:
            return from_base64(text).has_value();
        case Comparison::Address:
            return network_of(text).has_value();
        default:
            return true;
    }
}

bool takes_variables(Comparison comparison) {
    return comparison == Comparison::Text || comparison == Comparison::TextIgnoringCase ||
           comparison == Comparison::Like || comparison == Comparison::Arn || comparison == Comparison::Boolean;
}

bool takes_wildcards(Comparison comparison) { return comparison == Comparison::Like || comparison == Comparison::Arn; }

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

Error bad_operator(std::string_view name) {
    return invalid_input("Invalid Condition type : " + std::string(name) + ".");
}

}  // namespace

VariableLookup variables_of(const RequestContext& context) {
    return [&context](std::string_view key) -> std::optional<std::string> {
        auto values = context.find(key);
        if (!values || values->size() != 1) return std::nullopt;
        return std::move(values->front());
    };
}

Result<Condition> Condition::compile(std::string_view operator_name, std::string_view key,
                                     const std::vector<std::string>& values, Variables variables) {
    Condition out;
    std::string_view name = operator_name;
    if (take_prefix(name, "ForAllValues:"))
        out.set_ = Set::ForAll;
    else if (take_prefix(name, "ForAnyValue:"))
        out.set_ = Set::ForAny;
    constexpr std::string_view kIfExists = "IfExists";
    out.if_exists_ = name.ends_with(kIfExists);
    if (out.if_exists_) name.remove_suffix(kIfExists.size());
    const auto* row = std::find_if(std::begin(kOperators), std::end(kOperators),
                                   [name](const OperatorRow& known) { return known.name == name; });
    if (row == std::end(kOperators)) return bad_operator(operator_name);
    if (row->comparison == Comparison::Null && (out.if_exists_ || out.set_ != Set::Single))
        return bad_operator(operator_name);
    out.comparison_ = row->comparison;
    out.order_ = row->order;
    out.negated_ = row->negated;
    out.key_ = to_lower(key);
    for (const std::string& value : values) {
        auto pattern = Pattern::compile(value, takes_wildcards(row->comparison) ? Wildcards::Yes : Wildcards::No,
                                        takes_variables(row->comparison) ? variables : Variables::No);
        const bool variable = value.find("${") != std::string::npos;
        if (!pattern || (!(variable && takes_variables(row->comparison)) && !is_operand(row->comparison, value)))
            return invalid_input("The value " + value + " of the condition " + std::string(operator_name) + " on " +
                                 std::string(key) + " is invalid.");
        out.operands_.push_back(std::move(*pattern));
    }
    return out;
}

bool Condition::holds(const RequestContext& context) const {
    const auto values = context.find(key_);
    if (comparison_ == Comparison::Null) {
        for (const Pattern& operand : operands_)
            if (boolean_of(operand.text()) == !values.has_value()) return true;
        return false;
    }
    if (!values || values->empty()) {
        if (if_exists_ || set_ == Set::ForAll) return true;
        return set_ == Set::Single && negated_;
    }
    const VariableLookup lookup = variables_of(context);
    const auto satisfied = [&](const std::string& value) { return satisfied_by(value, lookup); };
    if (set_ == Set::ForAny) return std::any_of(values->begin(), values->end(), satisfied);
    if (set_ == Set::ForAll) return std::all_of(values->begin(), values->end(), satisfied);
    // Several values of a key that is compared as one: what is wanted must be among them, what is not wanted must not.
    if (negated_) return std::all_of(values->begin(), values->end(), satisfied);
    return std::any_of(values->begin(), values->end(), satisfied);
}

bool Condition::matches_any(const std::string& value, const VariableLookup& lookup) const {
    for (size_t i = 0; i < operands_.size(); ++i)
        if (matches(value, i, lookup)) return true;
    return false;
}

bool Condition::matches(const std::string& value, size_t operand, const VariableLookup& lookup) const {
    const Pattern& pattern = operands_[operand];
    switch (comparison_) {
        case Comparison::Text:
        case Comparison::Like:
            return pattern.matches(value, LetterCase::Exact, lookup);
        case Comparison::TextIgnoringCase:
        case Comparison::Boolean:
            return pattern.matches(value, LetterCase::Ignored, lookup);
        case Comparison::Arn:
            return pattern.matches_arn(value, lookup);
        case Comparison::Number: {
            const auto left = parse_double(value), right = parse_double(pattern.text());
            return left && right && in_order(*left, order_, *right);
        }
        case Comparison::Date: {
            const auto left = date_of(value), right = date_of(pattern.text());
            return left && right && in_order(*left, order_, *right);
        }
        case Comparison::Binary:
            return from_base64(value) == from_base64(pattern.text());
        case Comparison::Address: {
            const auto address = network_of(value), network = network_of(pattern.text());
            return address && network && contains(*network, address->bytes);
        }
        case Comparison::Null:
            break;
    }
    return false;
}

}  // namespace millwright::resources
