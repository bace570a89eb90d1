#include "script_mode/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/strings.h"

namespace millwright::script_mode {
namespace {

constexpr int kMaxDepth = 100;
constexpr size_t kMaxDigits = 4300;  // what Python's int() accepts

void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0 | (code >> 6));
        out += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        out += static_cast<char>(0xE0 | (code >> 12));
        out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | (code >> 18));
        out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
        out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (code & 0x3F));
    }
}

// The code point at `at`, which moves behind it; U+FFFD for a byte that begins none.
uint32_t next_code(std::string_view text, size_t& at) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t first = byte(at++);
    if (first < 0x80) return first;
    const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    if (more == 0 || at + static_cast<size_t>(more) > text.size()) return 0xFFFD;
    uint32_t code = first & (0x3F >> more);
    for (int i = 0; i < more; ++i) {
        if ((byte(at) & 0xC0) != 0x80) return 0xFFFD;
        code = code << 6 | (byte(at++) & 0x3F);
    }
    return code;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Result<Value> document() {
        Value value = TRY(parse(0));
        skip_space();
        if (at_ != text_.size()) return wrong("more text after the end");
        return value;
    }

  private:
    Error wrong(const char* what) const {
        return invalid_input(std::string(what) + " at character " + std::to_string(at_));
    }
    bool take(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    bool take(char c) {
        if (at_ >= text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (at_ < text_.size() &&
               (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
            ++at_;
    }

    Result<Value> parse(int depth) {
        skip_space();
        if (depth > kMaxDepth) return wrong("nested too deeply");
        if (at_ >= text_.size()) return wrong("a value is missing");
        if (take('{')) return dict(depth);
        if (take('[')) return list(depth);
        if (take('"')) {
            std::string text = TRY(string());
            return Value::string(text);
        }
        if (take("null")) return Value();
        if (take("true")) return Value::boolean(true);
        if (take("false")) return Value::boolean(false);
        if (take("NaN")) return Value::floating(NAN);
        if (take("Infinity")) return Value::floating(INFINITY);
        if (take("-Infinity")) return Value::floating(-INFINITY);
        return number();
    }

    Result<Value> dict(int depth) {
        Value out = Value::dict();
        skip_space();
        if (take('}')) return out;
        for (;;) {
            skip_space();
            if (!take('"')) return wrong("a name in quotes is missing");
            std::string name = TRY(string());
            skip_space();
            if (!take(':')) return wrong("a colon is missing");
            Value value = TRY(parse(depth + 1));
            out.set(name, std::move(value));
            skip_space();
            if (take('}')) return out;
            if (!take(',')) return wrong("a comma is missing");
        }
    }

    Result<Value> list(int depth) {
        std::vector<Value> items;
        skip_space();
        if (take(']')) return Value::list();
        for (;;) {
            Value item = TRY(parse(depth + 1));
            items.push_back(std::move(item));
            skip_space();
            if (take(']')) return Value::list(std::move(items));
            if (!take(',')) return wrong("a comma is missing");
        }
    }

    Result<Value> number() {
        const size_t begin = at_;
        take('-');
        const size_t digits = at_;
        while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
        if (at_ == digits) return wrong("no value");
        if (text_[digits] == '0') at_ = digits + 1;  // "012" is 0 and more text
        bool integral = true;
        const auto take_digits = [&](size_t from) {
            size_t end = from;
            while (end < text_.size() && is_digit(text_[end])) ++end;
            if (end == from) return;
            integral = false;
            at_ = end;
        };
        if (at_ < text_.size() && text_[at_] == '.') take_digits(at_ + 1);
        if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
            const size_t next = at_ + 1;
            const bool sign = next < text_.size() && (text_[next] == '+' || text_[next] == '-');
            take_digits(next + (sign ? 1 : 0));
        }
        const std::string found(text_.substr(begin, at_ - begin));
        if (!integral) return Value::floating(std::strtod(found.c_str(), nullptr));
        if (at_ - digits > kMaxDigits) return wrong("an integer with too many digits");
        return Value::integer(std::string_view(found));
    }

    std::optional<uint32_t> hex4() {
        uint32_t code = 0;
        if (at_ + 4 > text_.size()) return std::nullopt;
        const char* from = text_.data() + at_;
        if (std::from_chars(from, from + 4, code, 16).ptr != from + 4) return std::nullopt;
        at_ += 4;
        return code;
    }

    // A surrogate pair is one character; half a pair, which no variable of the environment can hold, is U+FFFD.
    Result<void> escape_unicode(std::string& out) {
        const auto first = hex4();
        if (!first) return wrong("a bad \\u escape");
        uint32_t code = *first;
        if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_).starts_with("\\u")) {
            const size_t before = at_;
            at_ += 2;
            const auto second = hex4();
            if (!second) return wrong("a bad \\u escape");
            if (*second >= 0xDC00 && *second < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + (*second - 0xDC00);
            } else {
                at_ = before;
            }
        }
        append_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
        return {};
    }

    Result<std::string> string() {
        static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
        std::string out;
        for (;;) {
            if (at_ >= text_.size()) return wrong("a string without end");
            const char c = text_[at_++];
            if (c == '"') return out;
            if (static_cast<uint8_t>(c) < 0x20) return wrong("a control character in a string");
            if (c != '\\') {
                out += c;
                continue;
            }
            if (at_ >= text_.size()) return wrong("a string without end");
            const char escaped = text_[at_++];
            if (escaped == 'u') {
                TRY(escape_unicode(out));
                continue;
            }
            const size_t which = kEscapes.find(escaped);
            if (which == std::string_view::npos) return wrong("a bad escape");
            out += kMeanings[which];
        }
    }

    std::string_view text_;
    size_t at_ = 0;
};

