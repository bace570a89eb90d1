#include "aws/sigv4_canonical.h"

#include <algorithm>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::aws::sigv4 {
namespace {

// "." and ".." resolved, runs of slashes collapsed, as all SDKs do before signing.
std::string normalized(std::string_view path) {
    std::vector<std::string_view> kept;
    for (const std::string_view segment : split(path, '/')) {
        if (segment.empty() || segment == ".") continue;
        if (segment != "..")
            kept.push_back(segment);
        else if (!kept.empty())
            kept.pop_back();
    }
    std::string out;
    for (const std::string_view segment : kept) out.append("/").append(segment);
    if (out.empty() || path.ends_with('/')) out += '/';
    return out;
}

// Runs of white space become one space.
std::string collapsed(std::string_view value) {
    std::string out;
    for (const char c : trim(value)) {
        const bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (!space)
            out += c;
        else if (!out.ends_with(' '))
            out += ' ';
    }
    return out;
}

std::string header_value(const net::Headers& headers, std::string_view name) {
    std::string out;
    bool first = true;
    for (const auto& [key, value] : headers.all()) {
        if (!equals_ignoring_case(key, name)) continue;
        if (!std::exchange(first, false)) out += ',';
        out += collapsed(value);
    }
    return out;
}

}  // namespace

std::string canonical_path(std::string_view raw_path, std::string_view service) {
    if (service == "s3") return raw_path.empty() ? "/" : percent_encode(percent_decode(raw_path), Slash::Keep);
    return percent_encode(normalized(raw_path), Slash::Keep);
}

std::string canonical_query(std::string_view raw_query) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string_view piece : split(raw_query, '&')) {
        if (piece.empty()) continue;
        const size_t mark = piece.find('=');
        const std::string_view value = mark == std::string_view::npos ? "" : piece.substr(mark + 1);
        auto name = percent_encode(percent_decode(piece.substr(0, mark)));
        if (name != "X-Amz-Signature") pairs.emplace_back(std::move(name), percent_encode(percent_decode(value)));
    }
    std::sort(pairs.begin(), pairs.end());
    std::string out;
    for (const auto& [name, value] : pairs) {
        if (!out.empty()) out += '&';
        out.append(name).append("=").append(value);
    }
    return out;
}

std::string canonical_request(const net::Request& request, std::string_view service,
                              const std::vector<std::string>& signed_names, std::string_view payload_hash) {
    std::string out = request.method + "\n" + canonical_path(request.raw_path(), service) + "\n" +
                      canonical_query(request.raw_query()) + "\n";
    for (const std::string& name : signed_names)
        out.append(name).append(":").append(header_value(request.headers, name)).append("\n");
    out.append("\n").append(join(signed_names, ";")).append("\n").append(payload_hash);
    return out;
}

std::string string_to_sign(std::string_view time, std::string_view scope, std::string_view canonical) {
    std::string out(kAlgorithm);
    out.append("\n").append(time).append("\n").append(scope).append("\n").append(sha256_hex(canonical));
    return out;
}

std::string derive_key(std::string_view secret, std::string_view date, std::string_view region,
                       std::string_view service) {
    const std::string by_date = hmac_sha256("AWS4" + std::string(secret), date);
    return hmac_sha256(hmac_sha256(hmac_sha256(by_date, region), service), "aws4_request");
}

std::string chunk_signature(std::string_view key, std::string_view time, std::string_view scope,
                            std::string_view previous, std::string_view chunk_sha256_hex) {
    static const std::string kEmptyHash = sha256_hex("");
    std::string text = "AWS4-HMAC-SHA256-PAYLOAD\n";
    text.append(time).append("\n").append(scope).append("\n").append(previous).append("\n");
    text.append(kEmptyHash).append("\n").append(chunk_sha256_hex);
    return to_hex(hmac_sha256(key, text));
}

std::string trailer_signature(std::string_view key, std::string_view time, std::string_view scope,
                              std::string_view previous, std::string_view trailer_lines) {
    std::string text = "AWS4-HMAC-SHA256-TRAILER\n";
    text.append(time).append("\n").append(scope).append("\n").append(previous).append("\n");
    text.append(sha256_hex(trailer_lines));
    return to_hex(hmac_sha256(key, text));
}

}  // namespace millwright::aws::sigv4
