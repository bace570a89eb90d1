// Patterns of policies: '*' and '?', and the variables of IAM (${aws:username}, ${*}), compiled once.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millwright::resources {

// The single value of a condition key (name in lower case), for a policy variable; nothing when there is none or
// several.
using VariableLookup = std::function<std::optional<std::string>(std::string_view key)>;

enum class Wildcards { Yes, No };  // No: '*' and '?' stand for themselves (StringEquals)
enum class Variables { Yes, No };  // No: documents of version 2008-10-17
enum class LetterCase { Exact, Ignored };

// Thread-safe.
class Pattern {
  public:
    // Nothing when a variable is malformed: "${" without "}", or an empty name.
    static std::optional<Pattern> compile(std::string_view text, Wildcards wildcards, Variables variables);

    // False when a variable without a default has no value. What a variable stands for is never a wildcard.
    bool matches(std::string_view text, LetterCase letter_case, const VariableLookup& lookup) const;
    // The six parts between colons match one by one, the last one taking the rest, so that no '*' reaches from the
    // region into the name. Patterns with fewer parts match as a whole.
    bool matches_arn(std::string_view arn, const VariableLookup& lookup) const;

    bool is_everything() const { return everything_; }  // "*"
    const std::string& text() const { return text_; }   // as written

  private:
    struct Piece {
        std::string text;      // what to match, with wildcards as control characters; or the default of a variable
        std::string variable;  // lower case; "" for plain text
        bool has_default = false;
    };
    std::optional<std::string> expand(const VariableLookup& lookup) const;

    std::string text_;
    std::vector<Piece> pieces_;
    bool everything_ = false;
    bool constant_ = false;  // no variables: pieces_[0].text is all of it
    size_t literal_ = 0;     // of a constant one: so much of its start has no wildcard
};

// '*' and '?' as in IAM, without variables.
bool wildcard_match(std::string_view pattern, std::string_view text, LetterCase letter_case);

}  // namespace millwright::resources
