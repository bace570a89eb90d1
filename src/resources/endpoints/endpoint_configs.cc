#include "resources/endpoints/endpoint_configs.h"

#include <set>

#include "resources/instance_types/instance_types.h"
#include "resources/models/supported_members.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Transaction;

constexpr std::string_view kTable = "sagemaker_endpoint_config";
constexpr std::string_view kKind = "endpoint-config";

Error no_such_config(const RecordName& name) {
    return not_found("Could not find endpoint configuration \"" + name.arn(kKind) + "\".");
}

}  // namespace

EndpointConfigs::EndpointConfigs(const Parts& parts)
    : parts_(parts), list_(parts.database, std::string(kTable), RecordList::Kind::Plain) {}

Result<std::unique_ptr<EndpointConfigs>> EndpointConfigs::open(const Parts& parts) {
    const std::string schema = "CREATE TABLE sagemaker_endpoint_config(" + std::string(kRecordColumns) +
                               "request TEXT NOT NULL, PRIMARY KEY(account, region, name_key));"
                               "CREATE INDEX sagemaker_endpoint_config_by_time ON "
                               "sagemaker_endpoint_config(account, region, created_ms, name_key);";
    const std::string indexes = record_indexes(kTable, RecordList::Kind::Plain);
    TRY(parts.database.migrate("endpoint_configs", {{"endpoint_configs 1: configurations", schema},
                                                    {"endpoint_configs 2: an index for every list", indexes}}));
    return std::unique_ptr<EndpointConfigs>(new EndpointConfigs(parts));
}

Result<Json> EndpointConfigs::check_variant(std::string_view account, std::string_view region, const Json& variant) {
    TRY(only_supported(
        variant, "ProductionVariants.",
        {"VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight", "VolumeSizeInGB",
         "ModelDataDownloadTimeoutInSeconds", "ContainerStartupHealthCheckTimeoutInSeconds", "RoutingConfig"}));
    TRY(only_supported(variant["RoutingConfig"], "RoutingConfig.", {"RoutingStrategy"}));
    const std::string strategy = variant["RoutingConfig"]["RoutingStrategy"].string_or("RANDOM");
    if (strategy != "RANDOM" && strategy != "LEAST_OUTSTANDING_REQUESTS")
        return not_supported_yet("RoutingStrategy " + strategy);
    const std::string name = variant["VariantName"].string_or("");
    if (!variant.has("ModelName"))
        return invalid_input("ModelName is required for production variant " + name +
                             ": Millwright does not support inference components yet.");
    if (!variant.has("InstanceType"))
        return invalid_input("InstanceType is required for production variant " + name + ".");
    if (!find_instance_type(variant["InstanceType"].string_or("")))
        return invalid_input("Unknown instance type " + variant["InstanceType"].string_or("") + ".");
    const int64_t count = variant["InitialInstanceCount"].int_or(1);
    if (count < 1) return invalid_input("InitialInstanceCount of production variant " + name + " must be at least 1.");
    if (count > kMaxReplicasPerVariant)
        return Error{ErrorKind::LimitExceeded,
                     "The account-level service limit '" + variant["InstanceType"].string_or("") +
                         " for endpoint usage' is " + std::to_string(kMaxReplicasPerVariant) +
                         " Instances, with current utilization of 0 Instances and a request delta of " +
                         std::to_string(count) + " Instances.",
                     ""};
    const Model model = TRY(parts_.models.find(account, region, variant["ModelName"].string_or("")));
    Json out = variant;
    out.set("ModelName", model.name.name);
    out.set("InitialInstanceCount", count);
    out.set("InitialVariantWeight", variant["InitialVariantWeight"].double_or(1.0));
    return out;
}

