#include "aws/validate.h"

#include <cmath>
#include <limits>

#include "base/encoding.h"
#include "base/strings.h"
#include "base/time.h"

namespace millwright::aws {
namespace {

// --- Decoding: types only.

ApiError serialization_exception(std::string text) { return {400, "SerializationException", std::move(text)}; }

std::string_view token_of(const Json& wire) {
    if (wire.is_bool()) return wire.as_bool() ? "TRUE_VALUE" : "FALSE_VALUE";
    return wire.is_string() ? "STRING_VALUE" : wire.is_int() ? "NUMBER_VALUE" : "DECIMAL_VALUE";
}

// The texts AWS's JSON services give for a value of the wrong type.
ApiError wrong_type(const Json& wire, ShapeType expected) {
    const bool collection =
        expected == ShapeType::List || expected == ShapeType::Map || expected == ShapeType::Structure;
    if (wire.is_array()) return serialization_exception("Start of list found where not expected");
    if (wire.is_object()) return serialization_exception("Start of structure or map found where not expected.");
    if (collection) {
        const char* type = wire.is_bool() ? "Boolean" : wire.is_string() ? "String" : "Number";
        return serialization_exception(std::string("Unrecognized collection type class java.lang.") + type);
    }
    static constexpr const char* kNames[] = {"a String", "an Integer", "a Long", "a Float",
                                             "a Double", "a Boolean",  "a Blob", "a Timestamp"};
    return serialization_exception(std::string(token_of(wire)) + " can not be converted to " +
                                   kNames[static_cast<size_t>(expected)]);
}

ApiResult<Json> decode_whole_number(const Json& wire, ShapeType type) {
    const double value = wire.is_number() ? wire.as_double() : 0.0;
    // 2^63 is the first double beyond int64.
    if (!wire.is_number() || (!wire.is_int() && (std::trunc(value) != value || std::fabs(value) >= 0x1p63)))
        return wrong_type(wire, type);
    const int64_t whole = wire.is_int() ? wire.as_int() : static_cast<int64_t>(value);
    if (type == ShapeType::Integer &&
        (whole < std::numeric_limits<int32_t>::min() || whole > std::numeric_limits<int32_t>::max()))
        return serialization_exception("NUMBER_VALUE can not be converted to an Integer");
    return Json(whole);
}

ApiResult<Json> decode_timestamp(const Json& wire) {
    constexpr double kYear10000 = 253402300800.0;
    if (wire.is_number() && std::fabs(wire.as_double()) < kYear10000) return Json(wire);
    if (wire.is_string()) {
        if (const auto time = parse_iso8601(wire.as_string())) return Json(to_epoch_seconds(*time));
        if (const auto time = parse_rfc1123(wire.as_string())) return Json(to_epoch_seconds(*time));
    }
    return wrong_type(wire, ShapeType::Timestamp);
}

ApiResult<Json> decode_scalar(const Shape& shape, const Json& wire) {
    switch (shape.type()) {
        case ShapeType::String:
            if (wire.is_string()) return Json(wire);
            break;
        case ShapeType::Boolean:
            if (wire.is_bool()) return Json(wire);
            break;
        case ShapeType::Integer:
        case ShapeType::Long:
            return decode_whole_number(wire, shape.type());
        case ShapeType::Float:
        case ShapeType::Double:
            if (wire.is_number()) return Json(wire);
            // JSON has no form for these three; the protocols spell them as text.
            if (wire == Json("NaN")) return Json(std::numeric_limits<double>::quiet_NaN());
            if (wire == Json("Infinity")) return Json(std::numeric_limits<double>::infinity());
            if (wire == Json("-Infinity")) return Json(-std::numeric_limits<double>::infinity());
            break;
        case ShapeType::Timestamp:
            return decode_timestamp(wire);
        case ShapeType::Blob:
            if (wire.is_string() && from_base64(wire.as_string())) return Json(wire);
            if (wire.is_string()) return serialization_exception("Base64 decoding failed");
            break;
        default:
            break;
    }
    return wrong_type(wire, shape.type());
}

ApiResult<Json> decode_structure(const Shape& shape, const Json& wire) {
    Json out = Json::object();
    for (const Member member : shape.members()) {
        const Json& value = wire[member.location_name()];
        if (value.is_null()) continue;
        Json decoded = TRY(decode_json(member.shape(), value));
        out.as_object().push_back({std::string(member.name()), std::move(decoded)});
    }
    return out;
}

ApiResult<Json> decode_list(const Shape& shape, const Json& wire) {
    Json out = Json::array();
    for (const Json& item : wire.items())
        out.as_array().push_back(item.is_null() ? Json() : TRY(decode_json(shape.element().shape(), item)));
    return out;
}

ApiResult<Json> decode_map(const Shape& shape, const Json& wire) {
    Json out = Json::object();
    for (const auto& [name, value] : wire.members()) {
        Json decoded;
        if (!value.is_null()) decoded = TRY(decode_json(shape.value().shape(), value));
        out.as_object().push_back({name, std::move(decoded)});
    }
    return out;
}

// --- Constraints.

class Violations {
  public:
    void add(const Shape& shape, const Json& value, const std::string& path, std::string_view constraint);
    ApiResult<void> finish() const;

