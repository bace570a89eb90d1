#include "aws/protocol.h"

#include <cmath>

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

Json encode_value(const Member& member, const Json& value) {
    const Shape shape = member.shape();
    return shape.type() == ShapeType::Timestamp ? encode_timestamp(value, member.timestamp_format())
                                                : encode_json(shape, value);
}

Json encode_structure(const Shape& shape, const Json& document) {
    Json out = Json::object();
    for (const Member member : shape.members()) {
        const Json& value = document[member.name()];
        if (!value.is_null())
            out.as_object().push_back({std::string(member.location_name()), encode_value(member, value)});
    }
    return out;
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

Json encode_json(const Shape& shape, const Json& document) {
    if (shape.is_document()) return document;
    if (const char* text = non_finite_text(document)) return text;
    if (shape.type() == ShapeType::Structure && document.is_object()) return encode_structure(shape, document);
    if (shape.type() == ShapeType::List && document.is_array()) {
        Json out = Json::array();
        for (const Json& item : document.as_array()) out.as_array().push_back(encode_value(shape.element(), item));
        return out;
    }
    if (shape.type() == ShapeType::Map && document.is_object()) {
        Json out = Json::object();
        for (const auto& [name, value] : document.as_object())
            out.as_object().push_back({name, encode_value(shape.value(), value)});
        return out;
    }
    return document;
}

Answer json_answer(const ModelOperation& operation, std::string_view json_version, const Json& document) {
    Answer answer;
    answer.headers.add("Content-Type", "application/x-amz-json-" + std::string(json_version));
    // An operation without output answers an empty body, as AWS does.
    if (const auto output = operation.output())
        answer.body = encode_json(*output, document.is_null() ? Json::object() : document).dump();
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