Result<Json> EndpointConfigs::check_variants(std::string_view account, std::string_view region, const Json& variants) {
    std::set<std::string> names;
    double weights = 0;
    Json out = Json::array();
    for (const Json& variant : variants.items()) {
        if (!names.insert(variant["VariantName"].string_or("")).second)
            return invalid_input("Production variant names must be unique: " + variant["VariantName"].string_or("") +
                                 ".");
        out.push_back(TRY(check_variant(account, region, variant)));
        weights += out.items().back()["InitialVariantWeight"].as_double();
    }
    if (out.size() == 0) return invalid_input("At least one production variant is required.");
    if (!(weights > 0)) return invalid_input("At least one production variant must have a weight greater than zero.");
    return out;
}

Result<EndpointConfig> EndpointConfigs::create(std::string_view account, std::string_view region, const Json& request) {
    TRY(only_supported(request, "",
                       {"EndpointConfigName", "ProductionVariants", "Tags", "KmsKeyId", "EnableNetworkIsolation"}));
    const TagList tags = TRY(parse_tags(request["Tags"]));
    auto variants = check_variants(account, region, request["ProductionVariants"]);
    // A missing model is a fault of this request, not of what it asks to make.
    if (!variants && variants.error().kind == ErrorKind::NotFound) return invalid_input(variants.error().message);
    if (!variants) return variants.error();
    EndpointConfig config;
    config.name = {std::string(account), std::string(region), request["EndpointConfigName"].as_string()};
    config.arn = config.name.arn(kKind);
    config.created = parts_.clock.now();
    config.request = request;
    config.request.erase("Tags");
    config.request.set("ProductionVariants", std::move(*variants));
    const int64_t now = to_epoch_milliseconds(config.created);
    const auto stored = parts_.database.write(
        [&](Transaction& tx) -> Result<int64_t> {
            const auto rows = TRY(tx.query(
                "INSERT INTO sagemaker_endpoint_config(account, region, name_key, name, arn, created_ms, "
                "modified_ms, status, "
                "request) VALUES(?,?,?,?,?,?,?,'',?) RETURNING rowid",
                account, region, config.name.key(), config.name.name, config.arn, now, now, config.request.dump()));
            TRY(parts_.tags.register_in(tx, config.arn, tags));
            return rows.at(0).integer(0);
        },
        metadata_store::Durable::Now, metadata_store::Space::Free);
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists,
                     "Cannot create already existing endpoint configuration \"" + config.arn + "\".", ""};
    if (!stored) return stored.error();
    list_.added({.id = *stored, .created = now}, config.name);
    return config;
}

Result<EndpointConfig> EndpointConfigs::find(std::string_view account, std::string_view region, std::string_view name) {
    const RecordName wanted{std::string(account), std::string(region), std::string(name)};
    return parts_.database.read([&](Connection& c) -> Result<EndpointConfig> {
        const auto row =
            TRY(c.query_one("SELECT name, arn, created_ms, request FROM sagemaker_endpoint_config "
                            "WHERE account=? AND region=? AND name_key=?",
                            account, region, wanted.key()));
        if (!row) return no_such_config(wanted);
        auto request = TRY(Json::parse(row->text(3)));
        EndpointConfig config{wanted, row->text(1), from_epoch_milliseconds(row->integer(2)), std::move(request)};
        config.name.name = row->text(0);
        return config;
    });
}

Result<RecordPage> EndpointConfigs::list(std::string_view account, std::string_view region, const RecordQuery& query) {
    return list_.page(account, region, query);
}

Result<void> EndpointConfigs::remove(std::string_view account, std::string_view region, std::string_view name) {
    const RecordName wanted{std::string(account), std::string(region), std::string(name)};
    const auto gone = TRY(parts_.database.write([&](Transaction& tx) -> Result<NameIndex::RowKey> {
        const auto removed =
            TRY(tx.query("DELETE FROM sagemaker_endpoint_config WHERE account=? AND region=? AND name_key=? RETURNING "
                         "rowid, created_ms",
                         account, region, wanted.key()));
        if (removed.empty()) return no_such_config(wanted);
        TRY(parts_.tags.forget_in(tx, wanted.arn(kKind)));
        return NameIndex::RowKey{removed[0].integer(0), removed[0].integer(1)};
    }));
    list_.removed(gone, wanted);
    return {};
}

}  // namespace millwright::resources
