// The wire forms of documents and errors: awsJson 1.0/1.1, query, rest-json, and S3's XML errors.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/api_error.h"
#include "aws/model.h"
#include "base/json.h"
#include "net/http.h"

namespace millwright::aws {

// An answer ready to be sent.
struct Answer {
    int status = 200;
    net::Headers headers;
    std::string body;
};

// "NaN", "Infinity" or "-Infinity" for the numbers that JSON has no form for, which the protocols spell as text; null
// for everything else.
const char* non_finite_text(const Json& value);

// Appends a handler's document as JSON text: members the model does not know are dropped, timestamps (epoch seconds)
// take the form of the member.
void append_encoded(std::string& out, const Shape& shape, const Json& document);
Answer json_answer(const ModelOperation& operation, std::string_view json_version, const Json& document);

// Form fields -> document by the model: "Tags.member.1.Key", flattened lists "Tags.1.Key", maps ".entry.1.key".
// Fields the model does not know are dropped. MalformedInput (400) for text that is no number, boolean or date.
ApiResult<Json> decode_query(const Shape& shape, const std::vector<std::pair<std::string, std::string>>& fields);
// <OpResponse xmlns=…><OpResult>…</OpResult><ResponseMetadata><RequestId>…
Answer query_answer(const ServiceModel& service, const ModelOperation& operation, const Json& document,
                    std::string_view request_id);

// `__type` and `message` plus the error's further members; status of the error.
// `query_code`: the code as the query protocol spells it, sent as x-amzn-query-error when not empty.
// `message_member`: message_member_of() the exception, when the model knows it.
Answer json_error(const ApiError& error, std::string_view json_version, std::string_view query_code = {},
                  std::string_view message_member = "message");
// "Message" for exceptions whose model spells the member so, otherwise "message".
std::string_view message_member_of(const Shape& exception);
Answer rest_json_error(const ApiError& error);  // x-amzn-ErrorType
Answer query_error(const ServiceModel& service, const ApiError& error, std::string_view request_id);
// `resource`: the path. HEAD answers carry no body; the caller leaves it out.
Answer render_s3_error(const ApiError& error, std::string_view resource, std::string_view request_id);
// The smallest CBOR a Smithy client understands, for clients that prefer rpc-v2-cbor.
Answer cbor_error(const ApiError& error);

}  // namespace millwright::aws
