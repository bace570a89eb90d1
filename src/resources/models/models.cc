#include "resources/models/models.h"

#include "resources/identity/role_reach.h"
#include "resources/images/images.h"
#include "resources/models/supported_members.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr std::string_view kTable = "sagemaker_model";

Error no_such_model(const RecordName& name) { return not_found("Could not find model \"" + name.arn("model") + "\"."); }

Result<ModelData> read_s3_data_source(const Json& source) {
    TRY(only_supported(source, "ModelDataSource.S3DataSource.", {"S3Uri", "S3DataType", "CompressionType"}));
    const bool prefix = source["S3DataType"].string_or("") == "S3Prefix";
    const bool gzip = source["CompressionType"].string_or("") == "Gzip";
    ModelData data;
    data.uri = source["S3Uri"].string_or("");
    if (prefix && gzip)
        return invalid_input("ModelDataSource with CompressionType Gzip must have S3DataType S3Object.");
    if (prefix && !data.uri.ends_with('/'))
        return invalid_input(
            "ModelDataSource with S3DataType S3Prefix must have an S3Uri that ends with a forward slash.");
    data.form = prefix ? ModelData::Form::Prefix : (gzip ? ModelData::Form::TarGzip : ModelData::Form::File);
    return data;
}

Result<ModelData> read_model_data(const Json& container) {
    if (container.has("ModelDataUrl") && container.has("ModelDataSource"))
        return invalid_input("ModelDataUrl and ModelDataSource cannot both be given.");
    if (container.has("ModelDataSource")) {
        TRY(only_supported(container["ModelDataSource"], "ModelDataSource.", {"S3DataSource"}));
        if (!container["ModelDataSource"].has("S3DataSource"))
            return invalid_input("ModelDataSource must have S3DataSource.");
        return read_s3_data_source(container["ModelDataSource"]["S3DataSource"]);
    }
    ModelData data;
    data.form = container.has("ModelDataUrl") ? ModelData::Form::TarGzip : ModelData::Form::None;
    data.uri = container["ModelDataUrl"].string_or("");
    return data;
}

Result<void> check_data_exists(object_store::ObjectStore& objects, const ModelData& data) {
    if (data.form == ModelData::Form::None) return {};
    const Error missing = invalid_input("Could not find model data at " + data.uri + ".");
    const auto uri = object_store::parse_s3_uri(data.uri);
    if (!uri) return invalid_input("Not an S3 URI: " + data.uri);
    if (data.form == ModelData::Form::Prefix) {
        object_store::ListRequest request;
        request.prefix = uri->key;
        request.max_keys = 1;
        const auto page = objects.list(uri->bucket, request);
        if (!page && page.error().kind != ErrorKind::NotFound) return page.error();
        if (!page || page->objects.empty()) return missing;
        return {};
    }
    if (uri->key.empty() || uri->key.ends_with('/')) return missing;
    const auto object = objects.head(uri->bucket, uri->key);
    if (!object && object.error().kind != ErrorKind::NotFound) return object.error();
    if (!object) return missing;
    return {};
}

// Whether the role may read the data; without a role it must be the account's own.
Result<void> check_data_access(const Models::Parts& parts, std::string_view account, const Role* role,
                               const ModelData& data) {
    if (data.form == ModelData::Form::None) return {};
    const auto uri = object_store::parse_s3_uri(data.uri);
    if (!uri) return {};  // refused with its own text
    const auto bucket = parts.objects.find_bucket(uri->bucket);
    if (!bucket) return {};
    const std::string* policy = bucket->document("policy");
    const ReachedBucket reached{bucket->name, bucket->account, policy ? std::string_view(*policy) : ""};
    const bool allowed =
        role ? TRY(RoleReach(parts.identity, *role).may_read(reached, uri->key)) : bucket->account == account;
    if (allowed) return {};
    return invalid_input(
        "Could not access model data at " + data.uri + ". Please ensure that the role \"" + (role ? role->arn : "") +
        "\" exists and that its trust relationship policy allows the action \"sts:AssumeRole\" for the "
        "service principal \"sagemaker.amazonaws.com\". Also ensure that the role has \"s3:GetObject\" "
        "permissions and that the object is located in " +
        bucket->region + ".");
}

