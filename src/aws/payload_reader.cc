#include <algorithm>
#include <cstring>

#include "aws/sigv4.h"
#include "aws/sigv4_canonical.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

// aws-chunked, below HTTP's own framing:
//   body    = *chunk last *trailer CRLF
//   chunk   = size [";chunk-signature=" hex] CRLF bytes CRLF       size in hex, not 0
//   last    = "0" [";chunk-signature=" hex] CRLF
//   trailer = name ":" value CRLF                                  x-amz-trailer-signature comes last when chunks are
//   signed

namespace millwright::aws {
namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr size_t kMaxLineBytes = 8 * 1024;
constexpr size_t kMaxTrailers = 16;
constexpr std::string_view kChecksumPrefix = "x-amz-checksum-";
constexpr std::string_view kTrailerSignature = "x-amz-trailer-signature";

struct Checksum {
    std::string_view name, shown;
    DigestKind kind;
};
constexpr Checksum kChecksums[] = {{"crc32", "CRC32", DigestKind::Crc32},
                                   {"crc32c", "CRC32C", DigestKind::Crc32c},
                                   {"crc64nvme", "CRC64NVME", DigestKind::Crc64Nvme},
                                   {"sha1", "SHA1", DigestKind::Sha1},
                                   {"sha256", "SHA256", DigestKind::Sha256}};

const Checksum* find_checksum(std::string_view trailer) {
    if (!trailer.starts_with(kChecksumPrefix)) return nullptr;
    for (const Checksum& checksum : kChecksums)
        if (trailer.substr(kChecksumPrefix.size()) == checksum.name) return &checksum;
    return nullptr;
}

struct Running {
    const Checksum* checksum;
    Digest digest;
};

ApiError incomplete_body() {
    return {400, "IncompleteBody",
            "You did not provide the number of bytes specified by the Content-Length HTTP header"};
}
ApiError bad_framing(std::string detail) {
    ApiError error{400, "InvalidRequest", "The aws-chunked framing of the body is broken."};
    error.detail = std::move(detail);
    return error;
}
ApiError malformed_trailer() {
    return {400, "MalformedTrailerError",
            "The request contained trailing data that was not well-formed or did not conform to our published schema."};
}
ApiError chunk_signature_mismatch() {
    return {403, "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method."};
}

// "1a0;chunk-signature=…" -> length and signature.
struct ChunkHeader {
    uint64_t length = 0;
    std::string signature;
};
std::optional<ChunkHeader> parse_chunk_header(std::string_view line) {
    constexpr std::string_view kExtension = "chunk-signature=";
    const size_t semicolon = line.find(';');
    const std::string_view digits = line.substr(0, semicolon);
    if (digits.empty() || digits.size() > 15) return std::nullopt;
    ChunkHeader header;
    for (const char c : digits) {
        const int value = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (value < 0) return std::nullopt;
        header.length = header.length * 16 + static_cast<uint64_t>(value);
    }
    if (semicolon == std::string_view::npos) return header;
    const std::string_view extension = line.substr(semicolon + 1);
    if (!extension.starts_with(kExtension)) return std::nullopt;
    header.signature = extension.substr(kExtension.size());
    return header;
}

}  // namespace

struct PayloadReader::Impl {
    Impl(PayloadCheck c, net::BodyReader& reader) : check(std::move(c)), inner(reader) {}

    bool chunked() const {
        return check.kind == PayloadKind::SignedChunks || check.kind == PayloadKind::SignedTrailer ||
               check.kind == PayloadKind::UnsignedTrailer;
    }
    bool signed_chunks() const { return check.kind != PayloadKind::UnsignedTrailer; }

    ApiResult<void> start();
    ApiResult<size_t> read_plain(std::span<char> out);
    ApiResult<size_t> read_chunked(std::span<char> out);
    ApiResult<void> next_chunk();
    ApiResult<void> end_chunk();
    ApiResult<void> read_trailers();
    ApiResult<void> check_trailers(std::string_view signature, const std::string& lines);
    ApiResult<void> finish();
    ApiResult<size_t> read_inner(std::span<char> out);
    ApiResult<bool> fill();
    ApiResult<std::string> read_line();
    void consume(std::string_view bytes);

    PayloadCheck check;
    net::BodyReader& inner;
    std::optional<ApiError> error;
    net::Headers fields;
    std::vector<Running> running;
    std::optional<Digest> body_hash, chunk_hash;
    std::string buffer;  // undecoded bytes, from `at`
    size_t at = 0;
    uint64_t chunk_left = 0, decoded = 0;
    std::string chunk_claim, previous;
    bool started = false, ended = false;
};

