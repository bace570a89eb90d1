#include "services/registry/exchange.h"
#include "services/registry/ranges.h"

namespace millwright::services {
namespace {

// Bytes with this name never change.
net::Headers describe(const std::string& digest) {
    return {{"Content-Type", "application/octet-stream"},
            {"Docker-Content-Digest", digest},
            {"ETag", "\"" + digest + "\""},
            {"Accept-Ranges", "bytes"},
            {"Cache-Control", "max-age=31536000"}};
}

}  // namespace

ApiResult<void> show_blob(const RegistryExchange& exchange) {
    const auto blob = TRY(in_registry(exchange.registry().find_blob(exchange.repository, exchange.target.item)));
    TRY(exchange.response.send_headers_only(200, describe(blob.digest), blob.size));
    return {};
}

ApiResult<void> get_blob(const RegistryExchange& exchange) {
    const auto blob = TRY(in_registry(exchange.registry().open_blob_file(exchange.repository, exchange.target.item)));
    const uint64_t size = blob.info.size;
    net::Headers headers = describe(blob.info.digest);
    if (exchange.header("If-None-Match") == headers.get("ETag")) return exchange.send_empty(304, std::move(headers));
    const WantedRange range = wanted_range(exchange.header("Range"), size);
    if (range.kind == WantedRange::Kind::Unsatisfiable) {
        ApiError error{416, "RANGE_INVALID", "The layer has " + std::to_string(size) + " bytes"};
        error.headers.emplace_back("Content-Range", "bytes */" + std::to_string(size));
        return error;
    }
    const bool part = range.kind == WantedRange::Kind::Part;
    const ByteRange bytes = part ? range.part : ByteRange{0, size};
    if (part)
        headers.add("Content-Range", "bytes " + std::to_string(bytes.first) + "-" +
                                         std::to_string(bytes.first + bytes.length - 1) + "/" + std::to_string(size));
    TRY(exchange.response.send_file(part ? 206 : 200, headers, blob.fd.get(), bytes.first, bytes.length));
    return {};
}

ApiResult<void> delete_blob(const RegistryExchange& exchange) {
    TRY(in_registry(exchange.registry().remove_blob(exchange.repository, exchange.target.item)));
    return exchange.send_empty(202);
}

}  // namespace millwright::services
