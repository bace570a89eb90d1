#include "resources/endpoints/endpoint_store.h"

#include "base/fail_point.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr std::string_view kTable = "sagemaker_endpoint";
constexpr std::string_view kColumns =
    "account, region, name, arn, status, failure_reason, config_name, created_ms, modified_ms, current_id, "
    "target_id";

EndpointRow endpoint_of(const Row& row) {
    EndpointRow out;
    out.name = {row.text(0), row.text(1), row.text(2)};
    out.arn = row.text(3);
    out.status = row.text(4);
    out.failure_reason = row.text(5);
    out.config_name = row.text(6);
    out.created = from_epoch_milliseconds(row.integer(7));
    out.modified = from_epoch_milliseconds(row.integer(8));
    out.current = row.text(9);
    out.target = row.text(10);
    return out;
}

Error no_such_endpoint(const RecordName& name) {
    return not_found("Could not find endpoint \"" + name.arn("endpoint") + "\".");
}

Result<EndpointRow> find_in(Connection& c, const RecordName& name) {
    const auto row = TRY(c.query_one(
        "SELECT " + std::string(kColumns) + " FROM sagemaker_endpoint WHERE account=? AND region=? AND name_key=?",
        name.account, name.region, name.key()));
    if (!row) return no_such_endpoint(name);
    return endpoint_of(*row);
}

Result<void> add_deployment(Transaction& tx, std::string_view endpoint_arn, const DeploymentSpec& deployment) {
    TRY(tx.run("INSERT INTO endpoint_deployment(id, endpoint_arn, spec) VALUES(?,?,?)", deployment.id, endpoint_arn,
               to_json(deployment).dump()));
    return {};
}

std::string_view form_name(ModelData::Form form) {
    switch (form) {
        case ModelData::Form::File:
            return "file";
        case ModelData::Form::Prefix:
            return "prefix";
        case ModelData::Form::None:
            return "none";
        case ModelData::Form::TarGzip:
            break;
    }
    return "tar.gz";
}

Json to_json(const VariantSpec& variant) {
    Json environment = Json::object();
    for (const auto& [name, value] : variant.container.environment) environment.set(name, value);
    return Json::object({{"name", variant.name},
                         {"model_name", variant.model_name},
                         {"instance_type", variant.instance_type},
                         {"image", variant.container.image},
                         {"own_image", variant.container.own_image},
                         {"role_arn", variant.role_arn},
                         {"network_isolation", variant.network_isolation},
                         {"algorithm", variant.container.algorithm},
                         {"algorithm_version", variant.container.algorithm_version},
                         {"data_form", form_name(variant.container.data.form)},
                         {"data_uri", variant.container.data.uri},
                         {"environment", std::move(environment)},
                         {"count", variant.count},
                         {"weight", variant.weight},
                         {"random_replica", variant.random_replica},
                         {"startup_timeout", int64_t{variant.startup_timeout.count()}},
                         {"download_timeout", int64_t{variant.download_timeout.count()}}});
}

VariantSpec variant_from_json(const Json& document) {
    VariantSpec out;
    out.name = document["name"].string_or("");
    out.model_name = document["model_name"].string_or("");
    out.instance_type = document["instance_type"].string_or("");
    out.container.image = document["image"].string_or("");
    out.container.own_image = document["own_image"].string_or("");
    out.role_arn = document["role_arn"].string_or("");
    out.network_isolation = document["network_isolation"].bool_or(false);
    out.container.algorithm = document["algorithm"].string_or("");
    out.container.algorithm_version = document["algorithm_version"].string_or("");
    const std::string form = document["data_form"].string_or("");
    out.container.data.form = form == "file"     ? ModelData::Form::File
                              : form == "prefix" ? ModelData::Form::Prefix
                              : form == "none"   ? ModelData::Form::None
                                                 : ModelData::Form::TarGzip;
    out.container.data.uri = document["data_uri"].string_or("");
    for (const JsonMember& member : document["environment"].members())
        out.container.environment[member.name] = member.value.string_or("");
    out.count = document["count"].int_or(1);
    out.weight = document["weight"].double_or(1);
    out.random_replica = document["random_replica"].bool_or(false);
    out.startup_timeout = std::chrono::seconds(document["startup_timeout"].int_or(480));
    out.download_timeout = std::chrono::seconds(document["download_timeout"].int_or(3600));
    return out;
}