namespace {

ApiError api_error(const Error& failure) {
    if (failure.kind == ErrorKind::Unavailable)
        return {400, "RequestTimeout",
                "Your socket connection to the server was not read from or written to within the timeout period. Idle "
                "connections will be closed."};
    ApiError error = incomplete_body();
    error.detail = failure.message + " (" + failure.detail + ")";
    return error;
}

}  // namespace

ApiResult<void> PayloadReader::Impl::start() {
    started = true;
    if (check.kind == PayloadKind::Hashed) body_hash.emplace(DigestKind::Sha256);
    if (!chunked()) return {};
    previous = check.seed_signature;
    if (!check.decoded_length)
        return ApiError{411, "MissingContentLength", "You must provide the Content-Length HTTP header."};
    if (check.kind == PayloadKind::SignedChunks && !check.trailers.empty()) return malformed_trailer();
    for (const std::string& name : check.trailers) {
        const Checksum* checksum = find_checksum(name);
        if (!checksum)
            return ApiError{400, "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"};
        running.push_back({checksum, Digest(checksum->kind)});
    }
    return next_chunk();
}

ApiResult<size_t> PayloadReader::Impl::read_inner(std::span<char> out) {
    auto got = inner.read(out);
    if (!got) return api_error(got.error());
    return *got;
}

// False at the end of the undecoded body.
ApiResult<bool> PayloadReader::Impl::fill() {
    buffer.resize(kBufferBytes);
    at = 0;
    const size_t got = TRY(read_inner({buffer.data(), buffer.size()}));
    buffer.resize(got);
    return got > 0;
}

ApiResult<std::string> PayloadReader::Impl::read_line() {
    std::string line;
    for (;;) {
        if (at == buffer.size() && !TRY(fill())) return incomplete_body();
        const size_t end = buffer.find('\n', at);
        line.append(buffer, at, end == std::string::npos ? end : end - at);
        at = end == std::string::npos ? buffer.size() : end + 1;
        if (line.size() > kMaxLineBytes) return bad_framing("a line is too long");
        if (end == std::string::npos) continue;
        if (!line.ends_with('\r')) return bad_framing("a line does not end with CRLF");
        line.pop_back();
        return line;
    }
}

void PayloadReader::Impl::consume(std::string_view bytes) {
    decoded += bytes.size();
    if (body_hash) body_hash->update(bytes);
    if (chunk_hash) chunk_hash->update(bytes);
    for (Running& entry : running) entry.digest.update(bytes);
}

ApiResult<size_t> PayloadReader::Impl::read_plain(std::span<char> out) {
    if (ended) return size_t{0};
    const size_t got = TRY(read_inner(out));
    consume({out.data(), got});
    if (got > 0 || out.empty()) return got;
    ended = true;
    if (body_hash && !constant_time_equal(to_hex(body_hash->finish()), check.sha256_hex))
        return ApiError{400, "XAmzContentSHA256Mismatch",
                        "The provided 'x-amz-content-sha256' header does not match what was computed."};
    return size_t{0};
}

ApiResult<size_t> PayloadReader::Impl::read_chunked(std::span<char> out) {
    if (ended || out.empty()) return size_t{0};
    size_t got = 0;
    if (at < buffer.size()) {
        got = static_cast<size_t>(std::min({uint64_t{buffer.size() - at}, uint64_t{out.size()}, chunk_left}));
        std::memcpy(out.data(), buffer.data() + at, got);
        at += got;
    } else {
        // Nothing is buffered: the bytes of a chunk go straight to the reader.
        got = TRY(read_inner(out.first(static_cast<size_t>(std::min(uint64_t{out.size()}, chunk_left)))));
        if (got == 0) return incomplete_body();
    }
    chunk_left -= got;
    consume({out.data(), got});
    if (chunk_left == 0) {
        if (TRY(read_line()) != "") return bad_framing("a chunk is longer than it says");
        TRY(end_chunk());
        TRY(next_chunk());
    }
    return got;
}

