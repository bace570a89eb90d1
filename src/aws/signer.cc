#include <algorithm>
#include <cstdio>

#include "aws/sigv4.h"
#include "aws/sigv4_canonical.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

CredentialScope scope_of(const SigningKeys& keys, const SigningScope& scope) {
    return {keys.access_key_id, format_amz_date(scope.time).substr(0, 8), scope.region, scope.service};
}

std::string key_of(const SigningKeys& keys, const SigningScope& scope) {
    return sigv4::derive_key(keys.secret_access_key, scope_of(keys, scope).date, scope.region, scope.service);
}

std::string signature_of(const net::Request& request, const std::vector<std::string>& names, const SigningKeys& keys,
                         const SigningScope& scope, std::string_view payload_hash) {
    const std::string canonical = sigv4::canonical_request(request, scope.service, names, payload_hash);
    const std::string text =
        sigv4::string_to_sign(format_amz_date(scope.time), scope_of(keys, scope).text(), canonical);
    return to_hex(hmac_sha256(key_of(keys, scope), text));
}

std::string hex_length(size_t length) {
    char text[20];
    std::snprintf(text, sizeof text, "%zx", length);
    return text;
}

}  // namespace

void sign_request(net::Request& request, const SigningKeys& keys, const SigningScope& scope,
                  std::string_view payload_hash) {
    request.headers.erase("authorization");
    request.headers.set("X-Amz-Date", format_amz_date(scope.time));
    if (!keys.session_token.empty()) request.headers.set("X-Amz-Security-Token", keys.session_token);
    std::vector<std::string> names;
    for (const auto& [name, value] : request.headers.all()) names.push_back(to_lower(name));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    const std::string signature = signature_of(request, names, keys, scope, payload_hash);
    request.headers.add("Authorization", std::string(sigv4::kAlgorithm) + " Credential=" + keys.access_key_id + "/" +
                                             scope_of(keys, scope).text() + ", SignedHeaders=" + join(names, ";") +
                                             ", Signature=" + signature);
}

std::string presign_target(const net::Request& request, const SigningKeys& keys, const SigningScope& scope,
                           std::chrono::seconds lifetime) {
    net::Request presigned;
    presigned.method = request.method;
    presigned.headers = {{"host", request.headers.get("host")}};
    presigned.target = request.target + (request.raw_query().empty() ? "?" : "&") +
                       "X-Amz-Algorithm=" + std::string(sigv4::kAlgorithm) +
                       "&X-Amz-Credential=" + percent_encode(keys.access_key_id + "/" + scope_of(keys, scope).text()) +
                       "&X-Amz-Date=" + format_amz_date(scope.time) +
                       "&X-Amz-Expires=" + std::to_string(lifetime.count()) + "&X-Amz-SignedHeaders=host";
    if (!keys.session_token.empty()) presigned.target += "&X-Amz-Security-Token=" + percent_encode(keys.session_token);
    // Only S3 leaves the body of a presigned request open.
    const std::string payload = scope.service == "s3" ? std::string(sigv4::kUnsignedPayload) : sha256_hex("");
    return presigned.target + "&X-Amz-Signature=" + signature_of(presigned, {"host"}, keys, scope, payload);
}

std::string chunked_body(std::string_view body, const SigningKeys& keys, const SigningScope& scope,
                         std::string_view seed_signature, const ChunkOptions& options) {
    const std::string key = key_of(keys, scope), time = format_amz_date(scope.time);
    const std::string scope_text = scope_of(keys, scope).text();
    std::string previous(seed_signature), out;
    for (bool last = false; !last;) {
        const std::string_view chunk = body.substr(0, options.chunk);
        last = chunk.empty();
        out += hex_length(chunk.size());
        if (options.signed_chunks) {
            previous = sigv4::chunk_signature(key, time, scope_text, previous, sha256_hex(chunk));
            out.append(";chunk-signature=").append(previous);
        }
        out.append("\r\n").append(chunk);
        if (!last) out += "\r\n";
        body.remove_prefix(chunk.size());
    }
    if (!options.trailer_name.empty()) {
        out.append(options.trailer_name).append(":").append(options.trailer_value).append("\r\n");
        if (options.signed_chunks)
            out += "x-amz-trailer-signature:" +
                   sigv4::trailer_signature(key, time, scope_text, previous,
                                            options.trailer_name + ":" + options.trailer_value + "\n") +
                   "\r\n";
    }
    return out + "\r\n";
}

}  // namespace millwright::aws
