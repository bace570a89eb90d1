// Endpoint configurations: which models an endpoint serves, with how many replicas and which share of the
// requests.
//
// Requests are documents in the shape of CreateEndpointConfig, already validated against the service model.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/models/models.h"
#include "resources/models/records.h"
#include "resources/tags/tags.h"

namespace millwright::resources {

inline constexpr int64_t kMaxReplicasPerVariant = 16;

struct EndpointConfig {
    RecordName name;
    std::string arn;
    Timestamp created{};
    Json request;  // as created, without Tags; variants with their defaults filled in
};

// Thread-safe.
class EndpointConfigs {
  public:
    struct Parts {
        metadata_store::Database& database;
        Models& models;
        Tags& tags;
        const Clock& clock;
    };
    static Result<std::unique_ptr<EndpointConfigs>> open(const Parts& parts);

    // InvalidInput: refused, the message says why. AlreadyExists: the message is AWS's. LimitExceeded: too
    // many instances.
    Result<EndpointConfig> create(std::string_view account, std::string_view region, const Json& request);
    Result<EndpointConfig> find(std::string_view account, std::string_view region,
                                std::string_view name);  // NotFound, AWS's text
    Result<RecordPage> list(std::string_view account, std::string_view region, const RecordQuery& query);
    // Endpoints made from it keep their own copy and go on.
    Result<void> remove(std::string_view account, std::string_view region, std::string_view name);

  private:
    explicit EndpointConfigs(const Parts& parts);
    Result<Json> check_variant(std::string_view account, std::string_view region, const Json& variant);
    Result<Json> check_variants(std::string_view account, std::string_view region, const Json& variants);

    Parts parts_;
    RecordList list_;
};

}  // namespace millwright::resources