  private:
    std::vector<std::string> texts_;
    size_t count_ = 0;
};

// Values in messages look as Java prints them. Long ones are cut: the answer must not be as large as the request.
constexpr size_t kMaxPrintedBytes = 2048;

void print(std::string& out, const Json& value) {
    if (out.size() > kMaxPrintedBytes) return;
    if (value.is_string()) {
        out += value.as_string();
    } else if (value.is_array()) {
        out += '[';
        for (bool first = true; const Json& item : value.as_array()) {
            if (!std::exchange(first, false)) out += ", ";
            print(out, item);
        }
        out += ']';
    } else if (value.is_object()) {
        out += '{';
        for (bool first = true; const auto& member : value.as_object()) {
            if (!std::exchange(first, false)) out += ", ";
            out.append(member.name).append("=");
            print(out, member.value);
        }
        out += '}';
    } else {
        out += value.dump();
    }
}

std::string printed(const Shape& shape, const Json& value) {
    std::string out;
    if (shape.type() == ShapeType::Blob && value.is_string()) {
        const std::string size = std::to_string(from_base64(value.as_string()).value_or("").size());
        return "java.nio.HeapByteBuffer[pos=0 lim=" + size + " cap=" + size + "]";
    }
    print(out, value);
    if (out.size() <= kMaxPrintedBytes) return out;
    out.resize(kMaxPrintedBytes);
    return out + "...";
}

void Violations::add(const Shape& shape, const Json& value, const std::string& path, std::string_view constraint) {
    if (++count_ > kMaxListedErrors) return;
    const std::string shown = value.is_null()     ? "Value null"
                              : shape.sensitive() ? "Value"
                                                  : "Value '" + printed(shape, value) + "'";
    texts_.push_back(shown + " at '" + path + "' failed to satisfy constraint: " + std::string(constraint));
}

ApiResult<void> Violations::finish() const {
    if (count_ == 0) return {};
    return validation_exception(std::to_string(count_) + (count_ == 1 ? " validation error" : " validation errors") +
                                " detected: " + join(texts_, "; "));
}

std::string limit_text(double limit) {
    std::string out;
    if (std::trunc(limit) == limit && std::fabs(limit) < 0x1p63)
        out = std::to_string(static_cast<int64_t>(limit));
    else
        append_double(out, limit);
    return out;
}

// What `min` and `max` bound: the value of a number, the length of anything else.
double measure(const Shape& shape, const Json& value) {
    switch (shape.type()) {
        case ShapeType::String:
            return static_cast<double>(utf8_length(value.as_string()));
        case ShapeType::Blob:
            return static_cast<double>(from_base64(value.as_string()).value_or("").size());
        case ShapeType::List:
        case ShapeType::Map:
            return static_cast<double>(value.size());
        default:
            return value.is_number() ? value.as_double() : 0.0;
    }
}

bool is_number(ShapeType type) {
    return type == ShapeType::Integer || type == ShapeType::Long || type == ShapeType::Float ||
           type == ShapeType::Double;
}

enum class Which { All, Failed };

// The texts of the constraints a scalar or a collection as a whole carries: all, or those `value` fails.
std::vector<std::string> constraints(const Shape& shape, const Json& value, Which which) {
    std::vector<std::string> out;
    const auto add = [&](bool holds, const std::string& text) {
        if (which == Which::All || !holds) out.push_back(text);
    };
    if (!shape.enum_values().empty()) {
        std::vector<std::string> names;
        bool found = false;
        for (const std::string_view name : shape.enum_values()) {
            found = found || (value.is_string() && value.as_string() == name);
            names.emplace_back(name);
        }
        add(found, "Member must satisfy enum value set: [" + join(names, ", ") + "]");
    }
    const std::string form = is_number(shape.type()) ? "Member must have value " : "Member must have length ";
    const double size = value.is_null() ? 0 : measure(shape, value);
    // NaN and the infinities, which the protocols can carry, lie within no limits.
    const bool finite = std::isfinite(size);
    if (const auto max = shape.max()) add(finite && size <= *max, form + "less than or equal to " + limit_text(*max));
    if (const auto min = shape.min())
        add(finite && size >= *min, form + "greater than or equal to " + limit_text(*min));
    if (!shape.pattern().empty())
        add(value.is_string() && matches_model_pattern(shape, value.as_string()),
            "Member must satisfy regular expression pattern: " + std::string(shape.pattern()));
    return out;
}

bool holds_constraints(const Shape& shape, const Json& value) {
    if (value.is_null()) return false;
    return constraints(shape, value, Which::Failed).empty();
}

bool is_collection(ShapeType type) {
    return type == ShapeType::List || type == ShapeType::Map || type == ShapeType::Structure;
}

class Checker {
  public:
    void check(const Shape& shape, const Json& value);
    ApiResult<void> finish() const { return violations_.finish(); }

