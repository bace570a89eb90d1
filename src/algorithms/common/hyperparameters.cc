#include "algorithms/common/hyperparameters.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "algorithms/common/job_log.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::algorithms {
namespace {

std::string bound_text(double value) {
    if (value == std::floor(value) && std::fabs(value) < 1e15) return std::to_string(static_cast<int64_t>(value));
    return python_float(value);
}

// ['a', 'b'], as Python prints a list of strings.
std::string python_list(const std::vector<std::string>& values) {
    std::string out = "[";
    for (const std::string& value : values) {
        if (out.size() > 1) out += ", ";
        out += "'" + value + "'";
    }
    return out + "]";
}

std::optional<int64_t> parse_python_int(std::string_view text) {
    text = trim(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    return parse_int(text);
}

std::optional<double> parse_python_float(std::string_view text) {
    text = trim(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    const std::string lower = to_lower(text);
    if (lower == "inf" || lower == "infinity") return std::numeric_limits<double>::infinity();
    if (lower == "-inf" || lower == "-infinity") return -std::numeric_limits<double>::infinity();
    if (lower == "nan" || lower == "-nan") return std::numeric_limits<double>::quiet_NaN();
    return parse_double(text);
}

std::optional<bool> parse_boolean(std::string_view text) {
    const std::string lower = to_lower(trim(text));
    if (lower == "true" || lower == "1") return true;
    if (lower == "false" || lower == "0") return false;
    return std::nullopt;
}

// a,b,c or ["a","b"] or ['a', 'b'].
std::vector<std::string> parse_list(std::string_view text) {
    text = trim(text);
    const bool bracketed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
    if (bracketed) text = text.substr(1, text.size() - 2);
    std::vector<std::string> out;
    if (trim(text).empty()) return out;
    for (std::string_view part : split(text, ',')) {
        part = trim(part);
        const bool quoted =
            part.size() >= 2 && part.front() == part.back() && (part.front() == '"' || part.front() == '\'');
        out.emplace_back(quoted ? part.substr(1, part.size() - 2) : part);
    }
    return out;
}

// Nested lists of integers, Python's tuples included; null when it is anything else. One level is a list of
// one row.
std::optional<std::vector<std::vector<int64_t>>> parse_integer_lists(std::string_view text, bool nested) {
    std::string json(trim(text));
    std::replace(json.begin(), json.end(), '(', '[');
    std::replace(json.begin(), json.end(), ')', ']');
    if (json.size() >= 2 && json[json.size() - 2] == ',') json.erase(json.size() - 2, 1);  // (1,)
    auto parsed = Json::parse(json);
    if (!parsed || !parsed->is_array()) return std::nullopt;
    std::vector<Json> rows = nested ? parsed->items() : std::vector<Json>{*parsed};
    std::vector<std::vector<int64_t>> out;
    for (const Json& row : rows) {
        if (!row.is_array()) return std::nullopt;
        std::vector<int64_t>& numbers = out.emplace_back();
        for (const Json& number : row.items()) {
            if (!number.is_int()) return std::nullopt;
            numbers.push_back(number.as_int());
        }
    }
    return out;
}

// Clients that put every value through JSON send strings with quotes.
std::string without_json_quotes(const std::string& value) {
    if (value.size() < 2 || value.front() != '"' || value.back() != '"') return value;
    auto parsed = Json::parse(value);
    return parsed && parsed->is_string() ? parsed->as_string() : value;
}

std::string_view type_name(HyperparameterType type) {
    switch (type) {
        case HyperparameterType::Integer:
            return "Integer";
        case HyperparameterType::Float:
            return "Float";
        case HyperparameterType::Boolean:
            return "Boolean";
        case HyperparameterType::Enum:
            return "Categorical";
        case HyperparameterType::String:
            return "String";
        case HyperparameterType::CommaList:
            return "List";
        case HyperparameterType::IntegerTuple:
            return "Tuple";
        case HyperparameterType::NestedList:
            return "NestedList";
    }
    return "String";
}

// The words of the validator that first-party images use.
std::string outside_in_first_party_words(const Hyperparameter& hyperparameter, std::string_view shown) {
    constexpr std::string_view kCause = " (caused by ValidationError)";
    const Range& range = hyperparameter.range;
    const bool numeric =
        hyperparameter.type == HyperparameterType::Integer || hyperparameter.type == HyperparameterType::Float;
    if (!numeric)
        return "'" + std::string(shown) + "' is not one of " + python_list(hyperparameter.values) + std::string(kCause);
    const double number = parse_python_float(shown).value_or(std::numeric_limits<double>::quiet_NaN());
    std::string text(shown);
    if (range.min && (number < *range.min || (range.min_open && number == *range.min))) {
        text += std::string(" is less than ") + (range.min_open ? "or equal to " : "") + "the minimum of " +
                bound_text(*range.min);
    } else if (range.max && (number > *range.max || (range.max_open && number == *range.max))) {
        text += std::string(" is greater than ") + (range.max_open ? "or equal to " : "") + "the maximum of " +
                bound_text(*range.max);
    } else {
        text += " is not a number in " + range.interval();
    }
    return text + std::string(kCause);
}

std::string table_cell(std::string_view text) { return replace_all(text, "|", "\\|"); }

std::string range_cell(const Hyperparameter& hyperparameter) {
    std::string out;
    if (!hyperparameter.values.empty()) out = join(hyperparameter.values, ", ");
    if (hyperparameter.type == HyperparameterType::Boolean) out = "true, false";
    if (hyperparameter.range.limited()) out = hyperparameter.range.interval();
    if (hyperparameter.auto_allowed) out += out.empty() ? "auto" : ", or auto";
    return out;
}

}  // namespace

Range at_least(double min) { return {.min = min, .max = std::nullopt}; }
Range above(double min) { return {.min = min, .max = std::nullopt, .min_open = true}; }
Range between(double min, double max) { return {.min = min, .max = max}; }
Range above_up_to(double min, double max) { return {.min = min, .max = max, .min_open = true}; }
Range strictly_between(double min, double max) { return {.min = min, .max = max, .min_open = true, .max_open = true}; }

bool Range::contains(double value) const {
    if (std::isnan(value)) return false;
    if (min && (value < *min || (min_open && value == *min))) return false;
    return !(max && (value > *max || (max_open && value == *max)));
}

std::string Range::interval() const {
    std::string out = min ? (min_open ? "(" : "[") + bound_text(*min) : "(-inf";
    out += ", ";
    return out + (max ? bound_text(*max) + (max_open ? ")" : "]") : "+inf)");
}

bool HyperparameterValues::given(std::string_view name) const { return given_.find(name) != given_.end(); }
bool HyperparameterValues::has(std::string_view name) const { return values_.find(name) != values_.end(); }

const std::string& HyperparameterValues::text(std::string_view name) const {
    const auto found = values_.find(name);
    CHECK(found != values_.end());
    return found->second;
}

int64_t HyperparameterValues::integer(std::string_view name) const {
    const auto value = parse_python_int(text(name));
    CHECK(value.has_value());
    return *value;
}

double HyperparameterValues::number(std::string_view name) const {
    const auto value = parse_python_float(text(name));
    CHECK(value.has_value());
    return *value;
}

bool HyperparameterValues::boolean(std::string_view name) const {
    const auto value = parse_boolean(text(name));
    CHECK(value.has_value());
    return *value;
}

std::vector<std::string> HyperparameterValues::list(std::string_view name) const { return parse_list(text(name)); }

std::vector<std::vector<int64_t>> HyperparameterValues::nested(std::string_view name) const {
    auto value = parse_integer_lists(text(name), true);
    if (!value) value = parse_integer_lists(text(name), false);
    CHECK(value.has_value());
    return *value;
}

std::string HyperparameterValues::text_or(std::string_view name, std::string_view otherwise) const {
    return has(name) ? text(name) : std::string(otherwise);
}

int64_t HyperparameterValues::integer_or(std::string_view name, int64_t otherwise) const {
    return has(name) ? integer(name) : otherwise;
}

void HyperparameterValues::set(std::string_view name, std::string value) {
    values_.insert_or_assign(std::string(name), std::move(value));
}

void HyperparameterValues::erase(std::string_view name) {
    if (const auto found = values_.find(name); found != values_.end()) values_.erase(found);
}

HyperparameterTable::HyperparameterTable(ErrorStyle style, std::vector<Hyperparameter> hyperparameters)
    : style_(style), hyperparameters_(std::move(hyperparameters)) {
    for (const Hyperparameter& hyperparameter : hyperparameters_) {
        CHECK(hyperparameter.default_value.empty() || check_value(hyperparameter, hyperparameter.default_value));
    }
}

const Hyperparameter* HyperparameterTable::find(std::string_view name_or_alias) const {
    for (const Hyperparameter& candidate : hyperparameters_) {
        if (candidate.name == name_or_alias) return &candidate;
        if (std::find(candidate.aliases.begin(), candidate.aliases.end(), name_or_alias) != candidate.aliases.end()) {
            return &candidate;
        }
    }
    return nullptr;
}

Result<HyperparameterValues> HyperparameterTable::parse(const std::map<std::string, std::string>& given,
                                                        std::string_view version) const {
    HyperparameterValues out;
    std::vector<std::string> unknown_names;
    for (const auto& [name, raw] : given) {
        const Hyperparameter* hyperparameter = find(name);
        const bool known =
            hyperparameter != nullptr && (!hyperparameter->available || hyperparameter->available(version));
        if (!known) {
            if (!name.starts_with('_')) unknown_names.push_back(name);
            continue;
        }
        if (!out.given_.insert(hyperparameter->name).second) {
            return invalid_input("Hyperparameter " + hyperparameter->name + ": given twice, also under another name");
        }
        out.values_[hyperparameter->name] = without_json_quotes(raw);
    }
    for (const Hyperparameter& hyperparameter : hyperparameters_) {
        if (out.given(hyperparameter.name)) continue;
        if (hyperparameter.required) return missing(hyperparameter.name);
        if (!hyperparameter.default_value.empty()) out.values_[hyperparameter.name] = hyperparameter.default_value;
    }
    if (!unknown_names.empty()) return unknown(unknown_names.front());
    for (const auto& [name, value] : out.values_) TRY(check_value(*find(name), value));
    return out;
}

Result<void> HyperparameterTable::check_value(const Hyperparameter& hyperparameter, const std::string& value) const {
    if (hyperparameter.auto_allowed && value == "auto") return {};
    const auto allowed = [&](const std::string& word) {
        return hyperparameter.values.empty() || std::find(hyperparameter.values.begin(), hyperparameter.values.end(),
                                                          word) != hyperparameter.values.end();
    };
    switch (hyperparameter.type) {
        case HyperparameterType::Integer: {
            const auto number = parse_python_int(value);
            if (!number) return unparsable(hyperparameter, value);
            if (!hyperparameter.range.contains(static_cast<double>(*number)))
                return outside(hyperparameter, std::to_string(*number));
            return {};
        }
        case HyperparameterType::Float: {
            const auto number = parse_python_float(value);
            if (!number) return unparsable(hyperparameter, value);
            if (!hyperparameter.range.contains(*number)) return outside(hyperparameter, python_float(*number));
            return {};
        }
        case HyperparameterType::Boolean:
            if (!parse_boolean(value)) return outside(hyperparameter, value);
            return {};
        case HyperparameterType::Enum:
            if (!allowed(value)) return outside(hyperparameter, value);
            return {};
        case HyperparameterType::CommaList: {
            const auto words = parse_list(value);
            if (!std::all_of(words.begin(), words.end(), allowed)) return outside(hyperparameter, python_list(words));
            return {};
        }
        case HyperparameterType::IntegerTuple:
        case HyperparameterType::NestedList: {
            const auto rows = parse_integer_lists(value, hyperparameter.type == HyperparameterType::NestedList);
            if (!rows) return unparsable(hyperparameter, value);
            for (const auto& row : *rows) {
                for (const int64_t number : row) {
                    if (!hyperparameter.range.contains(static_cast<double>(number)))
                        return outside(hyperparameter, value);
                }
            }
            return {};
        }
        case HyperparameterType::String:
            return {};
    }
    return {};
}

Error HyperparameterTable::unknown(std::string_view name) const {
    const Hyperparameter* other_version = find(name);
    const std::string note =
        other_version != nullptr ? " (known to image tags " + other_version->available_in + ")" : std::string();
    if (style_ == ErrorStyle::XGBoostContainer)
        return invalid_input("Extraneous hyperparameter found: " + std::string(name) + note);
    return invalid_input("Additional hyperparameters are not allowed ('" + std::string(name) +
                         "' was unexpected) (caused by ValidationError)" + note);
}

Error HyperparameterTable::missing(std::string_view name) const {
    if (style_ == ErrorStyle::XGBoostContainer)
        return invalid_input("Missing required hyperparameter: " + std::string(name));
    return invalid_input("'" + std::string(name) + "' is a required property (caused by ValidationError)");
}

Error HyperparameterTable::unparsable(const Hyperparameter& hyperparameter, std::string_view value) const {
    if (style_ == ErrorStyle::XGBoostContainer) {
        return invalid_input("Hyperparameter " + hyperparameter.name +
                             ": could not parse value (caused by ValueError)");
    }
    return invalid_input("Failed to parse hyperparameter " + hyperparameter.name + " value " + std::string(value) +
                         " to " + std::string(type_name(hyperparameter.type)) + ". (caused by ValueError)");
}

Error HyperparameterTable::outside(const Hyperparameter& hyperparameter, std::string_view shown) const {
    if (style_ == ErrorStyle::FirstParty) {
        return invalid_input("Hyperparameter " + hyperparameter.name + ": " +
                             outside_in_first_party_words(hyperparameter, shown));
    }
    const bool single =
        hyperparameter.type == HyperparameterType::Integer || hyperparameter.type == HyperparameterType::Float ||
        hyperparameter.type == HyperparameterType::Enum || hyperparameter.type == HyperparameterType::Boolean;
    const std::vector<std::string> words = hyperparameter.type == HyperparameterType::Boolean
                                               ? std::vector<std::string>{"true", "false"}
                                               : hyperparameter.values;
    const std::string allowed = words.empty() ? hyperparameter.range.interval() : python_list(words);
    if (single)
        return invalid_input("Hyperparameter " + hyperparameter.name + ": " + std::string(shown) + " is not in " +
                             allowed);
    return invalid_input("Hyperparameter " + hyperparameter.name + ": value " + std::string(shown) + " not in range " +
                         allowed);
}

std::string HyperparameterTable::markdown() const {
    std::string out =
        "| Name | Type | Default | Range or values | Tunable | Image tags | Meaning "
        "|\n|---|---|---|---|---|---|---|\n";
    for (const Hyperparameter& hyperparameter : hyperparameters_) {
        std::string name = "`" + hyperparameter.name + "`";
        for (const std::string& alias : hyperparameter.aliases) name += ", `" + alias + "`";
        std::string standard = hyperparameter.documented_default.empty() ? hyperparameter.default_value
                                                                         : hyperparameter.documented_default;
        if (hyperparameter.required) standard = "required";
        out += "| " + name + " | " + std::string(type_name(hyperparameter.type)) + " | " + table_cell(standard) +
               " | " + table_cell(range_cell(hyperparameter)) + " | " + (hyperparameter.tunable ? "yes" : "") + " | " +
               table_cell(hyperparameter.available_in.empty() ? "all" : hyperparameter.available_in) + " | " +
               table_cell(hyperparameter.description) + " |\n";
    }
    return out;
}

}  // namespace millwright::algorithms
