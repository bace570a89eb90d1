#include <algorithm>
#include <limits>

#include "aws/protocol.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/xml.h"

namespace millwright::aws {
namespace {

constexpr int kMaxDepth = 32;

ApiError malformed_input(std::string text) { return {400, "MalformedInput", std::move(text)}; }

// The fields of a form in name order, so that everything below one prefix lies together.
using Fields = std::vector<std::pair<std::string, std::string>>;

// Reads documents out of sorted fields; a prefix is a member's full name without trailing dot.
class QueryDecoder {
  public:
    explicit QueryDecoder(Fields fields) : fields_(std::move(fields)) { std::sort(fields_.begin(), fields_.end()); }

    // Nothing when no field belongs to `prefix`.
    ApiResult<Json> decode(const Member& member, const std::string& prefix, int depth) const;
    ApiResult<Json> decode_structure(const Shape& shape, const std::string& prefix, int depth) const;

  private:
    ApiResult<Json> decode_list(const Shape& shape, bool flattened, const std::string& prefix, int depth) const;
    ApiResult<Json> decode_map(const Shape& shape, bool flattened, const std::string& prefix, int depth) const;
    const std::string* find(const std::string& name) const;
    bool any_below(const std::string& prefix) const;  // "prefix.…"
    std::vector<std::string> indexes_below(const std::string& prefix) const;