  private:
    void check_structure(const Shape& shape, const Json& value);
    void check_list(const Shape& shape, const Json& value);
    void check_map(const Shape& shape, const Json& value);
    void check_elements(const Shape& collection, const Json& value, const Shape& element, const Json::Array& items,
                        std::string_view form);
    void check_at(std::string_view step, const Shape& shape, const Json& value);

    Violations violations_;
    std::string path_;  // "productionVariants.1.member.modelName"
};

void Checker::check(const Shape& shape, const Json& value) {
    if (shape.type() == ShapeType::Structure) return check_structure(shape, value);
    for (const std::string& text : constraints(shape, value, Which::Failed)) violations_.add(shape, value, path_, text);
    if (shape.type() == ShapeType::List) check_list(shape, value);
    if (shape.type() == ShapeType::Map) check_map(shape, value);
}

void Checker::check_at(std::string_view step, const Shape& shape, const Json& value) {
    const size_t before = path_.size();
    if (before > 0) path_ += '.';
    path_ += step;
    if (value.is_null())
        violations_.add(shape, value, path_, "Member must not be null");
    else
        check(shape, value);
    path_.resize(before);
}

void Checker::check_structure(const Shape& shape, const Json& value) {
    size_t present = 0;
    for (const Member member : shape.members()) {
        const Json& inner = value[member.name()];
        if (inner.is_null() && !member.required()) continue;
        present += !inner.is_null();
        std::string step(member.name());
        if (step[0] >= 'A' && step[0] <= 'Z') step[0] = static_cast<char>(step[0] + 32);
        check_at(step, member.shape(), inner);
    }
    if (shape.is_union() && present != 1)
        violations_.add(shape, value, path_, "Exactly one member of the union must be set");
}

// Scalars in collections are reported once for the whole collection, with every constraint they are under; documents in
// collections are reported one by one, with their position.
void Checker::check_elements(const Shape& collection, const Json& value, const Shape& element, const Json::Array& items,
                             std::string_view form) {
    for (const Json& item : items) {
        if (holds_constraints(element, item)) continue;
        auto texts = constraints(element, item, Which::All);
        if (item.is_null()) texts.insert(texts.begin(), "Member must not be null");
        const bool hidden = element.sensitive();
        return violations_.add(hidden ? element : collection, value, path_,
                               std::string(form) + " [" + join(texts, ", ") + "]");
    }
}

void Checker::check_list(const Shape& shape, const Json& value) {
    const Shape element = shape.element().shape();
    if (!is_collection(element.type()))
        return check_elements(shape, value, element, value.as_array(), "Member must satisfy constraint:");
    size_t position = 0;
    for (const Json& item : value.as_array()) check_at(std::to_string(++position) + ".member", element, item);
}

void Checker::check_map(const Shape& shape, const Json& value) {
    Json::Array keys, values;
    for (const auto& [name, inner] : value.as_object()) keys.emplace_back(name);
    check_elements(shape, value, shape.key().shape(), keys, "Map keys must satisfy constraint:");
    const Shape element = shape.value().shape();
    if (is_collection(element.type())) {
        for (const auto& [name, inner] : value.as_object()) check_at(name + ".member", element, inner);
        return;
    }
    for (const auto& [name, inner] : value.as_object()) values.push_back(inner);
    check_elements(shape, value, element, values, "Map value must satisfy constraint:");
}

}  // namespace

ApiResult<Json> decode_json(const Shape& shape, const Json& wire) {
    if (shape.is_document()) return Json(wire);
    switch (shape.type()) {
        case ShapeType::Structure:
            if (wire.is_object()) return decode_structure(shape, wire);
            break;
        case ShapeType::List:
            if (wire.is_array()) return decode_list(shape, wire);
            break;
        case ShapeType::Map:
            if (wire.is_object()) return decode_map(shape, wire);
            break;
        default:
            return decode_scalar(shape, wire);
    }
    return wrong_type(wire, shape.type());
}

ApiResult<void> validate(const Shape& shape, const Json& document) {
    Checker checker;
    checker.check(shape, document);
    return checker.finish();
}

}  // namespace millwright::aws
