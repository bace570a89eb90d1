#include "aws/protocol.h"

#include <cmath>
#include <utility>

#include "base/encoding.h"
#include "base/strings.h"
#include "base/time.h"

namespace millwright::aws {
namespace {

Json encode_timestamp(const Json& value, TimestampFormat format) {
    if (!value.is_number()) return value;
    const Timestamp time = from_epoch_seconds(value.as_double());
    if (format == TimestampFormat::Iso8601) return format_iso8601(time, Fraction::Milliseconds);
    if (format == TimestampFormat::Rfc822) return format_rfc1123(time);
    return value;
}

void append_value(std::string& out, const Member& member, const Json& value) {
    const Shape shape = member.shape();
    if (shape.type() == ShapeType::Timestamp)
        append_encoded(out, shape, encode_timestamp(value, member.timestamp_format()));
    else
        append_encoded(out, shape, value);
}

void append_structure(std::string& out, const Shape& shape, const Json::Object& document) {
    out += '{';
    bool is_first = true;
    size_t next = 0;  // documents have their members mostly in the model's order
    for (const Member member : shape.members()) {
        const std::string_view name = member.name();
        size_t at = next;
        if (at >= document.size() || document[at].name != name)
            for (at = 0; at < document.size() && document[at].name != name;) ++at;
        if (at >= document.size()) continue;
        next = at + 1;
        if (document[at].value.is_null()) continue;
        if (!std::exchange(is_first, false)) out += ',';
        append_json_string(out, member.location_name());
        out += ':';
        append_value(out, member, document[at].value);
    }
    out += '}';
}

void append_scalar(std::string& out, const Json& value) {
    if (value.is_string())
        append_json_string(out, value.as_string());
    else if (value.is_int())
        out += std::to_string(value.as_int());
    else
        out += value.dump();
}

// Members of the exception beside the message, in the order given.
void append_members(Json& body, const ApiError& error) {
    for (const auto& [name, value] : error.members.members()) body.set(name, value);
}

Answer error_answer(const ApiError& error, std::string content_type) {
    Answer answer;
    answer.status = error.status;
    answer.headers.add("Content-Type", std::move(content_type));
    return answer;
}

void append_cbor_text(std::string& out, std::string_view text) {
    const size_t size = std::min<size_t>(text.size(), 0xffff);
    out += '\x79';  // text with a two-byte length
    out += static_cast<char>(size >> 8);
    out += static_cast<char>(size);
    out += text.substr(0, size);
}

}  // namespace

const char* non_finite_text(const Json& value) {
    if (!value.is_number() || std::isfinite(value.as_double())) return nullptr;
    return std::isnan(value.as_double()) ? "NaN" : value.as_double() > 0 ? "Infinity" : "-Infinity";
}

void append_encoded(std::string& out, const Shape& shape, const Json& document) {
    if (shape.is_document()) return append_scalar(out, document);
    if (const char* text = non_finite_text(document)) return append_json_string(out, text);
    if (shape.type() == ShapeType::Structure && document.is_object())
        return append_structure(out, shape, document.as_object());
    if (shape.type() == ShapeType::List && document.is_array()) {
        out += '[';
        for (bool is_first = true; const Json& item : document.as_array()) {
            if (!std::exchange(is_first, false)) out += ',';
            append_value(out, shape.element(), item);
        }
        out += ']';
        return;
    }
    if (shape.type() == ShapeType::Map && document.is_object()) {
        out += '{';
        for (bool is_first = true; const auto& [name, value] : document.as_object()) {
            if (!std::exchange(is_first, false)) out += ',';
            append_json_string(out, name);
            out += ':';
            append_value(out, shape.value(), value);
        }
        out += '}';
        return;
    }
    append_scalar(out, document);
}

Answer json_answer(const ModelOperation& operation, std::string_view json_version, const Json& document) {
    Answer answer;
    answer.headers.add("Content-Type", "application/x-amz-json-" + std::string(json_version));
    // An operation without output answers an empty body, as AWS does.
    if (const auto output = operation.output())
        append_encoded(answer.body, *output, document.is_null() ? Json::object() : document);
    return answer;
}

std::string_view message_member_of(const Shape& exception) {
    return exception.find_member("Message") ? "Message" : "message";
}

Answer json_error(const ApiError& error, std::string_view json_version, std::string_view query_code,
                  std::string_view message_member) {
    Answer answer = error_answer(error, "application/x-amz-json-" + std::string(json_version));
    Json body = Json::object({{"__type", error.code}, {std::string(message_member), error.message}});
    append_members(body, error);
    answer.body = body.dump();
    answer.headers.add("x-amzn-ErrorType", error.code);
    if (!query_code.empty())
        answer.headers.add("x-amzn-query-error",
                           std::string(query_code) + ";" + (error.status < 500 ? "Sender" : "Receiver"));
    return answer;
}

Answer rest_json_error(const ApiError& error) {
    Answer answer = error_answer(error, "application/json");
    Json body = Json::object({{"message", error.message}});
    // A modelled exception that brings its own Message must not show two.
    if (error.members.has("Message")) body.erase("message");
    append_members(body, error);
    answer.body = body.dump();
    answer.headers.add("x-amzn-ErrorType", error.code);
    return answer;
}

Answer cbor_error(const ApiError& error) {
    Answer answer = error_answer(error, "application/cbor");
    answer.headers.add("smithy-protocol", "rpc-v2-cbor");
    answer.body = "\xa2";  // a map of two pairs
    append_cbor_text(answer.body, "__type");
    append_cbor_text(answer.body, error.code);
    append_cbor_text(answer.body, "message");
    append_cbor_text(answer.body, error.message);
    return answer;
}

}  // namespace millwright::aws
