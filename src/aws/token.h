// Opaque pagination tokens: the position of a keyset page, sealed so that a client can neither read meaning into it nor
// change it.
//
//   token    = base64url( tag payload )          without padding
//   tag      = first 16 bytes of HMAC-SHA-256(key, scope LF payload)
//   payload  = JSON array of strings, the position
//
// `scope` names the listing with everything that decides its order and content ("ListTrainingJobs", the account,
// filters and sort order as given), so that a token of one listing is refused by another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"

namespace millwright::aws {

// Thread-safe.
class PageTokens {
  public:
    // `key`: secret of the data directory, kept over restarts, so that a token outlives the server process.
    explicit PageTokens(std::string key) : key_(std::move(key)) {}

    std::string encode(std::string_view scope, const std::vector<std::string>& position) const;
    // ValidationException for anything that encode() did not make for this scope.
    ApiResult<std::vector<std::string>> decode(std::string_view scope, std::string_view token) const;

  private:
    std::string tag(std::string_view scope, std::string_view payload) const;
    std::string key_;
};

}  // namespace millwright::aws