bool names_script(const Json& environment) {
    return !environment["SAGEMAKER_PROGRAM"].string_or("").empty() ||
           !environment["SAGEMAKER_SUBMIT_DIRECTORY"].string_or("").empty();
}

Model model_of(const RecordName& name, const Row& row) {
    Model model;
    model.name = name;
    model.name.name = row.text(0);
    model.arn = row.text(1);
    model.created = from_epoch_milliseconds(row.integer(2));
    model.request = Json::parse(row.text(3)).value_or(Json());
    return model;
}

}  // namespace

Result<std::string> meaning_of_model_image(ImageNames* images, std::string_view account, std::string_view region,
                                           const Json& container) {
    if (images == nullptr) return std::string();
    ImageCaller caller{std::string(account), std::string(region), nullptr, ImageCaller::For::Model};
    caller.script = names_script(container["Environment"]);
    return images->meaning(caller, container["Image"].string_or(""));
}

Result<ServedContainer> read_container(const Json& container, const std::string& image) {
    TRY(only_supported(
        container, "PrimaryContainer.",
        {"ContainerHostname", "Image", "ImageConfig", "Mode", "ModelDataUrl", "ModelDataSource", "Environment"}));
    // Where an image comes from is said by its name; logins are in the configuration.
    TRY(only_supported(container["ImageConfig"], "PrimaryContainer.ImageConfig.", {"RepositoryAccessMode"}));
    if (container["Mode"].string_or("SingleModel") != "SingleModel") return not_supported_yet("Mode MultiModel");
    if (!container.has("Image")) return invalid_input("PrimaryContainer.Image is required.");
    ServedContainer out;
    out.image = container["Image"].string_or("");
    for (const JsonMember& variable : container["Environment"].members())
        out.environment[variable.name] = variable.value.string_or("");
    out.data = TRY(read_model_data(container));
    const auto framework = find_framework_image(out.image);
    const auto built_in = find_built_in_image(out.image);
    const bool script = names_script(container["Environment"]);
    if (!image.empty() || !built_in || (framework && script)) {
        const bool known = framework || is_legacy_tensorflow_image(out.image);
        if (image.empty() && known) return invalid_input(unsupported_image_message(out.image, ImagePurpose::Serving));
        out.own_image = image.empty() ? out.image : image;
        TRY(image_request({"", "", nullptr, ImageCaller::For::Model}, out.own_image));
        if (!built_in || !is_algorithms_image(image)) return out;
    }
    out.algorithm = built_in->algorithm;
    out.algorithm_version = built_in->version;
    if (script)
        return invalid_input("The image " + out.image +
                             " is a built-in algorithm of Millwright: it takes no script (SAGEMAKER_PROGRAM, "
                             "SAGEMAKER_SUBMIT_DIRECTORY).");
    if (out.data.form == ModelData::Form::None)
        return invalid_input("ModelDataUrl or ModelDataSource is required for the built-in algorithms.");
    return out;
}

Models::Models(const Parts& parts)
    : parts_(parts), list_(parts.database, std::string(kTable), RecordList::Kind::Plain) {}

Result<std::unique_ptr<Models>> Models::open(const Parts& parts) {
    const std::string schema =
        "CREATE TABLE sagemaker_model(" + std::string(kRecordColumns) +
        "request TEXT NOT NULL, PRIMARY KEY(account, region, name_key));"
        "CREATE INDEX sagemaker_model_by_time ON sagemaker_model(account, region, created_ms, name_key);";
    const std::string indexes = record_indexes(kTable, RecordList::Kind::Plain);
    TRY(parts.database.migrate("models",
                               {{"models 1: models", schema}, {"models 2: an index for every list", indexes}}));
    return std::unique_ptr<Models>(new Models(parts));
}

Result<void> Models::check_role(std::string_view arn, std::string_view source_arn, const Result<Role>& role) {
    if (!role && role.error().kind == ErrorKind::Internal) return role.error();
    const auto trusted =
        role ? parts_.identity.service_may_assume(*role, "sagemaker.amazonaws.com", source_arn) : role.error();
    if (!trusted && trusted.error().kind == ErrorKind::Internal) return trusted.error();
    if (trusted && *trusted) return {};
    return invalid_input("Could not assume role " + std::string(arn) +
                         ". Please ensure that the role exists and allows principal "
                         "'sagemaker.amazonaws.com' to assume the role.");
}

