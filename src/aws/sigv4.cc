#include "aws/sigv4.h"

#include <algorithm>
#include <map>

#include "aws/presigned_v2.h"
#include "aws/sigv4_canonical.h"
#include "base/digest.h"
#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

constexpr auto kSkew = std::chrono::minutes(15);
constexpr int64_t kMaxExpiresSeconds = 7 * 24 * 3600;
constexpr int64_t kDefaultExpiresSeconds = 900;  // STS and others sign URLs without X-Amz-Expires
constexpr size_t kMaxCachedKeys = 1024;

// A signature as the request claims it.
struct Claim {
    CredentialScope scope;
    std::vector<std::string> signed_names;  // lower case
    std::string signature, time, session_token;
    std::optional<int64_t> expires_seconds;  // presigned only
    bool presigned = false;
};

using Fields = std::map<std::string, std::string, std::less<>>;

Fields header_fields(std::string_view authorization) {
    Fields fields;
    for (const std::string_view part : split(authorization, ',')) {
        const std::string_view field = trim(part);
        const size_t mark = field.find('=');
        if (mark != std::string_view::npos) fields.emplace(field.substr(0, mark), field.substr(mark + 1));
    }
    return fields;
}

// The Credential field alone; the first one counts, as above.
std::string_view claimed_credential(std::string_view authorization) {
    constexpr std::string_view kName = "Credential=";
    for (const std::string_view part : split(authorization, ','))
        if (const std::string_view text = trim(part); text.starts_with(kName)) return text.substr(kName.size());
    return "";
}

Fields query_fields(std::string_view raw_query) {
    Fields fields;
    for (const std::string_view piece : split(raw_query, '&')) {
        const size_t mark = piece.find('=');
        if (mark == std::string_view::npos || !piece.starts_with("X-Amz-")) continue;
        fields.emplace(piece.substr(0, mark), percent_decode(piece.substr(mark + 1)));
    }
    return fields;
}

std::string field(const Fields& fields, std::string_view name) {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
}

// "AKID/20261122/us-west-2/s3/aws4_request". The key id may hold slashes itself.
std::optional<CredentialScope> parse_credential(std::string_view text) {
    const auto parts = split(text, '/');
    if (parts.size() < 5 || parts.back() != "aws4_request") return std::nullopt;
    const size_t n = parts.size();
    const size_t tail = parts[n - 4].size() + parts[n - 3].size() + parts[n - 2].size() + parts[n - 1].size() + 4;
    return CredentialScope{std::string(text.substr(0, text.size() - tail)), std::string(parts[n - 4]),
                           std::string(parts[n - 3]), std::string(parts[n - 2])};
}

bool has_query_signature(const net::Request& request) {
    return request.raw_query().find("X-Amz-Signature=") != std::string_view::npos ||
           request.raw_query().find("X-Amz-Credential=") != std::string_view::npos;
}

std::string request_time(const net::Headers& headers) {
    if (const auto date = headers.find("x-amz-date")) return std::string(trim(*date));
    const std::string date = headers.get("date");
    if (const auto time = parse_rfc1123(date)) return format_amz_date(*time);
    return date;
}

AuthFailure malformed(std::string text) { return {AuthFailureKind::Malformed, std::move(text)}; }

