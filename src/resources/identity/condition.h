// One line of a Condition block: an operator, a key, the values it is compared with. Compiled when the policy is read;
// an operator or a value that is not understood makes the policy malformed, it is never skipped.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "resources/identity/wildcard.h"

namespace millwright::resources {

// What conditions and variables see of a request. Names are in lower case.
class RequestContext {
  public:
    virtual ~RequestContext() = default;
    // Nothing when the key is absent; a key with an empty set of values is present.
    virtual std::optional<std::vector<std::string>> find(std::string_view key) const = 0;
};

// For variables: the value of a key that has exactly one.
VariableLookup variables_of(const RequestContext& context);

// Thread-safe.
class Condition {
  public:
    // `operator_name` with its prefix and suffix: "ForAllValues:StringLikeIfExists". InvalidInput with IAM's text.
    static Result<Condition> compile(std::string_view operator_name, std::string_view key,
                                     const std::vector<std::string>& values, Variables variables);

    bool holds(const RequestContext& context) const;
    const std::string& key() const { return key_; }  // lower case
    bool negated() const { return negated_; }

    enum class Comparison : uint8_t { Text, TextIgnoringCase, Like, Number, Date, Boolean, Binary, Address, Arn, Null };
    enum class Order : uint8_t { Equal, Less, LessOrEqual, Greater, GreaterOrEqual };

  private:
    enum class Set : uint8_t { Single, ForAll, ForAny };
    bool matches_any(const std::string& value, const VariableLookup& lookup) const;
    bool matches(const std::string& value, size_t operand, const VariableLookup& lookup) const;
    bool satisfied_by(const std::string& value, const VariableLookup& lookup) const {
        return matches_any(value, lookup) != negated_;
    }

    std::string key_;
    Comparison comparison_ = Comparison::Text;
    Order order_ = Order::Equal;
    Set set_ = Set::Single;
    bool negated_ = false, if_exists_ = false;
    std::vector<Pattern> operands_;
};

}  // namespace millwright::resources
