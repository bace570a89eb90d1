// The passwords that GetAuthorizationToken gives out and `docker login` uses, user name "AWS". One names the access key
// of who asked for it and the region, sealed by the server; it holds no secret of the key, and ends with the key.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "aws/service.h"
#include "aws/token.h"
#include "base/time.h"

namespace millwright::services {

// Thread-safe.
class RegistryLogins {
  public:
    static constexpr std::chrono::hours kLife{12};
    static constexpr std::string_view kUser = "AWS";

    // `tokens` and `clock` must outlive this.
    RegistryLogins(const aws::PageTokens& tokens, const Clock& clock) : tokens_(tokens), clock_(clock) {}

    struct Password {
        std::string text;  // the token of ECR is base64("AWS:" + text)
        Timestamp expires{};
    };
    Password issue(const aws::Caller& caller) const;

    struct Claim {
        std::string access_key_id, region;
    };
    // Nothing for what issue() did not make, or has expired. Whether the key still exists is for the caller to see.
    std::optional<Claim> open(std::string_view password) const;

  private:
    const aws::PageTokens& tokens_;
    const Clock& clock_;
};

}  // namespace millwright::services
