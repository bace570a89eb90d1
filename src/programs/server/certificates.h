// What the server shows to TLS clients: certificates from files, or from its own authorities below <data-dir>/ca/.
//
//   server.pem   authority for this server's names ([tls] certificate = "own")
//   aws.pem      authority for AWS's names, which the proxy answers for; it can speak for no others
//   bundle.pem   both and what the machine trusts anyway, for clients; written by `millwright env`
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/egress_proxy.h"
#include "net/http_server.h"
#include "programs/server/config.h"

namespace millwright::programs {

// The certificate for connections to this server; empty when TLS is off. Files are read again when they have changed.
Result<std::function<std::shared_ptr<const net::TlsContext>()>> server_certificate(const Config& config);

// What becomes of CONNECT: hosts of AWS are answered here, and what [proxy] allow names is tunnelled.
class AwsProxy {
  public:
    // InvalidInput: an entry of [proxy] allow cannot be read.
    static Result<std::unique_ptr<AwsProxy>> open(const Config& config);
    virtual ~AwsProxy() = default;
    virtual net::ConnectDecision decide(std::string_view authority) = 0;  // thread-safe
};

// "sts.us-west-2.amazonaws.com" and every other name below amazonaws.com, amazonaws.com.cn and api.aws.
bool is_aws_host(std::string_view host);
// The hosts to which the SageMaker SDKs report what they are used for. `host`: a Host field.
bool is_telemetry_host(std::string_view host);

// Writes bundle.pem anew and returns its path. NotFound: the server has made no authority yet.
Result<std::string> write_certificate_bundle(const Config& config);

}  // namespace millwright::programs
