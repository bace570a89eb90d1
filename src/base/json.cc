#include "base/json.h"

#include <charconv>
#include <cmath>

#include <simdjson.h>

#include "base/strings.h"

namespace millwright {
namespace {

constexpr size_t kMaxDepth = 128;
constexpr size_t kUsualBytes = size_t{16} << 10;

Result<Json> convert(const simdjson::dom::element& element) {
    using simdjson::dom::element_type;
    switch (element.type()) {
        case element_type::ARRAY: {
            Json out = Json::array();
            for (const auto& item : simdjson::dom::array(element)) out.push_back(TRY(convert(item)));
            return out;
        }
        case element_type::OBJECT: {
            Json out = Json::object();
            for (const auto& [key, value] : simdjson::dom::object(element)) {
                Json converted = TRY(convert(value));
                out.as_object().push_back({std::string(key), std::move(converted)});
            }
            return out;
        }
        case element_type::INT64:
            return Json(int64_t(element));
        case element_type::UINT64:
            return Json(double(uint64_t(element)));  // beyond int64
        case element_type::DOUBLE:
            return Json(double(element));
        case element_type::STRING:
            return Json(std::string_view(element));
        case element_type::BOOL:
            return Json(bool(element));
        case element_type::NULL_VALUE:
            return Json();
    }
    return invalid_input("unexpected JSON element");
}

void append_json(std::string& out, const Json& json) {
    if (json.is_null()) {
        out += "null";
    } else if (json.is_bool()) {
        out += json.as_bool() ? "true" : "false";
    } else if (json.is_int()) {
        out += std::to_string(json.as_int());
    } else if (json.is_number()) {
        append_double(out, json.as_double());
    } else if (json.is_string()) {
        append_json_string(out, json.as_string());
    } else if (json.is_array()) {
        out += '[';
        for (bool first = true; const auto& item : json.as_array()) {
            if (!std::exchange(first, false)) out += ',';
            append_json(out, item);
        }
        out += ']';
    } else {
        out += '{';
        for (bool first = true; const auto& member : json.as_object()) {
            if (!std::exchange(first, false)) out += ',';
            append_json_string(out, member.name);
            out += ':';
            append_json(out, member.value);
        }
        out += '}';
    }
}

const Json kNull;
const Json::Array kNoItems;
const Json::Object kNoMembers;

}  // namespace

Json::Json(const Json&) = default;
Json::Json(Json&&) noexcept = default;
Json& Json::operator=(const Json&) = default;
Json& Json::operator=(Json&&) noexcept = default;
Json::~Json() = default;
Json::Json(Array value) : value_(std::move(value)) {}
Json Json::array() { return Json(Array{}); }
Json Json::array(std::initializer_list<Json> items) { return Json(Array(items)); }
Json::Json(Object value) : value_(std::move(value)) {}
Json Json::object() { return Json(Object{}); }
Json Json::object(std::initializer_list<JsonMember> members) { return Json(Object(members)); }

Result<Json> Json::parse(std::string_view text) try {
    // A parser's buffers cost more to make than most documents take to read; only usual sizes are kept.
    thread_local simdjson::dom::parser usual;
    simdjson::dom::parser large;
    const bool is_usual = text.size() <= kUsualBytes;
    simdjson::dom::parser& parser = is_usual ? usual : large;
    if (!is_usual || usual.capacity() == 0) {
        if (auto error = parser.allocate(std::max(text.size(), kUsualBytes), kMaxDepth))
            return internal_error("cannot parse JSON", simdjson::error_message(error));
    }
    simdjson::dom::element element;
    const simdjson::padded_string padded(text);
    if (auto error = parser.parse(padded).get(element))
        return Error{ErrorKind::InvalidInput, "malformed JSON", simdjson::error_message(error)};
    return convert(element);
} catch (const std::exception& failure) {
    return Error{ErrorKind::InvalidInput, "malformed JSON", failure.what()};
}

std::string Json::dump() const {
    std::string out;
    append_json(out, *this);
    return out;
}

bool Json::as_bool() const { return CHECK(is_bool()), std::get<bool>(value_); }
int64_t Json::as_int() const { return CHECK(is_int()), std::get<int64_t>(value_); }
double Json::as_double() const {
    return is_int() ? static_cast<double>(as_int()) : (CHECK(is_number()), std::get<double>(value_));
}
const std::string& Json::as_string() const { return CHECK(is_string()), std::get<std::string>(value_); }
const Json::Array& Json::as_array() const { return CHECK(is_array()), std::get<Array>(value_); }
Json::Array& Json::as_array() { return CHECK(is_array()), std::get<Array>(value_); }
const Json::Object& Json::as_object() const { return CHECK(is_object()), std::get<Object>(value_); }
Json::Object& Json::as_object() { return CHECK(is_object()), std::get<Object>(value_); }

const Json::Array& Json::items() const { return is_array() ? as_array() : kNoItems; }
const Json::Object& Json::members() const { return is_object() ? as_object() : kNoMembers; }

const Json* Json::find(std::string_view name) const {
    for (const auto& member : members())
        if (member.name == name) return &member.value;
    return nullptr;
}
const Json& Json::operator[](std::string_view name) const {
    const Json* found = find(name);
    return found ? *found : kNull;
}
const Json& Json::operator[](size_t index) const {
    return is_array() && index < as_array().size() ? as_array()[index] : kNull;
}
Json& Json::set(std::string_view name, Json value) {
    if (is_null()) value_ = Object{};
    for (auto& member : as_object())
        if (member.name == name) return member.value = std::move(value);
    return as_object().emplace_back(JsonMember{std::string(name), std::move(value)}).value;
}
bool Json::erase(std::string_view name) {
    return is_object() && std::erase_if(as_object(), [&](const auto& m) { return m.name == name; }) > 0;
}
void Json::push_back(Json value) {
    if (is_null()) value_ = Array{};
    as_array().push_back(std::move(value));
}
size_t Json::size() const { return is_array() ? as_array().size() : members().size(); }

bool operator==(const Json& a, const Json& b) {
    if (a.is_number() && b.is_number() && a.is_int() != b.is_int()) return a.as_double() == b.as_double();
    return a.value_ == b.value_;
}

namespace {

void append_escaped(std::string& out, char c) {
    static constexpr char kHex[] = "0123456789abcdef";
    switch (c) {
        case '"':
            out += "\\\"";
            break;
        case '\\':
            out += "\\\\";
            break;
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        case '\t':
            out += "\\t";
            break;
        default:
            out += "\\u00";
            out += kHex[c >> 4];
            out += kHex[c & 15];
    }
}

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    // Almost all text is plain and goes over in one piece.
    if (!is_valid_utf8(text)) return append_json_string(out, valid_utf8(text));
    out += '"';
    size_t plain = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        if (!needs_escape(text[i])) continue;
        out.append(text, plain, i - plain);
        append_escaped(out, text[i]);
        plain = i + 1;
    }
    out.append(text, plain);
    out += '"';
}

void append_double(std::string& out, double value) {
    if (!std::isfinite(value)) {
        out += "null";
        return;
    }
    if (value == 0 && std::signbit(value)) {
        out += "-0.0";  // "-0" is read as the integer
        return;
    }
    char buffer[32];
    char* const most = buffer + sizeof buffer;
    // Without an exponent readers, ours too, take it for an integer, and for none of theirs.
    constexpr double kIntegers = 9.2e18;
    const auto end = std::abs(value) < kIntegers
                         ? std::to_chars(buffer, most, value).ptr
                         : std::to_chars(buffer, most, value, std::chars_format::scientific).ptr;
    out.append(buffer, end);
}

}  // namespace millwright
