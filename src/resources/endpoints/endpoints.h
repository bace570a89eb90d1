// Endpoints as a resource: created, updated without a lost request, kept alive, deleted.
// docs/internals/serving.md.
//
// Requests are documents in the shape of CreateEndpoint, UpdateEndpoint, …, already validated against the
// service model.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "resources/endpoints/controller.h"
#include "resources/endpoints/endpoint_configs.h"

namespace millwright::resources {

struct EndpointVariant {
    std::string name, image;
    double current_weight = 0, desired_weight = 0;
    int64_t current_count = 0, desired_count = 0;
    bool random_replica = false;
    std::string status;  // VariantStatus while it changes, else empty
};

struct Endpoint {
    RecordName name;
    std::string arn, status, failure_reason, config_name;
    Timestamp created{}, modified{};
    std::vector<EndpointVariant> variants;
    bool changing() const { return status == "Creating" || status == "Updating" || status == "Deleting"; }
};

// Thread-safe. shut_down(), then the executor may be destroyed, then this. Replicas outlive the server; the
// next open() takes them over.
class Endpoints {
  public:
    struct Parts {
        metadata_store::Database& database;
        object_store::ObjectStore& objects;
        executors::Executor& executor;
        Models& models;
        EndpointConfigs& configs;
        Logs& logs;
        Tags& tags;
        OpenChannel open_channel;  // of the gateway
        const Clock& clock;
        Random& random;
        // For variants with an image; without both, they are refused.
        ImageNames* images = nullptr;
        Identity* identity = nullptr;
    };
    static Result<std::unique_ptr<Endpoints>> open(const EndpointSettings& settings, const Parts& parts);
    virtual ~Endpoints() = default;

    // Returns when the wish is on disk. InvalidInput: refused, the message says why. AlreadyExists, NotFound
    // (endpoint) and Conflict (it is changing already): the message is AWS's.
    virtual Result<Endpoint> create(std::string_view account, std::string_view region, const Json& request) = 0;
    virtual Result<Endpoint> update(std::string_view account, std::string_view region, const Json& request) = 0;
    virtual Result<Endpoint> update_weights_and_capacities(std::string_view account, std::string_view region,
                                                           const Json& request) = 0;
    virtual Result<void> remove(std::string_view account, std::string_view region, std::string_view name) = 0;

    virtual Result<Endpoint> describe(std::string_view account, std::string_view region,
                                      std::string_view name) = 0;  // NotFound
    // As describe, but an endpoint that is changing is answered only when its status changes, at most after
    // `longest`.
    virtual Result<Endpoint> describe_changed(std::string_view account, std::string_view region, std::string_view name,
                                              std::chrono::milliseconds longest) = 0;
    virtual Result<RecordPage> list(std::string_view account, std::string_view region, const RecordQuery& query) = 0;

    virtual const Routes& routes() const = 0;
    virtual void shut_down() = 0;
};

}  // namespace millwright::resources
