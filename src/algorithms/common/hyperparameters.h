// Hyperparameters, declared once as a table: the checks, the error texts, the defaults and the reference page
// all come from it.
//
//   const HyperparameterTable& hyperparameters() {
//       static const HyperparameterTable table(ErrorStyle::FirstParty, {
//           {.name = "num_components", .type = HyperparameterType::Integer, .required = true, .range =
//           above(0),
//            .description = "Number of directions."},
//           {.name = "subtract_mean", .type = HyperparameterType::Boolean, .default_value = "true"},
//       });
//       return table;
//   }
//   auto values = TRY(hyperparameters().parse(environment.hyperparameters, environment.algorithm_version));
//   values.integer("num_components");
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms {

// All arrive as text. Boolean: true or false in any case, 1 or 0. CommaList: names between commas, a JSON
// list or a Python one. IntegerTuple: (1,-1) or [1,-1]. NestedList: [[0,1],[2]].
enum class HyperparameterType { Integer, Float, Boolean, Enum, String, CommaList, IntegerTuple, NestedList };

struct Range {
    std::optional<double> min{};
    std::optional<double> max{};
    bool min_open = false;  // min itself is not allowed
    bool max_open = false;

    bool contains(double value) const;  // never for NaN
    std::string interval() const;       // "[0.0, 1.0)", "(0, +inf)"
    bool limited() const { return min.has_value() || max.has_value(); }
};

Range at_least(double min);
Range above(double min);
Range between(double min, double max);      // both ends allowed
Range above_up_to(double min, double max);  // (min, max]
Range strictly_between(double min, double max);

struct Hyperparameter {
    std::string name{};
    HyperparameterType type = HyperparameterType::String;
    bool required = false;
    std::string default_value{};        // as text; empty: the algorithm sees that it was not given
    std::string documented_default{};   // for the reference page, when the algorithm itself decides
    Range range{};                      // Integer, Float; each element of IntegerTuple and NestedList
    std::vector<std::string> values{};  // Enum, CommaList; empty: any
    bool auto_allowed = false;          // the word "auto" besides the type's own values
    std::vector<std::string> aliases{};
    std::string description{};
    bool tunable = false;
    // Image tags that know it, in words for the reference page and as a test; unset: all.
    std::string available_in{};
    std::function<bool(std::string_view version)> available{};
};

// Whose words an error uses.
//   FirstParty:       Additional hyperparameters are not allowed ('x' was unexpected) (caused by
//   ValidationError) XGBoostContainer: Extraneous hyperparameter found: x
enum class ErrorStyle { FirstParty, XGBoostContainer };

// The checked values, by canonical name; defaults are filled in.
class HyperparameterValues {
  public:
    bool given(std::string_view name) const;  // by the user
    bool has(std::string_view name) const;    // given, or by default
    bool is_auto(std::string_view name) const { return has(name) && text(name) == "auto"; }

    // REQUIRES: has(name), not auto, and the type fits.
    const std::string& text(std::string_view name) const;
    int64_t integer(std::string_view name) const;
    double number(std::string_view name) const;
    bool boolean(std::string_view name) const;
    std::vector<std::string> list(std::string_view name) const;
    std::vector<std::vector<int64_t>> nested(std::string_view name) const;

    std::string text_or(std::string_view name, std::string_view otherwise) const;
    int64_t integer_or(std::string_view name, int64_t otherwise) const;

    void set(std::string_view name, std::string value);
    void erase(std::string_view name);
    const std::map<std::string, std::string, std::less<>>& all() const { return values_; }

  private:
    friend class HyperparameterTable;
    std::map<std::string, std::string, std::less<>> values_;
    std::set<std::string, std::less<>> given_;
};

class HyperparameterTable {
  public:
    HyperparameterTable(ErrorStyle style, std::vector<Hyperparameter> hyperparameters);

    // Checks names, required ones, forms and ranges; the first error in the container's order (required,
    // unknown, form, range) as InvalidInput, without "ClientError: ". Unknown names that start with '_' are
    // the platform's and are dropped. Values that a client put through JSON ("\"abc\"") lose their quotes.
    Result<HyperparameterValues> parse(const std::map<std::string, std::string>& given,
                                       std::string_view version = "") const;

    const std::vector<Hyperparameter>& all() const { return hyperparameters_; }
    const Hyperparameter* find(std::string_view name_or_alias) const;
    // The table of the reference page.
    std::string markdown() const;

  private:
    Result<void> check_value(const Hyperparameter& hyperparameter, const std::string& value) const;
    Error unknown(std::string_view name) const;
    Error missing(std::string_view name) const;
    Error unparsable(const Hyperparameter& hyperparameter, std::string_view value) const;
    Error outside(const Hyperparameter& hyperparameter, std::string_view value) const;

    ErrorStyle style_;
    std::vector<Hyperparameter> hyperparameters_;
};

}  // namespace millwright::algorithms
