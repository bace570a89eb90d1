// Who a container client is: the name and the password of `docker login`, sent with every request of a registry.
//
//   AWS            a token of GetAuthorizationToken
//   <access key>   its secret key; long-term keys only
//
//   token   = base64url( tag payload )       without padding
//   tag     = HMAC-SHA-256( HMAC-SHA-256(key, secret key), payload )
//   payload = JSON array of strings: access key id, region, end in epoch seconds
//
// Nothing is stored: a token is good as long as the key it was made with, at most for twelve hours, over restarts.
// Because of `key`, nobody can make one from a secret key alone, without the permission to ask for it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "aws/service.h"
#include "base/result.h"
#include "base/time.h"

namespace millwright::resources {

inline constexpr std::chrono::hours kRegistryTokenLifetime{12};
inline constexpr std::string_view kRegistryUser = "AWS";

struct RegistryToken {
    std::string password;
    Timestamp expires{};
};

// Thread-safe.
class RegistryLogin {
  public:
    // `key`: secret of the data directory. `default_region`: of who comes with an access key, which has none.
    // `credentials` and `clock` must outlive it.
    RegistryLogin(const aws::CredentialSource& credentials, const Clock& clock, std::string key,
                  std::string default_region)
        : credentials_(credentials), clock_(clock), key_(std::move(key)), default_region_(std::move(default_region)) {}

    // For the key that `caller` has signed with, and for its region. No longer than the key itself is good for.
    Result<RegistryToken> issue(const aws::Caller& caller) const;
    // Denied: the message says why, but nothing that helps to guess.
    Result<aws::Caller> caller_of(std::string_view user, std::string_view password) const;

  private:
    Result<aws::Caller> caller_of_token(std::string_view token) const;
    Result<aws::Caller> caller_of_key(std::string_view access_key_id, std::string_view secret) const;
    std::string tag(std::string_view secret, std::string_view payload) const;

    const aws::CredentialSource& credentials_;
    const Clock& clock_;
    const std::string key_, default_region_;
};

}  // namespace millwright::resources