    Fields fields_;
};

const std::string* QueryDecoder::find(const std::string& name) const {
    const auto found = std::lower_bound(fields_.begin(), fields_.end(), name,
                                        [](const auto& field, const std::string& key) { return field.first < key; });
    return found != fields_.end() && found->first == name ? &found->second : nullptr;
}

bool QueryDecoder::any_below(const std::string& prefix) const {
    const std::string start = prefix + ".";
    const auto found = std::lower_bound(fields_.begin(), fields_.end(), start,
                                        [](const auto& field, const std::string& key) { return field.first < key; });
    return found != fields_.end() && found->first.starts_with(start);
}

// Of "Tags.member.10.Key", "Tags.member.2.Key" with prefix "Tags.member": 2 and 10, in the order of the numbers.
std::vector<std::string> QueryDecoder::indexes_below(const std::string& prefix) const {
    const std::string start = prefix + ".";
    std::vector<std::pair<int64_t, std::string>> found;
    auto at = std::lower_bound(fields_.begin(), fields_.end(), start,
                               [](const auto& field, const std::string& key) { return field.first < key; });
    for (; at != fields_.end() && at->first.starts_with(start); ++at) {
        const std::string_view rest = std::string_view(at->first).substr(start.size());
        const std::string_view digits = rest.substr(0, rest.find('.'));
        const auto number = parse_int(digits);
        if (number && *number >= 0 && (found.empty() || found.back().second != digits))
            found.emplace_back(*number, std::string(digits));
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    std::vector<std::string> out;
    for (auto& [number, text] : found) out.push_back(std::move(text));
    return out;
}

ApiResult<Json> decode_number(ShapeType type, const std::string& text) {
    if (type == ShapeType::Float || type == ShapeType::Double) {
        const auto value = parse_double(text);
        if (!value) return malformed_input(text + " is not a valid number");
        return Json(*value);
    }
    const auto value = parse_int(text);
    const bool fits = value && (type == ShapeType::Long || (*value >= std::numeric_limits<int32_t>::min() &&
                                                            *value <= std::numeric_limits<int32_t>::max()));
    if (!fits) return malformed_input(text + " is not a valid integer");
    return Json(*value);
}

ApiResult<Json> decode_timestamp(const std::string& text) {
    if (const auto time = parse_iso8601(text)) return Json(to_epoch_seconds(*time));
    if (const auto seconds = parse_double(text); seconds && *seconds > -1e11 && *seconds < 1e11) return Json(*seconds);
    return malformed_input("timestamp must follow ISO8601");
}

ApiResult<Json> decode_scalar(const Shape& shape, const std::string& text) {
    switch (shape.type()) {
        case ShapeType::String:
            return Json(valid_utf8(text));
        case ShapeType::Timestamp:
            return decode_timestamp(text);
        case ShapeType::Boolean:
            if (text == "true" || text == "True") return Json(true);
            if (text == "false" || text == "False") return Json(false);
            return malformed_input(text + " is not a valid boolean");
        case ShapeType::Blob:
            if (!from_base64(text)) return malformed_input("Invalid base64 value");
            return Json(text);
        default:
            return decode_number(shape.type(), text);
    }
}

ApiResult<Json> QueryDecoder::decode(const Member& member, const std::string& prefix, int depth) const {
    if (depth > kMaxDepth) return malformed_input("The request is nested too deeply");
    const Shape shape = member.shape();
    const bool flattened = member.flattened() || shape.flattened();
    switch (shape.type()) {
        case ShapeType::Structure:
            return any_below(prefix) ? decode_structure(shape, prefix + ".", depth) : Json();
        case ShapeType::List:
            return decode_list(shape, flattened, prefix, depth);
        case ShapeType::Map:
            return decode_map(shape, flattened, prefix, depth);
        default:
            break;
    }
    const std::string* text = find(prefix);
    return text ? decode_scalar(shape, *text) : Json();
}

// `prefix` ends with a dot, or is empty at the top.
ApiResult<Json> QueryDecoder::decode_structure(const Shape& shape, const std::string& prefix, int depth) const {
    Json out = Json::object();
    for (const Member member : shape.members()) {
        Json value = TRY(decode(member, prefix + std::string(member.location_name()), depth + 1));
        if (!value.is_null()) out.as_object().push_back({std::string(member.name()), std::move(value)});
    }
    return out;
}

// "Tags.member.1"; flattened "Tags.1", where the element's own name replaces that of the list. "Tags=" is the empty
// list.
ApiResult<Json> QueryDecoder::decode_list(const Shape& shape, bool flattened, const std::string& prefix,
                                          int depth) const {
    const Member element = shape.element();
    const std::string name = element.has_location_name() ? std::string(element.location_name()) : "member";
    std::string base = prefix;
    if (!flattened) {
        base += "." + name;
    } else if (element.has_location_name()) {
        const size_t dot = base.rfind('.');
        base = (dot == std::string::npos ? "" : base.substr(0, dot + 1)) + name;
    }
    const auto indexes = indexes_below(base);
    const std::string* empty = find(prefix);
    if (indexes.empty()) return empty && empty->empty() ? Json::array() : Json();
    Json out = Json::array();
    for (const std::string& index : indexes) {
        Json item = TRY(decode(element, base + "." + index, depth + 1));
        out.as_array().push_back(std::move(item));
    }
    return out;
}

ApiResult<Json> QueryDecoder::decode_map(const Shape& shape, bool flattened, const std::string& prefix,
                                         int depth) const {
    const std::string base = flattened ? prefix : prefix + ".entry";
    const auto name_of = [](const Member& member, std::string_view otherwise) {
        return member.has_location_name() ? std::string(member.location_name()) : std::string(otherwise);
    };
    const auto indexes = indexes_below(base);
    if (indexes.empty()) return Json();
    Json out = Json::object();
    for (const std::string& index : indexes) {
        const std::string* key = find(base + "." + index + "." + name_of(shape.key(), "key"));
        if (!key) return malformed_input("Key must not be empty");
        Json value = TRY(decode(shape.value(), base + "." + index + "." + name_of(shape.value(), "value"), depth + 1));
        out.as_object().push_back({valid_utf8(*key), std::move(value)});
    }
    return out;
}

// --- Answers.

void write_members(XmlWriter& xml, const Shape& shape, const Json& document);

std::string scalar_text(const Shape& shape, TimestampFormat format, const Json& value) {
    if (shape.type() == ShapeType::Timestamp && value.is_number()) {
        const Timestamp time = from_epoch_seconds(value.as_double());
        if (format == TimestampFormat::EpochSeconds) return value.dump();
        if (format == TimestampFormat::Rfc822) return format_rfc1123(time);
        const bool whole = time == std::chrono::floor<std::chrono::seconds>(time);
        return format_iso8601(time, whole ? Fraction::None : Fraction::Milliseconds);
    }
    if (const char* text = non_finite_text(value)) return text;
    return value.is_string() ? value.as_string() : value.dump();
}

void write_value(XmlWriter& xml, std::string_view name, const Member& member, const Json& value) {
    const Shape shape = member.shape();
    const bool flattened = member.flattened() || shape.flattened();
    if (shape.type() == ShapeType::Structure) {
        xml.open(name);
        write_members(xml, shape, value);
        xml.close();
    } else if (shape.type() == ShapeType::List) {
        const Member element = shape.element();
        const std::string_view item_name = element.has_location_name() ? element.location_name()
                                           : flattened                 ? name
                                                                       : "member";
        if (!flattened) xml.open(name);
        for (const Json& item : value.items()) write_value(xml, item_name, element, item);
        if (!flattened) xml.close();
    } else if (shape.type() == ShapeType::Map) {
        if (!flattened) xml.open(name);
        for (const auto& [key, inner] : value.members()) {
            xml.open(flattened ? name : "entry");
            xml.element(shape.key().has_location_name() ? shape.key().location_name() : "key", key);
            write_value(xml, shape.value().has_location_name() ? shape.value().location_name() : "value", shape.value(),
                        inner);
            xml.close();
        }
        if (!flattened) xml.close();
    } else {
        xml.element(name, scalar_text(shape, member.timestamp_format(), value));
    }
}

void write_members(XmlWriter& xml, const Shape& shape, const Json& document) {
    for (const Member member : shape.members()) {
        const Json& value = document[member.name()];
        if (!value.is_null()) write_value(xml, member.location_name(), member, value);
    }
}

// The exception of the model that brings members beside the message.
std::optional<Shape> error_shape(const ServiceModel& service, const ApiError& error) {
    if (error.members.size() == 0) return std::nullopt;
    for (const Shape shape : service.shapes())
        if (shape.is_exception() && shape.error_code() == error.code) return shape;
    return std::nullopt;
}

}  // namespace

ApiResult<Json> decode_query(const Shape& shape, const std::vector<std::pair<std::string, std::string>>& fields) {
    return QueryDecoder(fields).decode_structure(shape, "", 0);
}

Answer query_answer(const ServiceModel& service, const ModelOperation& operation, const Json& document,
                    std::string_view request_id) {
    XmlWriter xml;
    xml.open(std::string(operation.name()) + "Response", service.xml_namespace());
    if (const auto output = operation.output()) {
        const std::string_view wrapper = operation.result_wrapper();
        if (!wrapper.empty()) xml.open(wrapper);
        write_members(xml, *output, document);
        if (!wrapper.empty()) xml.close();
    }
    xml.open("ResponseMetadata").element("RequestId", request_id).close().close();
    Answer answer;
    answer.headers.add("Content-Type", "text/xml");
    answer.body = xml.finish();
    return answer;
}

Answer query_error(const ServiceModel& service, const ApiError& error, std::string_view request_id) {
    XmlWriter xml;
    xml.open("ErrorResponse", service.xml_namespace()).open("Error");
    xml.element("Type", error.status < 500 ? "Sender" : "Receiver");
    xml.element("Code", error.code).element("Message", error.message);
    if (const auto shape = error_shape(service, error); shape) write_members(xml, *shape, error.members);
    xml.close();
    xml.element("RequestId", request_id).close();
    Answer answer;
    answer.status = error.status;
    answer.headers.add("Content-Type", "text/xml");
    answer.body = xml.finish();
    return answer;
}

Answer render_s3_error(const ApiError& error, std::string_view resource, std::string_view request_id) {
    XmlWriter xml;
    xml.open("Error").element("Code", error.code).element("Message", error.message);
    for (const auto& [name, value] : error.members.members())
        xml.element(name, value.is_string() ? value.as_string() : value.dump());
    xml.element("Resource", resource).element("RequestId", request_id).close();
    Answer answer;
    answer.status = error.status;
    answer.headers.add("Content-Type", "application/xml");
    answer.body = xml.finish();
    return answer;
}

}  // namespace millwright::aws
