// The small parsers that stand below everything: JSON, XML, times, numbers, encodings. What is read and printed again
// is the same.
#include <cstdint>

#include "base/check.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/xml.h"

using namespace millwright;

namespace {

void check_json(std::string_view text) {
    const auto document = Json::parse(text);
    if (!document) return;
    const std::string printed = document->dump();
    const auto again = Json::parse(printed);
    CHECK(again.has_value() && again->dump() == printed);
}

// What the writer makes of any text, the reader gives back, but for what XML cannot hold.
void check_xml(std::string_view text) {
    static_cast<void>(parse_xml(text));
    XmlWriter writer;
    writer.open("a").text(valid_utf8(text)).close();
    CHECK(parse_xml(writer.finish()).has_value());
}

void check_encodings(std::string_view text) {
    CHECK(percent_decode(percent_encode(text)) == text);
    CHECK(*from_hex(to_hex(text)) == text);
    CHECK(*from_base64(to_base64(text)) == text);
    if (const auto bytes = from_base64(text)) CHECK(*from_base64(to_base64(*bytes)) == *bytes);
    const std::string valid = valid_utf8(text);
    CHECK(is_valid_utf8(valid) && valid_utf8(valid) == valid);
}

void check_numbers(std::string_view text) {
    if (const auto whole = parse_int(text)) CHECK(parse_int(std::to_string(*whole)) == whole);
    static_cast<void>(parse_double(text));
    if (const auto time = parse_iso8601(text)) static_cast<void>(format_iso8601(*time));
    if (const auto time = parse_rfc1123(text)) static_cast<void>(format_rfc1123(*time));
    if (const auto time = parse_amz_date(text)) CHECK(parse_amz_date(format_amz_date(*time)) == time);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check_json(text);
    check_xml(text);
    check_encodings(text);
    check_numbers(text);
    return 0;
}
