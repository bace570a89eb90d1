// A small certificate authority of our own, for clients on this machine that are told to trust it.
//
// It may speak for the names it was made for only: the certificate carries them as critical name constraints, so that
// a stolen key is worth nothing for any other site. <folder>/<name>.pem is what clients need; <name>.key (0600) stays.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "net/tls.h"

namespace millwright::net {

struct CertificateNames {
    std::vector<std::string> dns;        // host names, lower case; for an authority each with everything below it
    std::vector<std::string> addresses;  // IPv4 or IPv6, plain
};

// Thread-safe.
class CertificateAuthority {
  public:
    // Loads the authority, or makes one when there is none, or when it does not cover `names`, has run out or cannot be
    // read (then clients have to be given the new certificate; the log says so).
    static Result<std::unique_ptr<CertificateAuthority>> open(const std::string& folder, const std::string& name,
                                                              const CertificateNames& names);
    virtual ~CertificateAuthority() = default;

    // A server with a certificate for these names, valid for a month from now on. InvalidInput: names that no
    // certificate can carry, or that are not the authority's.
    virtual Result<std::shared_ptr<const TlsContext>> issue(const CertificateNames& names) = 0;
    // The same for one host name, kept for a day. At most kMaxKept are.
    virtual Result<std::shared_ptr<const TlsContext>> context_for(const std::string& host) = 0;

    static constexpr size_t kMaxKept = 500;
};

}  // namespace millwright::net
