// What a service is to the front: a name, a protocol and an explicit table of operations.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/access.h"
#include "aws/api_error.h"
#include "base/json.h"
#include "base/time.h"
#include "net/http.h"

namespace millwright::aws {

// Who signed the request. `arn` is empty for nobody: an unsigned request that a bucket policy may still allow.
struct Caller {
    bool anonymous() const { return arn.empty(); }

    std::string account;  // 12 digits
    std::string region;   // of the credential scope
    std::string arn;      // arn:aws:iam::…:user/…, arn:aws:sts::…:assumed-role/role/session, or …:root
    std::string user_id;
    std::string access_key_id;
};

struct Call {
    Caller caller;
    std::string request_id;
    std::string_view operation;
    // True when the client is a waiter or an SDK that polls (see docs/reference): such a Describe may be held.
    bool polling = false;
    std::string user_agent;
    std::string referer;
    std::string source_address;  // of the peer, without port
    bool secure = false;         // came over TLS
    std::string host;            // that the client asked for, possibly with a port
    Gate* gate = nullptr;        // for handlers that ask themselves (S3, InvokeEndpoint); may be null

    ApiResult<void> require(const Access& access) const;  // gate->require, or fine without a gate
    ApiResult<bool> may(const Access& access) const;      // likewise
};

// awsJson 1.0/1.1, query and rest-json operations: the front has decoded and validated `input` against the service
// model (members by their wire-independent model names; timestamps as epoch seconds; blobs as base64 text), and encodes
// the answer by the model. Unknown members are dropped before the handler runs.
using DocumentHandler = std::function<ApiResult<Json>(const Call&, const Json& input)>;

// What an operation needs, from its validated input: every one of these must be allowed before the handler runs. Empty:
// nothing (GetCallerIdentity).
using AccessRule = std::function<ApiResult<std::vector<Access>>(const Call&, const Json& input)>;

// Operations that stream (S3, InvokeEndpoint): authenticated, otherwise as received. `request.body` is already the
// decoded payload (aws-chunked framing removed, signatures and trailers checked as it is read).
using StreamHandler = std::function<ApiResult<void>(const Call&, net::Request&, net::ResponseWriter&)>;

struct Operation {
    std::string_view name;  // as in the service model: "CreateTrainingJob"
    DocumentHandler handle;
    // Streaming operations have none: they ask the gate themselves. The front refuses to start when a document
    // operation has no rule and there is an authorizer.
    AccessRule access = {};
};

enum class Protocol { AwsJson, Query, QueryAndJson, Stream };

struct Service {
    std::string signing_name;  // the service of the credential scope: "sagemaker", "logs", "monitoring", …
    std::string model;         // name of the schema tables: "sagemaker", "logs", "cloudwatch", "iam", "sts"
    Protocol protocol;
    std::vector<Operation> operations;
    StreamHandler stream;  // for Protocol::Stream, or rest paths beside awsJson ones (sagemaker: /endpoints/…)
    // Requests without any signature reach `stream` with an anonymous caller (S3).
    bool takes_anonymous = false;
    size_t max_document_bytes = 0;  // of its requests, where the front's limit is too low (layers inside JSON)
};

// The secret behind an access key, and who that is.
struct Credential {
    std::string secret_access_key;
    std::string session_token;  // empty for long-term keys; compared in constant time otherwise
    std::optional<Timestamp> expires;
    Caller caller;  // region is filled from the scope
};

// Thread-safe.
class CredentialSource {
  public:
    virtual ~CredentialSource() = default;
    virtual std::optional<Credential> find_credential(std::string_view access_key_id) const = 0;
};

}  // namespace millwright::aws
