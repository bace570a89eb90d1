// Endpoints on disk: what is wanted, what serves, and which runs exist. A run has its row before it is
// started and loses it after it has ended and was cleaned up, so a restarted server knows every run there may
// be.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "resources/models/models.h"
#include "resources/models/records.h"
#include "resources/tags/tags.h"

namespace millwright::resources {

// A variant as it was when the endpoint was created or updated: later changes of model or configuration do
// not matter.
struct VariantSpec {
    std::string name, model_name, instance_type;
    ServedContainer container;
    std::string role_arn;            // of the model; empty: none
    bool network_isolation = false;  // of the model
    int64_t count = 1;
    double weight = 1;
    bool random_replica = false;
    std::chrono::seconds startup_timeout{480}, download_timeout{3600};
};

struct DeploymentSpec {
    std::string id;  // hex
    std::string config_name;
    std::vector<VariantSpec> variants;
};

Json to_json(const DeploymentSpec& spec);
Result<DeploymentSpec> deployment_from_json(const Json& document);

struct EndpointRow {
    RecordName name;
    std::string arn, status, failure_reason, config_name;
    Timestamp created{}, modified{};
    std::string current;  // deployment that serves; empty before the first one is healthy
    std::string target;   // deployment that should serve; empty when creation has failed
};

struct ReplicaRow {
    std::string run_id, deployment, log_stream;
    int64_t variant = 0;  // position in the deployment
};

// Thread-safe.
class EndpointStore {
  public:
    static Result<EndpointStore> open(metadata_store::Database& database, Tags& tags, const Clock& clock);

    Result<EndpointRow> create(const RecordName& name, const DeploymentSpec& deployment, const TagList& tags);
    // InService -> Updating towards a new deployment. NotFound, Conflict.
    Result<EndpointRow> begin_update(const RecordName& name, const DeploymentSpec& deployment);
    Result<EndpointRow> begin_delete(const RecordName& name);
    Result<EndpointRow> find(const RecordName& name);  // NotFound, AWS's text
    Result<std::vector<EndpointRow>> all();

    // The target serves from now on; other deployments of the endpoint are history. False: it is not the
    // target any more.
    Result<bool> finish_deployment(const EndpointRow& endpoint, const std::string& deployment);
    // The target is given up: Failed without a current deployment, else InService with the reason. False as
    // above.
    Result<bool> fail_deployment(const EndpointRow& endpoint, const std::string& deployment, std::string_view reason);
    // Rewrites weights and counts of a deployment.
    Result<void> change_deployment(const EndpointRow& endpoint, const DeploymentSpec& deployment);
    Result<void> forget_endpoint(const EndpointRow& endpoint);

    Result<std::vector<DeploymentSpec>> deployments(const std::string& endpoint_arn);
    Result<DeploymentSpec> deployment(const std::string& id);
    Result<void> forget_deployment(const std::string& id);

    Result<void> add_replica(const ReplicaRow& replica);
    Result<void> forget_replica(const std::string& run_id);
    Result<std::vector<ReplicaRow>> replicas(const std::string& deployment);

    Result<RecordPage> list(std::string_view account, std::string_view region, const RecordQuery& query);

  private:
    EndpointStore(metadata_store::Database& database, Tags& tags, const Clock& clock)
        : database_(&database),
          tags_(&tags),
          clock_(&clock),
          list_(std::make_unique<RecordList>(database, "sagemaker_endpoint", RecordList::Kind::WithStatus)) {}

    metadata_store::Database* database_;
    Tags* tags_;
    const Clock* clock_;
    std::unique_ptr<RecordList> list_;
};

}  // namespace millwright::resources