void append_json_text(std::string& out, std::string_view text) {
    static constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kNames = "\"\\bfnrt";
    out += '"';
    char hex[16];
    for (size_t at = 0; at < text.size();) {
        const uint32_t code = next_code(text, at);
        const size_t which = code < 0x80 ? kEscaped.find(static_cast<char>(code)) : std::string_view::npos;
        if (which != std::string_view::npos) {
            out += '\\';
            out += kNames[which];
        } else if (code >= 0x20 && code < 0x7F) {
            out += static_cast<char>(code);
        } else if (code == 0x7F) {
            out += '\x7F';
        } else if (code < 0x10000) {
            std::snprintf(hex, sizeof hex, "\\u%04x", code);
            out += hex;
        } else {
            std::snprintf(hex, sizeof hex, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                          0xDC00 + ((code - 0x10000) & 0x3FF));
            out += hex;
        }
    }
    out += '"';
}

std::string quoted_by_python(std::string_view text) {
    const bool single = text.find('\'') != std::string_view::npos, both = text.find('"') != std::string_view::npos;
    const char quote = single && !both ? '"' : '\'';
    std::string out(1, quote);
    char hex[16];
    for (size_t at = 0; at < text.size();) {
        const uint32_t code = next_code(text, at);
        if (code == static_cast<uint32_t>(quote) || code == '\\') {
            out += '\\';
            out += static_cast<char>(code);
        } else if (code == '\n' || code == '\r' || code == '\t') {
            out += code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t";
        } else if (code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD) {
            std::snprintf(hex, sizeof hex, "\\x%02x", code);
            out += hex;
        } else {
            append_utf8(out, code);
        }
    }
    return out + quote;
}

std::vector<const Value::Member*> sorted(const std::vector<Value::Member>& members) {
    std::vector<const Value::Member*> out;
    for (const auto& member : members) out.push_back(&member);
    std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
    return out;
}

void append_dump(std::string& out, const Value& value) {
    using Kind = Value::Kind;
    switch (value.kind()) {
        case Kind::None:
            out += "null";
            break;
        case Kind::Bool:
            out += value.truth() ? "true" : "false";
            break;
        case Kind::Float:
            out += value.text() == "nan"    ? "NaN"
                   : value.text() == "inf"  ? "Infinity"
                   : value.text() == "-inf" ? "-Infinity"
                                            : value.text();
            break;
        case Kind::Int:
            out += value.text();
            break;
        case Kind::String:
            append_json_text(out, value.text());
            break;
        case Kind::List:
            out += '[';
            for (size_t i = 0; i < value.items().size(); ++i) {
                if (i > 0) out += ',';
                append_dump(out, value.items()[i]);
            }
            out += ']';
            break;
        case Kind::Dict: {
            out += '{';
            const char* separator = "";
            for (const auto* member : sorted(value.members())) {
                out += std::exchange(separator, ",");
                append_json_text(out, member->first);
                out += ':';
                append_dump(out, member->second);
            }
            out += '}';
        }
    }
}

const Value kNone;

}  // namespace

Value Value::boolean(bool value) {
    Value out;
    out.kind_ = Kind::Bool;
    out.text_ = value ? "True" : "False";
    return out;
}