Result<Claim, AuthFailure> finish_claim(const Fields& fields, std::string_view prefix, Claim claim) {
    const auto name_of = [&](std::string_view name) { return std::string(prefix) + std::string(name); };
    const std::string where =
        claim.presigned ? "AWS query-string parameters must include '" : "Authorization header requires '";
    const std::string end = claim.presigned ? "'. Re-examine the query-string parameters." : "' parameter.";
    for (const std::string_view name : {"Credential", "Signature", "SignedHeaders"})
        if (field(fields, name_of(name)).empty()) return malformed(where + name_of(name) + end);
    const std::string credential = field(fields, name_of("Credential"));
    auto scope = parse_credential(credential);
    if (!scope)
        return malformed(
            "Credential must have at least 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" +
            credential + "'");
    claim.scope = *std::move(scope);
    claim.signature = field(fields, name_of("Signature"));
    const std::string signed_headers = field(fields, name_of("SignedHeaders"));
    for (const std::string_view name : split(signed_headers, ';')) claim.signed_names.push_back(to_lower(trim(name)));
    if (claim.time.empty())
        return malformed("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
    return claim;
}

Result<Claim, AuthFailure> parse_query_claim(const net::Request& request) {
    const Fields fields = query_fields(request.raw_query());
    // The only parameter that no signature covers; which of two would count must not be a question.
    const auto pieces = split(request.raw_query(), '&');
    const auto is_signature = [](std::string_view piece) {
        return percent_decode(piece.substr(0, piece.find('='))) == "X-Amz-Signature";
    };
    if (std::count_if(pieces.begin(), pieces.end(), is_signature) > 1)
        return malformed("X-Amz-Signature must appear only once.");
    if (field(fields, "X-Amz-Algorithm") != sigv4::kAlgorithm)
        return malformed("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    Claim claim;
    claim.presigned = true;
    claim.time = field(fields, "X-Amz-Date");
    claim.session_token = field(fields, "X-Amz-Security-Token");
    claim.expires_seconds = kDefaultExpiresSeconds;
    if (const std::string text = field(fields, "X-Amz-Expires"); !text.empty()) {
        claim.expires_seconds = parse_int(text);
        if (!claim.expires_seconds || *claim.expires_seconds < 1) return malformed("X-Amz-Expires should be a number");
        if (*claim.expires_seconds > kMaxExpiresSeconds)
            return malformed(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less "
                "than 604800 seconds");
    }
    return finish_claim(fields, "X-Amz-", std::move(claim));
}

Result<Claim, AuthFailure> parse_claim(const net::Request& request) {
    const auto authorization = request.headers.find("authorization");
    if (!authorization && !has_query_signature(request)) return AuthFailure{AuthFailureKind::Anonymous, ""};
    if (authorization && has_query_signature(request))
        return malformed(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified");
    if (!authorization) return parse_query_claim(request);
    const std::string_view text = trim(*authorization);
    if (!text.starts_with(std::string(sigv4::kAlgorithm) + " "))
        return malformed(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.");
    Claim claim;
    claim.time = request_time(request.headers);
    claim.session_token = request.headers.get("x-amz-security-token");
    return finish_claim(header_fields(text.substr(sigv4::kAlgorithm.size())), "", std::move(claim));
}

std::string declared_hash(const net::Request& request) {
    if (const auto header = request.headers.find("x-amz-content-sha256")) return std::string(trim(*header));
    return field(query_fields(request.raw_query()), "X-Amz-Content-Sha256");
}

Result<PayloadKind, AuthFailure> kind_of(const std::string& declared, std::string_view service, bool presigned) {
    if (declared.empty()) {
        if (service != "s3") return PayloadKind::Buffered;
        if (presigned) return PayloadKind::Unsigned;
        return AuthFailure{AuthFailureKind::MissingPayloadHash, ""};
    }
    if (declared == sigv4::kUnsignedPayload) return PayloadKind::Unsigned;
    if (declared == sigv4::kSignedChunks) return PayloadKind::SignedChunks;
    if (declared == sigv4::kSignedTrailer) return PayloadKind::SignedTrailer;
    if (declared == sigv4::kUnsignedTrailer) return PayloadKind::UnsignedTrailer;
    if (declared.size() == 64 && from_hex(declared)) return PayloadKind::Hashed;
    return AuthFailure{AuthFailureKind::BadPayloadHash, ""};
}

Result<void, AuthFailure> check_time(const Claim& claim, Timestamp now) {
    const auto time = parse_amz_date(claim.time);
    if (!time)
        return malformed("Date must be in ISO-8601 'basic format'. Got '" + claim.time +
                         "'. See http://en.wikipedia.org/wiki/ISO_8601");
    if (claim.scope.date != claim.time.substr(0, 8))
        return AuthFailure{
            AuthFailureKind::BadScope,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
                claim.scope.date + "' != '" + claim.time.substr(0, 8) + "', from '" + claim.time + "'."};
    if (*time > now + kSkew)
        return AuthFailure{AuthFailureKind::Skewed, "Signature not yet current: " + claim.time +
                                                        " is still later than " + format_amz_date(now + kSkew) + " (" +
                                                        format_amz_date(now) + " + 15 min.)"};
    if (claim.presigned) {
        if (*time + std::chrono::seconds(*claim.expires_seconds) < now)
            return AuthFailure{AuthFailureKind::UrlExpired,
                               "Signature expired: " + claim.time + " is now earlier than " + format_amz_date(now)};
        return {};
    }
    if (*time < now - kSkew)
        return AuthFailure{AuthFailureKind::Skewed, "Signature expired: " + claim.time + " is now earlier than " +
                                                        format_amz_date(now - kSkew) + " (" + format_amz_date(now) +
                                                        " - 15 min.)"};
    return {};
}

Result<void, AuthFailure> check_token(const Credential& credential, const Claim& claim, Timestamp now) {
    if (!constant_time_equal(credential.session_token, claim.session_token))
        return AuthFailure{AuthFailureKind::BadToken, ""};
    if (credential.expires && *credential.expires <= now) return AuthFailure{AuthFailureKind::ExpiredToken, ""};
    return {};
}

// A header that is not signed could be changed on the way. Host decides where, x-amz-* decide what.
Result<void, AuthFailure> check_signed_names(const net::Headers& headers, const std::vector<std::string>& names) {
    const auto is_signed = [&](const std::string& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (!is_signed("host"))
        return AuthFailure{AuthFailureKind::UnsignedHeader,
                           "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."};
    for (const auto& [name, value] : headers.all()) {
        const std::string lower = to_lower(name);
        if (lower.starts_with("x-amz-") && !is_signed(lower))
            return AuthFailure{AuthFailureKind::UnsignedHeader,
                               "'" + name + "' must be a 'SignedHeader' in the AWS Authorization."};
    }
    return {};
}

PayloadCheck payload_check(PayloadKind kind, const net::Headers& headers, const std::string& declared,
                           const Claim& claim, const std::string& key) {
    PayloadCheck check;
    check.kind = kind;
    if (kind == PayloadKind::Hashed) check.sha256_hex = to_lower(declared);
    check.signing_key = key;
    check.timestamp = claim.time;
    check.scope = claim.scope.text();
    check.seed_signature = claim.signature;
    if (const auto length = parse_int(headers.get("x-amz-decoded-content-length")); length && *length >= 0)
        check.decoded_length = static_cast<uint64_t>(*length);
    for (const std::string_view name : split(headers.find("x-amz-trailer").value_or(""), ','))
        if (!trim(name).empty()) check.trailers.push_back(to_lower(trim(name)));
    return check;
}

}  // namespace

struct CheckedClaims::Parts {
    Claim claim;
    Credential credential;
    std::string declared_hash;
};

CheckedClaims::CheckedClaims(PayloadKind kind, std::unique_ptr<Parts> parts) : kind_(kind), parts_(std::move(parts)) {}
CheckedClaims::~CheckedClaims() = default;
CheckedClaims::CheckedClaims(CheckedClaims&&) noexcept = default;
CheckedClaims& CheckedClaims::operator=(CheckedClaims&&) noexcept = default;

std::string CredentialScope::text() const { return date + "/" + region + "/" + service + "/aws4_request"; }

std::optional<CredentialScope> claimed_scope(const net::Request& request) {
    const auto authorization = request.headers.find("authorization");
    if (authorization && authorization->starts_with(sigv4::kAlgorithm))
        return parse_credential(claimed_credential(authorization->substr(sigv4::kAlgorithm.size())));
    if (has_query_signature(request))
        return parse_credential(field(query_fields(request.raw_query()), "X-Amz-Credential"));
    if (const auto old = presigned_v2::parse(request); old && !authorization)
        return CredentialScope{old->access_key_id, "", "", "s3"};
    return std::nullopt;
}

namespace {

bool signed_the_old_way(const net::Request& request) {
    return !request.headers.has("authorization") && !has_query_signature(request) && presigned_v2::parse(request);
}

// "localhost", "127.0.0.1:9770", "[::1]": hosts in which no bucket can stand.
bool names_no_bucket(std::string_view host) {
    const std::string_view name = host.substr(0, host.find(':'));
    return host.starts_with('[') || name.find('.') == std::string_view::npos ||
           name.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

Result<Verified, AuthFailure> SignatureVerifier::verify_v2(const net::Request& request, bool with_signature) const {
    const auto claim = *presigned_v2::parse(request);
    const std::string host = request.headers.get("host");
    if (!bucket_of_host_ && !names_no_bucket(host))
        return malformed("Only AWS4-HMAC-SHA256 signatures are taken for this host name.");
    auto credential = credentials_.find_credential(claim.access_key_id);
    if (!credential) return AuthFailure{AuthFailureKind::UnknownKey, ""};
    const auto expires = parse_int(claim.expires);
    if (!expires) return malformed("Invalid date (should be seconds since epoch): " + claim.expires);
    const Timestamp now = clock_.now();
    if (*expires < to_epoch_milliseconds(now) / 1000) return AuthFailure{AuthFailureKind::UrlExpired, ""};
    Verified verified{std::move(*credential), {claim.access_key_id, "", "", "s3"}, true, {}};
    const std::string declared = declared_hash(request);
    Claim common;
    common.session_token = claim.session_token;
    verified.payload = payload_check(TRY(kind_of(declared, "s3", true)), request.headers, declared, common, "");
    if (!with_signature) return verified;
    const std::string bucket = bucket_of_host_ ? bucket_of_host_(host) : "";
    const std::string expected = presigned_v2::signature(request, claim, bucket, verified.credential.secret_access_key);
    if (!constant_time_equal(expected, claim.signature)) return AuthFailure{AuthFailureKind::BadSignature, ""};
    TRY(check_token(verified.credential, common, now));
    verified.credential.caller.access_key_id = claim.access_key_id;
    return verified;
}

Result<CheckedClaims, AuthFailure> SignatureVerifier::check_claims(const net::Request& request) const {
    if (signed_the_old_way(request)) {
        const Verified known = TRY(verify_v2(request, false));
        return CheckedClaims(known.payload.kind, nullptr);
    }
    auto parts = std::make_unique<CheckedClaims::Parts>();
    parts->claim = TRY(parse_claim(request));
    auto credential = credentials_.find_credential(parts->claim.scope.access_key_id);
    if (!credential) return AuthFailure{AuthFailureKind::UnknownKey, ""};
    TRY(check_time(parts->claim, clock_.now()));
    TRY(check_signed_names(request.headers, parts->claim.signed_names));
    parts->credential = *std::move(credential);
    parts->declared_hash = declared_hash(request);
    const PayloadKind kind = TRY(kind_of(parts->declared_hash, parts->claim.scope.service, parts->claim.presigned));
    return CheckedClaims(kind, std::move(parts));
}

Result<Verified, AuthFailure> SignatureVerifier::verify(const net::Request& request,
                                                        std::string_view body_sha256_hex) const {
    auto claims = TRY(check_claims(request));
    return verify(std::move(claims), request, body_sha256_hex);
}

Result<Verified, AuthFailure> SignatureVerifier::verify(CheckedClaims claims, const net::Request& request,
                                                        std::string_view body_sha256_hex) const {
    if (!claims.parts_) return verify_v2(request, true);
    const Claim& claim = claims.parts_->claim;
    Credential& credential = claims.parts_->credential;
    const std::string& declared = claims.parts_->declared_hash;
    const std::string hash = claims.kind() == PayloadKind::Buffered ? std::string(body_sha256_hex)
                             : declared.empty()                     ? std::string(sigv4::kUnsignedPayload)
                                                                    : declared;

    const std::string canonical = sigv4::canonical_request(request, claim.scope.service, claim.signed_names, hash);
    const std::string key = signing_key(claim.scope, credential.secret_access_key);
    const std::string to_sign = sigv4::string_to_sign(claim.time, claim.scope.text(), canonical);
    if (!constant_time_equal(to_hex(hmac_sha256(key, to_sign)), claim.signature))
        return AuthFailure{AuthFailureKind::BadSignature, "", canonical};
    // Only who holds the secret learns that its token is wrong or old; and it may have grown old with the body.
    TRY(check_token(credential, claim, clock_.now()));

    credential.caller.region = claim.scope.region;
    credential.caller.access_key_id = claim.scope.access_key_id;
    return Verified{std::move(credential), claim.scope, claim.presigned,
                    payload_check(claims.kind(), request.headers, declared, claim, key)};
}

std::string SignatureVerifier::signing_key(const CredentialScope& scope, const std::string& secret) const {
    const std::string name = scope.access_key_id + "/" + scope.text();
    {
        const MutexLock lock(mutex_);
        const auto found = keys_.find(name);
        if (found != keys_.end() && found->second.secret == secret) return found->second.key;
    }
    std::string key = sigv4::derive_key(secret, scope.date, scope.region, scope.service);
    const MutexLock lock(mutex_);
    // Region and service are the client's words: without a bound the cache would grow at their will.
    if (keys_.size() >= kMaxCachedKeys) keys_.clear();
    keys_[name] = {secret, key};
    return key;
}

}  // namespace millwright::aws