Result<void> Models::check_image(const ImageCaller& caller, const ServedContainer& container) {
    if (container.own_image.empty()) return {};
    if (!parts_.images) return invalid_input(unsupported_image_message(container.image, ImagePurpose::Serving));
    return parts_.images->check(caller, container.own_image);
}

Result<void> Models::check(const RecordName& name, const Json& request) {
    TRY(only_supported(request, "",
                       {"ModelName", "PrimaryContainer", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation"}));
    if (!request.has("PrimaryContainer")) return invalid_input("PrimaryContainer is required.");
    ImageCaller caller{name.account, name.region, nullptr, ImageCaller::For::Model};
    const auto meaning =
        TRY(meaning_of_model_image(parts_.images, name.account, name.region, request["PrimaryContainer"]));
    const ServedContainer container = TRY(read_container(request["PrimaryContainer"], meaning));
    const std::string arn = request["ExecutionRoleArn"].string_or("");
    const auto role = arn.empty() ? Result<Role>(Role()) : parts_.identity.resolve_role(name.account, arn);
    if (!arn.empty()) {
        TRY(check_role(arn, name.arn("model"), role));
        caller.role = &*role;
    }
    TRY(check_data_access(parts_, name.account, caller.role, container.data));
    TRY(check_data_exists(parts_.objects, container.data));
    return check_image(caller, container);
}

Result<Model> Models::create(std::string_view account, std::string_view region, const Json& request) {
    const TagList tags = TRY(parse_tags(request["Tags"]));
    Model model;
    model.name = {std::string(account), std::string(region), request["ModelName"].as_string()};
    model.arn = model.name.arn("model");
    TRY(check(model.name, request));
    model.created = parts_.clock.now();
    model.request = request;
    model.request.erase("Tags");
    const int64_t now = to_epoch_milliseconds(model.created);
    const auto stored = parts_.database.write(
        [&](Transaction& tx) -> Result<int64_t> {
            const auto rows = TRY(tx.query(
                "INSERT INTO sagemaker_model(account, region, name_key, name, arn, created_ms, modified_ms, "
                "status, request) "
                "VALUES(?,?,?,?,?,?,?,'',?) RETURNING rowid",
                account, region, model.name.key(), model.name.name, model.arn, now, now, model.request.dump()));
            TRY(parts_.tags.register_in(tx, model.arn, tags));
            return rows.at(0).integer(0);
        },
        metadata_store::Durable::Now, metadata_store::Space::Free);
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "Cannot create already existing model \"" + model.arn + "\".", ""};
    if (!stored) return stored.error();
    list_.added({.id = *stored, .created = now}, model.name);
    return model;
}

Result<Model> Models::find(std::string_view account, std::string_view region, std::string_view name) {
    const RecordName wanted{std::string(account), std::string(region), std::string(name)};
    return parts_.database.read([&](Connection& c) -> Result<Model> {
        const auto row =
            TRY(c.query_one("SELECT name, arn, created_ms, request FROM sagemaker_model "
                            "WHERE account=? AND region=? AND name_key=?",
                            account, region, wanted.key()));
        if (!row) return no_such_model(wanted);
        return model_of(wanted, *row);
    });
}

Result<RecordPage> Models::list(std::string_view account, std::string_view region, const RecordQuery& query) {
    return list_.page(account, region, query);
}

Result<void> Models::remove(std::string_view account, std::string_view region, std::string_view name) {
    const RecordName wanted{std::string(account), std::string(region), std::string(name)};
    const auto gone = TRY(parts_.database.write([&](Transaction& tx) -> Result<NameIndex::RowKey> {
        const auto removed = TRY(tx.query(
            "DELETE FROM sagemaker_model WHERE account=? AND region=? AND name_key=? RETURNING rowid, created_ms",
            account, region, wanted.key()));
        if (removed.empty()) return no_such_model(wanted);
        TRY(parts_.tags.forget_in(tx, wanted.arn("model")));
        return NameIndex::RowKey{removed[0].integer(0), removed[0].integer(1)};
    }));
    list_.removed(gone, wanted);
    return {};
}

}  // namespace millwright::resources