constexpr std::string_view kSchema = R"sql(
    failure_reason TEXT NOT NULL, config_name TEXT NOT NULL, current_id TEXT NOT NULL, target_id TEXT NOT NULL,
    PRIMARY KEY(account, region, name_key));
CREATE INDEX sagemaker_endpoint_by_time ON sagemaker_endpoint(account, region, created_ms, name_key);
CREATE UNIQUE INDEX sagemaker_endpoint_by_arn ON sagemaker_endpoint(arn);
CREATE TABLE endpoint_deployment(id TEXT PRIMARY KEY, endpoint_arn TEXT NOT NULL, spec TEXT NOT NULL);
CREATE INDEX endpoint_deployment_by_endpoint ON endpoint_deployment(endpoint_arn);
CREATE TABLE endpoint_replica(run_id TEXT PRIMARY KEY, deployment_id TEXT NOT NULL, variant INTEGER NOT NULL,
    log_stream TEXT NOT NULL);
CREATE INDEX endpoint_replica_by_deployment ON endpoint_replica(deployment_id);
)sql";

}  // namespace

Json to_json(const DeploymentSpec& spec) {
    Json variants = Json::array();
    for (const VariantSpec& variant : spec.variants) variants.push_back(to_json(variant));
    return Json::object({{"id", spec.id}, {"config_name", spec.config_name}, {"variants", std::move(variants)}});
}

Result<DeploymentSpec> deployment_from_json(const Json& document) {
    DeploymentSpec out;
    out.id = document["id"].string_or("");
    out.config_name = document["config_name"].string_or("");
    for (const Json& variant : document["variants"].items()) out.variants.push_back(variant_from_json(variant));
    if (out.id.empty() || out.variants.empty()) return internal_error("a stored deployment is damaged");
    return out;
}

Result<EndpointStore> EndpointStore::open(metadata_store::Database& database, Tags& tags, const Clock& clock) {
    const std::string schema = "CREATE TABLE sagemaker_endpoint(" + std::string(kRecordColumns) + std::string(kSchema);
    TRY(database.migrate(
        "endpoints", {{"endpoints 1: endpoints, deployments, replicas", schema},
                      {"endpoints 2: an index for every list", record_indexes(kTable, RecordList::Kind::WithStatus)}}));
    return EndpointStore(database, tags, clock);
}

Result<EndpointRow> EndpointStore::create(const RecordName& name, const DeploymentSpec& deployment,
                                          const TagList& tags) {
    FAIL_POINT_AT_EXIT("endpoints.after_create");
    const std::string arn = name.arn("endpoint");
    const int64_t now = to_epoch_milliseconds(clock_->now());
    int64_t number = 0;
    const auto made = database_->write(
        [&](Transaction& tx) -> Result<EndpointRow> {
            const auto rows = TRY(tx.query(
                "INSERT INTO sagemaker_endpoint(account, region, name_key, name, arn, created_ms, modified_ms, "
                "status, "
                "failure_reason, config_name, current_id, target_id) VALUES(?,?,?,?,?,?,?,'Creating','',?,'',?) "
                "RETURNING rowid",
                name.account, name.region, name.key(), name.name, arn, now, now, deployment.config_name,
                deployment.id));
            number = rows.at(0).integer(0);
            TRY(add_deployment(tx, arn, deployment));
            TRY(tags_->register_in(tx, arn, tags));
            return find_in(tx, name);
        },
        metadata_store::Durable::Now, metadata_store::Space::Free);
    if (made) list_->added({.id = number, .created = now}, name);
    if (!made && made.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "Cannot create already existing endpoint \"" + arn + "\".", ""};
    return made;
}