Value Value::integer(std::string_view digits) {
    Value out;
    out.kind_ = Kind::Int;
    out.text_ = digits == "-0" ? "0" : digits;
    return out;
}

Value Value::integer(long long value) { return integer(std::string_view(std::to_string(value))); }

Value Value::floating(double value) {
    Value out;
    out.kind_ = Kind::Float;
    out.text_ = python_float(value);
    return out;
}

Value Value::string(std::string_view text) {
    Value out;
    out.kind_ = Kind::String;
    out.text_ = text;
    return out;
}

Value Value::list(std::vector<Value> items) {
    Value out;
    out.kind_ = Kind::List;
    out.items_ = std::move(items);
    return out;
}

Value Value::strings(const std::vector<std::string>& items) {
    Value out = list();
    for (const std::string& item : items) out.items_.push_back(string(item));
    return out;
}

Value Value::dict(std::vector<Member> members) {
    Value out;
    out.kind_ = Kind::Dict;
    out.members_ = std::move(members);
    return out;
}

Result<Value> Value::parse(std::string_view text) {
    if (!is_valid_utf8(text)) return invalid_input("not UTF-8");
    return Parser(text).document();
}

std::string Value::dump() const {
    std::string out;
    append_dump(out, *this);
    return out;
}

std::string Value::str() const { return kind_ == Kind::String ? text_ : repr(); }

std::string Value::repr() const {
    if (kind_ == Kind::None) return "None";
    if (kind_ == Kind::String) return quoted_by_python(text_);
    if (kind_ != Kind::List && kind_ != Kind::Dict) return text_;
    std::string out(1, kind_ == Kind::List ? '[' : '{');
    const char* separator = "";
    for (const Value& item : items_) out += std::exchange(separator, ", ") + item.repr();
    for (const auto& [name, value] : members_)
        out += std::exchange(separator, ", ") + quoted_by_python(name) + ": " + value.repr();
    return out + (kind_ == Kind::List ? ']' : '}');
}

bool Value::truth() const {
    switch (kind_) {
        case Kind::None:
            return false;
        case Kind::Bool:
            return text_ == "True";
        case Kind::Int:
            return text_ != "0";
        case Kind::Float:
            return text_ != "0.0" && text_ != "-0.0";
        case Kind::String:
            return !text_.empty();
        case Kind::List:
            return !items_.empty();
        case Kind::Dict:
            return !members_.empty();
    }
    return false;
}

std::string Value::text_or(std::string_view otherwise) const {
    return is_string() && !text_.empty() ? text_ : std::string(otherwise);
}

std::optional<long long> Value::as_integer() const {
    if (kind_ != Kind::Int && kind_ != Kind::String) return std::nullopt;
    long long number = 0;
    const char* end = text_.data() + text_.size();
    const auto [stop, problem] = std::from_chars(text_.data(), end, number);
    if (problem != std::errc() || stop != end) return std::nullopt;
    return number;
}

std::vector<std::string> Value::string_items() const {
    std::vector<std::string> out;
    for (const Value& item : items_)
        if (item.is_string()) out.push_back(item.text());
    return out;
}

const Value* Value::find(std::string_view name) const {
    for (const auto& member : members_)
        if (member.first == name) return &member.second;
    return nullptr;
}

const Value& Value::operator[](std::string_view name) const {
    const Value* found = find(name);
    return found == nullptr ? kNone : *found;
}

void Value::set(std::string_view name, Value value) {
    for (auto& member : members_)
        if (member.first == name) {
            member.second = std::move(value);
            return;
        }
    members_.emplace_back(name, std::move(value));
}

std::string python_float(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
    const std::string_view text(buffer, static_cast<size_t>(end - buffer));
    const size_t e = text.find('e');
    const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
    std::string sign, digits;
    for (const char c : text.substr(0, e)) {
        if (c == '-') sign = "-";
        if (is_digit(c)) digits += c;
    }
    const int count = static_cast<int>(digits.size());
    if (exponent < -4 || exponent >= 16) {
        std::snprintf(buffer, sizeof buffer, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
        return sign + digits.substr(0, 1) + (count > 1 ? "." + digits.substr(1) : "") + buffer;
    }
    if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    const int whole = exponent + 1;
    if (count <= whole) return sign + digits + std::string(static_cast<size_t>(whole - count), '0') + ".0";
    return sign + digits.substr(0, static_cast<size_t>(whole)) + "." + digits.substr(static_cast<size_t>(whole));
}

}  // namespace millwright::script_mode
