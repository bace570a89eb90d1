// The front: from a request on the wire to a handler and back. One port serves every service.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aws/audit.h"
#include "aws/service.h"
#include "aws/sigv4.h"
#include "base/json.h"
#include "base/random.h"
#include "base/time.h"
#include "net/http.h"
#include "net/http_server.h"

namespace millwright::aws {

// Answered without a signature: container credentials, health. The longest matching prefix wins; a prefix matches whole
// path segments ("/health" matches "/health" and "/health/x", "/v2/credentials/" everything below it, or with
// `one_segment` what has just one segment more).
struct RawRoute {
    std::string path_prefix;
    net::Handler handle;
    bool one_segment = false;
};

// Clients that prove in a way of their own who they are, and read errors in a form of their own: the image registry.
// Matched like a RawRoute, after those. `handle` fills in `call.caller`, asks `call.gate`, answers always, and returns
// the code of the error it answered, or nothing, for the audit log. Runs in the pool Data.
struct GuestRoute {
    std::string path_prefix, service;
    std::function<std::string(Call& call, net::Request&, net::ResponseWriter&)> handle;
};

struct FrontSettings {
    size_t max_document_bytes = size_t{6} << 20;  // JSON and query requests
    // Bodies of streaming operations without x-amz-content-sha256 (InvokeEndpoint) are read whole to verify them.
    size_t max_buffered_stream_bytes = size_t{32} << 20;
    // How S3 reads a bucket out of a Host header; see SignatureVerifier.
    SignatureVerifier::BucketOfHost bucket_of_host = {};
    // Both must outlive the front. Without an authorizer every signed request is allowed.
    const Authorizer* authorizer = nullptr;
    AuditSink* audit = nullptr;
    std::vector<GuestRoute> guests = {};
};

// Thread-safe after construction.
class Front {
  public:
    Front(std::vector<Service> services, const CredentialSource& credentials, const Clock& clock, Random& random,
          std::vector<RawRoute> raw_routes = {}, FrontSettings settings = {});
    ~Front();

    // Answers every request; nothing escapes.
    void handle(net::Request& request, net::ResponseWriter& response) const;
    // By credential scope and path only: S3 -> Data, /endpoints/ -> Inference, the rest -> Control.
    net::Pool choose_pool(const net::Request& request) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Every operation of every model spoken, with what becomes of it:
//   [{"service": "sagemaker", "operations": [{"name": "AddAssociation", "implemented": false}, …]}, …]
// A Stream service counts those names as implemented that its `operations` list (with an empty `handle`).
Json describe_operations(const std::vector<Service>& services);

// The answer for an operation of the model that is not in the table.
ApiError not_supported(std::string_view operation);

// True for a User-Agent of a botocore waiter (feature B in its m/ list), of `aws … wait`, or of the SageMaker SDKs,
// which poll. A plain boto3 or CLI call is not.
bool is_polling_client(std::string_view user_agent);

}  // namespace millwright::aws