Result<EndpointRow> EndpointStore::begin_update(const RecordName& name, const DeploymentSpec& deployment) {
    FAIL_POINT_AT_EXIT("endpoints.after_begin_update");
    return database_->write([&](Transaction& tx) -> Result<EndpointRow> {
        const EndpointRow before = TRY(find_in(tx, name));
        if (before.status == "Failed")
            return Error{ErrorKind::Conflict,
                         "Cannot update endpoint \"" + before.arn + "\": it has failed. Delete it and create it again.",
                         ""};
        if (before.status != "InService")
            return Error{ErrorKind::Conflict, "Cannot update in-progress endpoint \"" + before.arn + "\".", ""};
        TRY(add_deployment(tx, before.arn, deployment));
        TRY(
            tx.run("UPDATE sagemaker_endpoint SET status='Updating', failure_reason='', target_id=?, "
                   "modified_ms=? WHERE arn=?",
                   deployment.id, to_epoch_milliseconds(clock_->now()), before.arn));
        return find_in(tx, name);
    });
}

Result<EndpointRow> EndpointStore::begin_delete(const RecordName& name) {
    FAIL_POINT_AT_EXIT("endpoints.after_begin_delete");
    return database_->write([&](Transaction& tx) -> Result<EndpointRow> {
        const EndpointRow before = TRY(find_in(tx, name));
        if (before.status == "Deleting")
            return Error{ErrorKind::Conflict, "Cannot update in-progress endpoint \"" + before.arn + "\".", ""};
        TRY(tx.run("UPDATE sagemaker_endpoint SET status='Deleting', modified_ms=? WHERE arn=?",
                   to_epoch_milliseconds(clock_->now()), before.arn));
        return find_in(tx, name);
    });
}

Result<EndpointRow> EndpointStore::find(const RecordName& name) {
    return database_->read([&](Connection& c) -> Result<EndpointRow> { return find_in(c, name); });
}

Result<std::vector<EndpointRow>> EndpointStore::all() {
    return database_->read([&](Connection& c) -> Result<std::vector<EndpointRow>> {
        const auto rows = TRY(c.query("SELECT " + std::string(kColumns) + " FROM sagemaker_endpoint"));
        std::vector<EndpointRow> out;
        for (const Row& row : rows) out.push_back(endpoint_of(row));
        return out;
    });
}

Result<bool> EndpointStore::finish_deployment(const EndpointRow& endpoint, const std::string& deployment) {
    FAIL_POINT_AT_EXIT("endpoints.after_finish_deployment");
    return database_->write([&](Transaction& tx) -> Result<bool> {
        const auto row = TRY(tx.query_one("SELECT spec FROM endpoint_deployment WHERE id=?", deployment));
        if (!row) return false;
        const Json document = TRY(Json::parse(row->text(0)));
        const DeploymentSpec spec = TRY(deployment_from_json(document));
        return TRY(tx.run("UPDATE sagemaker_endpoint SET status='InService', failure_reason='', "
                          "config_name=?, current_id=?, "
                          "modified_ms=? WHERE arn=? AND target_id=? AND status IN ('Creating','Updating')",
                          spec.config_name, deployment, to_epoch_milliseconds(clock_->now()), endpoint.arn,
                          deployment)) > 0;
    });
}

Result<bool> EndpointStore::fail_deployment(const EndpointRow& endpoint, const std::string& deployment,
                                            std::string_view reason) {
    return database_->write([&](Transaction& tx) -> Result<bool> {
        return TRY(tx.run("UPDATE sagemaker_endpoint SET status=CASE current_id WHEN '' THEN 'Failed' ELSE "
                          "'InService' END, "
                          "failure_reason=?, target_id=current_id, modified_ms=? "
                          "WHERE arn=? AND target_id=? AND status IN ('Creating','Updating')",
                          reason, to_epoch_milliseconds(clock_->now()), endpoint.arn, deployment)) > 0;
    });
}

