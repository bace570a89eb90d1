// The pieces of a SigV4 signature, shared by verifier, signer and chunk reader.
//
//   canonical request = method LF path LF query LF *(header ":" value LF) LF signed-names LF payload-hash
//   string to sign    = "AWS4-HMAC-SHA256" LF time LF scope LF sha256(canonical request)
//   key               = HMAC(HMAC(HMAC(HMAC("AWS4" secret, date), region), service), "aws4_request")
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"

namespace millwright::aws::sigv4 {

inline constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";
inline constexpr std::string_view kSignedChunks = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
inline constexpr std::string_view kSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
inline constexpr std::string_view kUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

// S3 encodes the decoded path once; the others normalize the path as sent and encode it again.
std::string canonical_path(std::string_view raw_path, std::string_view service);
// Sorted and encoded, without X-Amz-Signature.
std::string canonical_query(std::string_view raw_query);
// REQUIRES: names in lower case.
std::string canonical_request(const net::Request& request, std::string_view service,
                              const std::vector<std::string>& signed_names, std::string_view payload_hash);
std::string string_to_sign(std::string_view time, std::string_view scope, std::string_view canonical);
std::string derive_key(std::string_view secret, std::string_view date, std::string_view region,
                       std::string_view service);
// Hex. What each chunk, and the trailer after the last one, is signed with.
std::string chunk_signature(std::string_view key, std::string_view time, std::string_view scope,
                            std::string_view previous, std::string_view chunk_sha256_hex);
std::string trailer_signature(std::string_view key, std::string_view time, std::string_view scope,
                              std::string_view previous, std::string_view trailer_lines);

}  // namespace millwright::aws::sigv4
