// JSON as Python's json module sees it: what user scripts get from the toolkits is the outcome of json.loads,
// json.dumps and str(), so numbers keep their digits, NaN and Infinity are values, and lists print as "['a', 1]".
//
// base/json.h is no help here: it turns large integers into doubles, and it needs a shared library, which the runner's
// start has no time for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::script_mode {

class Value {
  public:
    enum class Kind { None, Bool, Int, Float, String, List, Dict };
    using Member = std::pair<std::string, Value>;

    Value() = default;  // None
    static Value boolean(bool value);
    static Value integer(std::string_view digits);  // any length; REQUIRES: an integer of JSON
    static Value integer(long long value);
    static Value floating(double value);
    static Value string(std::string_view text);
    static Value list(std::vector<Value> items = {});
    static Value strings(const std::vector<std::string>& items);
    static Value dict(std::vector<Member> members = {});

    // json.loads; nesting up to 100 levels, a repeated name keeps its last value. InvalidInput says where.
    static Result<Value> parse(std::string_view text);
    // json.dumps(value, sort_keys=True, separators=(",", ":")): ASCII only.
    std::string dump() const;
    // str(value); None is "None".
    std::string str() const;
    // repr(value): strings in quotes.
    std::string repr() const;

    Kind kind() const { return kind_; }
    bool is_none() const { return kind_ == Kind::None; }
    bool is_string() const { return kind_ == Kind::String; }
    bool is_list() const { return kind_ == Kind::List; }
    bool is_dict() const { return kind_ == Kind::Dict; }
    // Python's truth: not None, False, 0, "" or empty.
    bool truth() const;

    // The text of a string; the digits of a number; empty for the rest.
    const std::string& text() const { return text_; }
    std::string text_or(std::string_view otherwise) const;  // of a string that is not empty
    // Of an integer, or of a string that is one.
    std::optional<long long> as_integer() const;
    // Items of a list of strings; other items are left out.
    std::vector<std::string> string_items() const;
    const std::vector<Value>& items() const { return items_; }
    // Of a dict, in the order of the document.
    const std::vector<Member>& members() const { return members_; }
    const Value* find(std::string_view name) const;        // null when absent or not a dict
    const Value& operator[](std::string_view name) const;  // None when absent
    void set(std::string_view name, Value value);          // REQUIRES: a dict
    bool has(std::string_view name) const { return find(name) != nullptr; }

  private:
    Kind kind_ = Kind::None;
    std::string text_;  // String: the text; Int: decimal digits; Float: repr of Python; Bool: "True" or "False"
    std::vector<Value> items_;
    std::vector<Member> members_;
};

// repr() of a Python float: the shortest digits that read back, "1e-05", "10000.0", "nan", "inf".
std::string python_float(double value);

}  // namespace millwright::script_mode