Result<void> EndpointStore::change_deployment(const EndpointRow& endpoint, const DeploymentSpec& deployment) {
    return database_->write([&](Transaction& tx) -> Result<void> {
        const int64_t changed =
            TRY(tx.run("UPDATE sagemaker_endpoint SET status='Updating', failure_reason='', modified_ms=? "
                       "WHERE arn=? AND status='InService' AND current_id=? AND target_id=?",
                       to_epoch_milliseconds(clock_->now()), endpoint.arn, deployment.id, deployment.id));
        if (changed == 0)
            return Error{ErrorKind::Conflict, "Cannot update in-progress endpoint \"" + endpoint.arn + "\".", ""};
        TRY(tx.run("UPDATE endpoint_deployment SET spec=? WHERE id=?", to_json(deployment).dump(), deployment.id));
        return {};
    });
}

Result<void> EndpointStore::forget_endpoint(const EndpointRow& endpoint) {
    FAIL_POINT_AT_EXIT("endpoints.after_forget_endpoint");
    const auto gone = TRY(database_->write([&](Transaction& tx) -> Result<NameIndex::RowKey> {
        TRY(tx.run("DELETE FROM endpoint_deployment WHERE endpoint_arn=?", endpoint.arn));
        const auto rows =
            TRY(tx.query("DELETE FROM sagemaker_endpoint WHERE arn=? RETURNING rowid, created_ms", endpoint.arn));
        TRY(tags_->forget_in(tx, endpoint.arn));
        return rows.empty() ? NameIndex::RowKey{} : NameIndex::RowKey{rows[0].integer(0), rows[0].integer(1)};
    }));
    list_->removed(gone, endpoint.name);
    return {};
}

Result<std::vector<DeploymentSpec>> EndpointStore::deployments(const std::string& endpoint_arn) {
    return database_->read([&](Connection& c) -> Result<std::vector<DeploymentSpec>> {
        std::vector<DeploymentSpec> out;
        const auto rows = TRY(c.query("SELECT spec FROM endpoint_deployment WHERE endpoint_arn=?", endpoint_arn));
        for (const Row& row : rows) {
            const Json document = TRY(Json::parse(row.text(0)));
            out.push_back(TRY(deployment_from_json(document)));
        }
        return out;
    });
}

Result<DeploymentSpec> EndpointStore::deployment(const std::string& id) {
    return database_->read([&](Connection& c) -> Result<DeploymentSpec> {
        const auto row = TRY(c.query_one("SELECT spec FROM endpoint_deployment WHERE id=?", id));
        if (!row) return not_found("no such deployment");
        const Json document = TRY(Json::parse(row->text(0)));
        return deployment_from_json(document);
    });
}

Result<void> EndpointStore::forget_deployment(const std::string& id) {
    FAIL_POINT_AT_EXIT("endpoints.after_forget_deployment");
    return database_->write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("DELETE FROM endpoint_deployment WHERE id=?", id));
        return {};
    });
}

Result<void> EndpointStore::add_replica(const ReplicaRow& replica) {
    FAIL_POINT_AT_EXIT("endpoints.after_add_replica");
    return database_->write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("INSERT INTO endpoint_replica(run_id, deployment_id, variant, log_stream) VALUES(?,?,?,?)",
                   replica.run_id, replica.deployment, replica.variant, replica.log_stream));
        return {};
    });
}

Result<void> EndpointStore::forget_replica(const std::string& run_id) {
    FAIL_POINT_AT_EXIT("endpoints.after_forget_replica");
    return database_->write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("DELETE FROM endpoint_replica WHERE run_id=?", run_id));
        return {};
    });
}

Result<std::vector<ReplicaRow>> EndpointStore::replicas(const std::string& deployment) {
    return database_->read([&](Connection& c) -> Result<std::vector<ReplicaRow>> {
        const auto rows =
            TRY(c.query("SELECT run_id, deployment_id, log_stream, variant FROM endpoint_replica "
                        "WHERE deployment_id=? ORDER BY run_id",
                        deployment));
        std::vector<ReplicaRow> out;
        for (const Row& row : rows) out.push_back({row.text(0), row.text(1), row.text(2), row.integer(3)});
        return out;
    });
}

Result<RecordPage> EndpointStore::list(std::string_view account, std::string_view region, const RecordQuery& query) {
    return list_->page(account, region, query);
}

}  // namespace millwright::resources
