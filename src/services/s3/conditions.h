// Conditional requests (RFC 9110, 13) and ranges, as S3 understands them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "net/http.h"

namespace millwright::s3 {

enum class Verdict { Proceed, NotModified, Failed };
struct Condition {
    Verdict verdict = Verdict::Proceed;
    std::string_view header = {};  // the one that failed
};
// `prefix` is "" for the object itself, "x-amz-copy-source-" for the source of a copy.
Condition check_conditions(const net::Headers& headers, std::string_view prefix, std::string_view etag,
                           Timestamp modified);

struct Range {
    enum class Kind { Whole, Part, Unsatisfiable };
    Kind kind = Kind::Whole;
    uint64_t first = 0, length = 0;
};
// "bytes=0-4", "bytes=5-", "bytes=-5". Anything else, also a list of ranges, means the whole object, as in S3.
Range parse_range(std::string_view header, uint64_t size);

}  // namespace millwright::s3
