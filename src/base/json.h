// A JSON document as a value: parse, build, read, print.
//
// Objects keep the order in which members were added. Reading a missing member yields null, so paths chain:
//   request["AlgorithmSpecification"]["TrainingImage"].string_or("")
// Not thread-safe for writing; const use from several threads is fine.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace millwright {

struct JsonMember;

class Json {
  public:
    using Array = std::vector<Json>;
    using Object = std::vector<JsonMember>;

    // Defined below, where members are complete.
    Json();  // null
    Json(std::nullptr_t);
    Json(bool value);
    Json(int value);
    Json(int64_t value);
    Json(uint64_t value);
    Json(double value);
    Json(const char* value);
    Json(std::string value);
    Json(std::string_view value);
    Json(Array value);
    Json(const Json&);
    Json(Json&&) noexcept;
    Json& operator=(const Json&);
    Json& operator=(Json&&) noexcept;
    ~Json();

    static Json array();
    static Json array(std::initializer_list<Json> items);
    static Json object();
    static Json object(std::initializer_list<JsonMember> members);

    // Strict RFC 8259; nesting up to 128 levels. Fails with InvalidInput.
    static Result<Json> parse(std::string_view text);
    // Compact text; doubles in the shortest form that reads back to the same bits, NaN and infinities as null.
    std::string dump() const;

    bool is_null() const;
    bool is_bool() const;
    bool is_int() const;
    bool is_number() const;
    bool is_string() const;
    bool is_array() const;
    bool is_object() const;

    // REQUIRES: the matching is_…(); as_double takes either number form.
    bool as_bool() const;
    int64_t as_int() const;
    double as_double() const;
    const std::string& as_string() const;
    const Array& as_array() const;
    Array& as_array();
    const Object& as_object() const;
    Object& as_object();

    // The value when it has the type, otherwise the given one.
    bool bool_or(bool otherwise) const;
    int64_t int_or(int64_t otherwise) const;
    double double_or(double otherwise) const;
    std::string string_or(std::string_view otherwise) const;
    // Elements of an array, members of an object; empty for anything else.
    const Array& items() const;
    const Object& members() const;

    const Json* find(std::string_view name) const;  // null when absent or not an object
    bool has(std::string_view name) const { return find(name) != nullptr; }
    const Json& operator[](std::string_view name) const;  // a null document when absent
    const Json& operator[](size_t index) const;           // likewise
    // A null document becomes an object first. Replaces an existing member.
    Json& set(std::string_view name, Json value);
    bool erase(std::string_view name);
    // A null document becomes an array first.
    void push_back(Json value);
    size_t size() const;

    friend bool operator==(const Json& a, const Json& b);

  private:
    explicit Json(Object value);
    std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

struct JsonMember {
    std::string name;
    Json value;
    friend bool operator==(const JsonMember& a, const JsonMember& b) = default;
};

inline Json::Json() = default;
inline Json::Json(std::nullptr_t) {}
inline Json::Json(bool value) : value_(value) {}
inline Json::Json(int value) : value_(static_cast<int64_t>(value)) {}
inline Json::Json(int64_t value) : value_(value) {}
inline Json::Json(uint64_t value) : value_(static_cast<int64_t>(value)) {}
inline Json::Json(double value) : value_(value) {}
inline Json::Json(const char* value) : value_(std::string(value)) {}
inline Json::Json(std::string value) : value_(std::move(value)) {}
inline Json::Json(std::string_view value) : value_(std::string(value)) {}

inline bool Json::is_null() const { return value_.index() == 0; }
inline bool Json::is_bool() const { return std::holds_alternative<bool>(value_); }
inline bool Json::is_int() const { return std::holds_alternative<int64_t>(value_); }
inline bool Json::is_number() const { return is_int() || std::holds_alternative<double>(value_); }
inline bool Json::is_string() const { return std::holds_alternative<std::string>(value_); }
inline bool Json::is_array() const { return std::holds_alternative<Array>(value_); }
inline bool Json::is_object() const { return std::holds_alternative<Object>(value_); }

inline bool Json::bool_or(bool otherwise) const { return is_bool() ? as_bool() : otherwise; }
inline int64_t Json::int_or(int64_t otherwise) const { return is_int() ? as_int() : otherwise; }
inline double Json::double_or(double otherwise) const { return is_number() ? as_double() : otherwise; }
inline std::string Json::string_or(std::string_view otherwise) const {
    return is_string() ? as_string() : std::string(otherwise);
}

// Appends `text` as a quoted JSON string. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);
// Appends the shortest decimal form that reads back to the same value.
void append_double(std::string& out, double value);

}  // namespace millwright
