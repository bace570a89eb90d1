#include "resources/identity/wildcard.h"

#include <algorithm>

#include "base/strings.h"

namespace millwright::resources {
namespace {

// In compiled text; the parser of policies refuses control characters, and values that have them match nothing.
constexpr char kAny = '\x01', kOne = '\x02';

bool has_marks(std::string_view text) {
    return text.find(kAny) != std::string_view::npos || text.find(kOne) != std::string_view::npos;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Linear in practice: after a failure only the last '*' is tried again.
bool glob(std::string_view pattern, std::string_view text, LetterCase letter_case) {
    const auto same = [letter_case](char a, char b) {
        return a == b || (letter_case == LetterCase::Ignored && lower(a) == lower(b));
    };
    size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == kAny) {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == kOne || same(pattern[p], text[t]))) {
            ++p, ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == kAny) ++p;
    return p == pattern.size();
}

std::string marked(std::string_view text) {
    std::string out(text);
    std::replace(out.begin(), out.end(), '*', kAny);
    std::replace(out.begin(), out.end(), '?', kOne);
    return out;
}

// The first five parts of an ARN and what follows; fewer when there are fewer.
std::vector<std::string_view> arn_parts(std::string_view arn) {
    std::vector<std::string_view> parts;
    while (parts.size() < 5) {
        const size_t colon = arn.find(':');
        if (colon == std::string_view::npos) break;
        parts.push_back(arn.substr(0, colon));
        arn.remove_prefix(colon + 1);
    }
    parts.push_back(arn);
    return parts;
}

// "aws:PrincipalTag/team, 'none'" -> name and default.
struct Variable {
    std::string name;
    std::optional<std::string> otherwise;
};
std::optional<Variable> read_variable(std::string_view inside) {
    Variable out;
    const size_t comma = inside.find(',');
    out.name = to_lower(trim(inside.substr(0, comma)));
    if (out.name.empty()) return std::nullopt;
    if (comma == std::string_view::npos) return out;
    const std::string_view quoted = trim(inside.substr(comma + 1));
    if (quoted.size() < 2 || quoted.front() != '\'' || quoted.back() != '\'') return std::nullopt;
    out.otherwise = std::string(quoted.substr(1, quoted.size() - 2));
    return out;
}

}  // namespace

std::optional<Pattern> Pattern::compile(std::string_view text, Wildcards wildcards, Variables variables) {
    Pattern out;
    out.text_ = std::string(text);
    std::string plain;
    const auto add_plain = [&](std::string_view part) { plain += wildcards == Wildcards::Yes ? marked(part) : part; };
    while (!text.empty()) {
        const size_t start = variables == Variables::Yes ? text.find("${") : std::string_view::npos;
        add_plain(text.substr(0, start));
        if (start == std::string_view::npos) break;
        const size_t end = text.find('}', start);
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view inside = text.substr(start + 2, end - start - 2);
        text.remove_prefix(end + 1);
        if (inside == "*" || inside == "?" || inside == "$") {
            plain += inside;
            continue;
        }
        auto variable = read_variable(inside);
        if (!variable) return std::nullopt;
        if (!plain.empty()) out.pieces_.push_back({std::move(plain), "", false});
        plain.clear();
        out.pieces_.push_back({variable->otherwise.value_or(""), variable->name, variable->otherwise.has_value()});
    }
    if (!plain.empty() || out.pieces_.empty()) out.pieces_.push_back({std::move(plain), "", false});
    out.constant_ = out.pieces_.size() == 1 && out.pieces_[0].variable.empty();
    if (out.constant_) {
        const std::string& all = out.pieces_[0].text;
        while (out.literal_ < all.size() && all[out.literal_] != kAny && all[out.literal_] != kOne) ++out.literal_;
    }
    out.everything_ = out.constant_ && out.pieces_[0].text == std::string(1, kAny);
    return out;
}

std::optional<std::string> Pattern::expand(const VariableLookup& lookup) const {
    std::string out;
    for (const Piece& piece : pieces_) {
        if (piece.variable.empty()) {
            out += piece.text;
            continue;
        }
        auto value = lookup ? lookup(piece.variable) : std::nullopt;
        if (!value && piece.has_default) value = piece.text;
        if (!value || has_marks(*value)) return std::nullopt;
        out += *value;
    }
    return out;
}

bool Pattern::matches(std::string_view text, LetterCase letter_case, const VariableLookup& lookup) const {
    if (everything_) return true;
    if (constant_) return glob(pieces_[0].text, text, letter_case);
    const auto expanded = expand(lookup);
    return expanded && glob(*expanded, text, letter_case);
}

bool Pattern::matches_arn(std::string_view arn, const VariableLookup& lookup) const {
    if (everything_) return true;
    if (constant_ && arn.substr(0, literal_) != std::string_view(pieces_[0].text).substr(0, literal_)) return false;
    std::optional<std::string> expanded;
    if (!constant_ && !(expanded = expand(lookup))) return false;
    const std::string_view pattern = constant_ ? std::string_view(pieces_[0].text) : std::string_view(*expanded);
    const auto wanted = arn_parts(pattern);
    const auto given = arn_parts(arn);
    if (wanted.size() < 6 || given.size() < 6) return glob(pattern, arn, LetterCase::Exact);
    for (size_t i = 0; i < wanted.size(); ++i)
        if (!glob(wanted[i], given[i], LetterCase::Exact)) return false;
    return true;
}

bool wildcard_match(std::string_view pattern, std::string_view text, LetterCase letter_case) {
    return glob(marked(pattern), text, letter_case);
}

}  // namespace millwright::resources