// Reads the next chunk's header; after the last one everything is checked and `ended` is set.
ApiResult<void> PayloadReader::Impl::next_chunk() {
    const std::string line = TRY(read_line());
    auto header = parse_chunk_header(line);
    if (!header) return bad_framing("a chunk header cannot be read");
    if (header->length > *check.decoded_length - decoded) return incomplete_body();
    chunk_left = header->length;
    chunk_claim = std::move(header->signature);
    if (signed_chunks()) chunk_hash.emplace(DigestKind::Sha256);
    if (chunk_left > 0) return {};
    TRY(end_chunk());
    TRY(read_trailers());
    return finish();
}

ApiResult<void> PayloadReader::Impl::end_chunk() {
    if (!signed_chunks()) return {};
    previous =
        sigv4::chunk_signature(check.signing_key, check.timestamp, check.scope, previous, to_hex(chunk_hash->finish()));
    chunk_hash.reset();
    if (!constant_time_equal(previous, chunk_claim)) return chunk_signature_mismatch();
    return {};
}

ApiResult<void> PayloadReader::Impl::read_trailers() {
    std::string lines, signature;
    for (size_t count = 0;; ++count) {
        const std::string line = TRY(read_line());
        if (line.empty()) return check_trailers(signature, lines);
        const size_t colon = line.find(':');
        // The signature covers everything before it, so nothing may follow it.
        if (colon == std::string::npos || count == kMaxTrailers || !signature.empty()) return malformed_trailer();
        const std::string name = to_lower(trim(std::string_view(line).substr(0, colon)));
        const std::string value(trim(std::string_view(line).substr(colon + 1)));
        if (name == kTrailerSignature) {
            signature = value;
            continue;
        }
        lines += name + ":" + value + "\n";
        const bool announced = std::find(check.trailers.begin(), check.trailers.end(), name) != check.trailers.end();
        if (!announced || fields.has(name)) return malformed_trailer();
        fields.add(name, value);
    }
}

ApiResult<void> PayloadReader::Impl::check_trailers(std::string_view signature, const std::string& lines) {
    if (check.kind == PayloadKind::SignedTrailer) {
        const std::string expected =
            sigv4::trailer_signature(check.signing_key, check.timestamp, check.scope, previous, lines);
        if (!constant_time_equal(expected, signature)) return chunk_signature_mismatch();
    }
    for (Running& entry : running) {
        const std::string shown(entry.checksum->shown);
        const auto given = fields.find(std::string(kChecksumPrefix) + std::string(entry.checksum->name));
        if (!given) return malformed_trailer();
        const std::string computed = entry.digest.finish();
        const auto claimed = from_base64(*given);
        if (!claimed || claimed->size() != computed.size())
            return ApiError{
                400, "InvalidRequest",
                "Value for x-amz-checksum-" + std::string(entry.checksum->name) + " trailing header is invalid."};
        if (*claimed != computed)
            return ApiError{400, "BadDigest", "The " + shown + " you specified did not match the calculated checksum."};
    }
    return {};
}

ApiResult<void> PayloadReader::Impl::finish() {
    if (decoded != *check.decoded_length) return incomplete_body();
    if (at < buffer.size() || TRY(fill())) return bad_framing("there are bytes after the last chunk");
    ended = true;
    return {};
}

PayloadReader::PayloadReader(PayloadCheck check, net::BodyReader& inner)
    : impl_(std::make_unique<Impl>(std::move(check), inner)) {}
PayloadReader::~PayloadReader() = default;

Result<size_t> PayloadReader::read(std::span<char> buffer) {
    const auto advance = [&]() -> ApiResult<size_t> {
        if (impl_->error) return *impl_->error;
        if (!impl_->started) TRY(impl_->start());
        return impl_->chunked() ? impl_->read_chunked(buffer) : impl_->read_plain(buffer);
    };
    auto got = advance();
    if (got) return *got;
    impl_->error = got.error();
    const ErrorKind kind = got.error().code == "RequestTimeout" ? ErrorKind::Unavailable : ErrorKind::InvalidInput;
    return Error{kind, got.error().message, got.error().detail};
}

std::optional<uint64_t> PayloadReader::length() const {
    return impl_->chunked() ? impl_->check.decoded_length : impl_->inner.length();
}

const net::Headers& PayloadReader::trailers() const { return impl_->fields; }
const std::optional<ApiError>& PayloadReader::failure() const { return impl_->error; }

Result<size_t> StringBody::read(std::span<char> buffer) {
    const size_t count = std::min(buffer.size(), bytes_.size() - at_);
    std::memcpy(buffer.data(), bytes_.data() + at_, count);
    at_ += count;
    return count;
}

}  // namespace millwright::aws
