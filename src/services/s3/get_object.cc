#include "base/strings.h"
#include "net/http_parser.h"
#include "services/s3/bucket_lifecycle.h"
#include "services/s3/conditions.h"
#include "services/s3/new_object.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

constexpr std::pair<std::string_view, std::string_view> kOverrides[] = {
    {"response-content-type", "Content-Type"},         {"response-content-language", "Content-Language"},
    {"response-content-encoding", "Content-Encoding"}, {"response-content-disposition", "Content-Disposition"},
    {"response-cache-control", "Cache-Control"},       {"response-expires", "Expires"},
};

net::Headers describe(const Exchange& exchange, const object_store::ObjectInfo& object) {
    net::Headers headers{{"Content-Type", object.content_type},
                         {"ETag", quoted(object.etag)},
                         {"Last-Modified", format_rfc1123(object.modified)},
                         {"Accept-Ranges", "bytes"}};
    for (const auto& [name, value] : object.headers)
        if (name != kAclHeader) headers.set(name, value);
    for (const auto& [name, value] : object.metadata) headers.add("x-amz-meta-" + name, value);
    if (object.storage_class != "STANDARD") headers.add("x-amz-storage-class", object.storage_class);
    if (!object.tags.empty()) headers.add("x-amz-tagging-count", std::to_string(object.tags.size()));
    add_version_header(headers, object.version);
    for (const auto& [parameter, header] : kOverrides)
        if (const auto value = exchange.parameter(parameter)) headers.set(header, *value);
    return headers;
}

// The bytes of the object that are asked for, by Range or by part number.
ApiResult<Range> wanted_range(const Exchange& exchange, const object_store::ObjectInfo& object, net::Headers& headers) {
    const auto part_text = exchange.parameter("partNumber");
    if (!part_text) return parse_range(exchange.header("Range"), object.size);
    if (exchange.has_header("Range"))
        return invalid_request("Cannot specify both Range header and partNumber query parameter");
    const auto part = parse_int(*part_text);
    if (!part || *part < 1 || *part > object_store::kMaxParts)
        return invalid_argument("Part number must be an integer between 1 and 10000, inclusive", "partNumber",
                                *part_text);
    const auto number = static_cast<size_t>(*part);
    if (number > std::max<size_t>(object.part_sizes.size(), 1))
        return ApiError{416, "InvalidPartNumber", "The requested partnumber is not satisfiable"};
    if (object.part_sizes.empty()) return object.size == 0 ? Range{} : Range{Range::Kind::Part, 0, object.size};
    headers.add("x-amz-mp-parts-count", std::to_string(object.part_sizes.size()));
    Range range{Range::Kind::Part, 0, object.part_sizes[number - 1]};
    for (size_t i = 0; i + 1 < number; ++i) range.first += object.part_sizes[i];
    return range.length == 0 ? Range{} : range;
}

// A checksum of the whole says nothing about a range, but a part has its own.
void add_checksums(net::Headers& headers, const Exchange& exchange, const object_store::ObjectInfo& object,
                   bool whole) {
    const auto number = parse_int(exchange.parameter("partNumber").value_or(""));
    for (const auto& part : number ? object_store::parts_of(object) : std::vector<object_store::PartInfo>())
        if (part.number == *number) return add_checksum_headers(headers, part.checksums, object.checksum_type);
    if (whole) add_checksum_headers(headers, object.checksums, object.checksum_type);
}

ApiError unsatisfiable(const Exchange& exchange, uint64_t size) {
    ApiError error(416, "InvalidRange", "The requested range is not satisfiable");
    error.members.set("RangeRequested", exchange.header("Range"));
    error.members.set("ActualObjectSize", std::to_string(size));
    return error;
}

// A value that no header can hold, such as one with a line feed, would end or split the answer.
ApiResult<void> check_overrides(const Exchange& exchange) {
    for (const auto& [parameter, header] : kOverrides) {
        const auto value = exchange.parameter(parameter);
        if (value && !net::is_field_text(*value))
            return invalid_argument("Header value cannot be represented using ISO-8859-1.", parameter, *value);
    }
    return {};
}

}  // namespace

ApiResult<void> get_object(Exchange& exchange) {
    if (exchange.has_header("x-amz-server-side-encryption"))
        return invalid_argument("x-amz-server-side-encryption header is not supported for this operation.",
                                "x-amz-server-side-encryption", exchange.header("x-amz-server-side-encryption"));
    TRY(check_overrides(exchange));
    const auto bucket = TRY(open_bucket(exchange));
    const auto object = exchange.store.get(exchange.bucket(), exchange.key(), version_of(exchange));
    if (!object) return object_error(exchange, object.error());
    const auto& info = object->info;
    net::Headers headers = describe(exchange, info);
    if (version_of(exchange).empty()) add_expiration_header(headers, bucket, info);
    const auto condition = check_conditions(exchange.request.headers, "", info.etag, info.modified);
    if (condition.verdict == Verdict::Failed) return precondition_failed(condition.header);
    if (condition.verdict == Verdict::NotModified) return exchange.send_empty(304, std::move(headers));

    const Range range = TRY(wanted_range(exchange, info, headers));
    if (range.kind == Range::Kind::Unsatisfiable) return unsatisfiable(exchange, info.size);
    const bool partial = range.kind == Range::Kind::Part;
    const uint64_t first = partial ? range.first : 0, length = partial ? range.length : info.size;
    if (partial)
        headers.add("Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(first + length - 1) + "/" +
                                         std::to_string(info.size));
    if (equals_ignoring_case(exchange.header("x-amz-checksum-mode"), "enabled"))
        add_checksums(headers, exchange, info, length == info.size);
    const int status = partial ? 206 : 200;
    if (exchange.request.method == "HEAD") return sent(exchange.response.send_headers_only(status, headers, length));
    if (object->in_memory())
        return sent(exchange.response.send(status, headers, std::string_view(object->bytes).substr(first, length)));
    return sent(exchange.response.send_file(status, headers, object->fd.get(), first, length));
}

}  // namespace millwright::s3
