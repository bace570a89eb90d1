// Decoding and checking of input documents by the service model, with AWS's texts.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "aws/api_error.h"
#include "aws/model.h"
#include "base/json.h"

namespace millwright::aws {

// A JSON document as received -> the document a handler sees: unknown and null members dropped, timestamps as epoch
// seconds, whole doubles as integers, blobs checked to be base64. A wrong type is a SerializationException (400) with
// the text of AWS's JSON services. Thread-safe.
ApiResult<Json> decode_json(const Shape& shape, const Json& wire);

// All constraints of `document` (decoded) in one answer: ValidationException (400)
//   "1 validation error detected: Value null at 'trainingJobName' failed to satisfy constraint: Member must not be
//   null" "2 validation errors detected: …; …"
// At most kMaxListedErrors are spelled out; the count is of all of them.
inline constexpr size_t kMaxListedErrors = 100;
ApiResult<void> validate(const Shape& shape, const Json& document);

// True when the whole of `text` matches `pattern`, a regular expression of a service model (Java dialect). RE2 where
// possible; PCRE2 with a bound on its work for look-around (a text that exceeds the bound does not match).
// The compiled form is kept for the life of the process, so only patterns of the tables may be given.
bool matches_model_pattern(const Shape& shape, std::string_view text);
// False when neither library understands the pattern; a test walks all of them.
bool model_pattern_compiles(const Shape& shape);

}  // namespace millwright::aws
