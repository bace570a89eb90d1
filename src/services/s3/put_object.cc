#include "services/s3/new_object.h"
#include "services/s3/object_versions.h"
#include "services/s3/operations.h"
#include "services/s3/put_headers.h"

namespace millwright::s3 {

ApiResult<void> put_object(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const auto digests = TRY(read_digests(exchange.request.headers));
    auto object = TRY(read_object_headers(exchange.request.headers));
    TRY(add_bucket_defaults(exchange, bucket, object.headers));
    const auto conditions = TRY(read_write_conditions(exchange.request.headers));
    // A chunked body tells its length at its end; the store stops at its limit.
    const auto length = exchange.request.body->length();
    if (length && *length > object_store::kMaxPutBytes)
        return ApiError{400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"};

    object_store::PutOptions options;
    options.content_type = object.content_type;
    options.headers = object.headers;
    options.metadata = object.metadata;
    options.storage_class = object.storage_class;
    options.tags = object.tags;
    options.expected_checksums = digests.expected;
    options.expected_md5 = digests.md5;
    options.compute_checksums = digests.in_trailer;
    options.if_none_match = conditions.if_none_match;
    options.if_match = conditions.if_match;
    const auto stored =
        TRY(in_s3(exchange.store.put(exchange.bucket(), exchange.key(), options, body_source(exchange.request))));

    net::Headers headers{{"ETag", quoted(stored.etag)}};
    add_checksum_headers(headers, stored.checksums, stored.checksum_type);
    add_encryption_headers(headers, stored.headers);
    add_written_headers(headers, bucket, stored);
    return exchange.send_empty(200, std::move(headers));
}

}  // namespace millwright::s3
