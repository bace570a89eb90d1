#include "resources/logs/filter_pattern.h"

#include <algorithm>

namespace millwright::resources {
namespace {

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Takes one term off the front of `text`.
Result<std::string> take_term(std::string_view& text) {
    std::string term;
    if (text.empty() || text.front() != '"') {
        while (!text.empty() && is_word(text.front())) {
            term += text.front();
            text.remove_prefix(1);
        }
        if (term.empty() || !(text.empty() || is_space(text.front())))
            return invalid_input(
                "Invalid filter pattern: a term with other characters than letters, digits and _ needs "
                "quotes");
        return term;
    }
    for (text.remove_prefix(1); !text.empty() && text.front() != '"'; text.remove_prefix(1)) {
        if (text.front() == '\\' && text.size() > 1 && (text[1] == '"' || text[1] == '\\')) text.remove_prefix(1);
        term += text.front();
    }
    if (text.empty()) return invalid_input("Invalid filter pattern: a quote is not closed");
    text.remove_prefix(1);
    return term;
}

}  // namespace

Result<FilterPattern> FilterPattern::parse(std::string_view text) {
    FilterPattern pattern;
    const auto first = std::find_if_not(text.begin(), text.end(), is_space);
    if (first != text.end() && (*first == '{' || *first == '[' || *first == '%'))
        return invalid_input(std::string("Invalid filter pattern: Millwright does not evaluate ") +
                             (*first == '{'   ? "JSON"
                              : *first == '[' ? "space-delimited"
                                              : "regular expression") +
                             " patterns yet; use terms");
    for (;;) {
        while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
        if (text.empty()) break;
        auto* terms = &pattern.all_;
        if (text.front() == '-') terms = &pattern.none_;
        if (text.front() == '?') terms = &pattern.any_;
        if (terms != &pattern.all_) text.remove_prefix(1);
        terms->push_back(TRY(take_term(text)));
    }
    if (!pattern.any_.empty() && !(pattern.all_.empty() && pattern.none_.empty()))
        return invalid_input("Invalid filter pattern: terms with ? cannot be combined with other terms");
    return pattern;
}

bool FilterPattern::matches(std::string_view message) const {
    const auto contained = [&](const std::string& term) { return message.find(term) != std::string_view::npos; };
    return std::all_of(all_.begin(), all_.end(), contained) && std::none_of(none_.begin(), none_.end(), contained) &&
           (any_.empty() || std::any_of(any_.begin(), any_.end(), contained));
}

}  // namespace millwright::resources
