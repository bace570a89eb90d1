#include "services/sagemaker/access.h"

#include <algorithm>
#include <iterator>

#include "base/strings.h"

namespace millwright::services {
namespace {

using aws::Access;
using aws::ApiResult;
using aws::Call;

// A resource that an operation names: the kind in its ARN, and the member with its name. Without a kind the member is
// an ARN.
struct Resource {
    std::string_view kind, member;
};

struct Row {
    std::string_view operation;
    std::vector<Resource> resources;  // none: "*"
    std::string_view role = {};       // member with the ARN of a role that is handed to SageMaker
};

const std::vector<Row>& rows() {
    static const Resource job{"training-job", "TrainingJobName"}, model{"model", "ModelName"},
        config{"endpoint-config", "EndpointConfigName"}, endpoint{"endpoint", "EndpointName"},
        tagged{"", "ResourceArn"};
    static const std::vector<Row> all = {
        {"CreateTrainingJob", {job}, "RoleArn"},
        {"DescribeTrainingJob", {job}},
        {"ListTrainingJobs", {}},
        {"StopTrainingJob", {job}},
        {"UpdateTrainingJob", {job}},
        {"DeleteTrainingJob", {job}},
        {"CreateModel", {model}, "ExecutionRoleArn"},
        {"DescribeModel", {model}},
        {"ListModels", {}},
        {"DeleteModel", {model}},
        {"CreateEndpointConfig", {config}, "ExecutionRoleArn"},
        {"DescribeEndpointConfig", {config}},
        {"ListEndpointConfigs", {}},
        {"DeleteEndpointConfig", {config}},
        {"CreateEndpoint", {endpoint, config}},
        {"DescribeEndpoint", {endpoint}},
        {"ListEndpoints", {}},
        {"UpdateEndpoint", {endpoint, config}},
        {"UpdateEndpointWeightsAndCapacities", {endpoint}},
        {"DeleteEndpoint", {endpoint}},
        {"AddTags", {tagged}},
        {"ListTags", {tagged}},
        {"DeleteTags", {tagged}},
    };
    return all;
}

// Condition keys that are members of the request; "[]" stands for every element.
struct Key {
    std::string_view name, path;
};
constexpr Key kKeys[] = {
    {"sagemaker:instancetypes", "ResourceConfig.InstanceType"},
    {"sagemaker:instancetypes", "ResourceConfig.InstanceGroups[].InstanceType"},
    {"sagemaker:instancetypes", "ProductionVariants[].InstanceType"},
    {"sagemaker:instancetypes", "ShadowProductionVariants[].InstanceType"},
    {"sagemaker:volumekmskey", "ResourceConfig.VolumeKmsKeyId"},
    {"sagemaker:volumekmskey", "KmsKeyId"},
    {"sagemaker:outputkmskey", "OutputDataConfig.KmsKeyId"},
    {"sagemaker:keepaliveperiod", "ResourceConfig.KeepAlivePeriodInSeconds"},
    {"sagemaker:maxruntimeinseconds", "StoppingCondition.MaxRuntimeInSeconds"},
    {"sagemaker:networkisolation", "EnableNetworkIsolation"},
    {"sagemaker:intercontainertrafficencryption", "EnableInterContainerTrafficEncryption"},
    {"sagemaker:enableremotedebug", "RemoteDebugConfig.EnableRemoteDebug"},
    {"sagemaker:vpcsubnets", "VpcConfig.Subnets[]"},
    {"sagemaker:vpcsecuritygroupids", "VpcConfig.SecurityGroupIds[]"},
    {"sagemaker:filesystemid", "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemId"},
    {"sagemaker:filesystemaccessmode", "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemAccessMode"},
    {"sagemaker:filesystemtype", "InputDataConfig[].DataSource.FileSystemDataSource.FileSystemType"},
    {"sagemaker:filesystemdirectorypath", "InputDataConfig[].DataSource.FileSystemDataSource.DirectoryPath"},
    {"sagemaker:serverlessmaxconcurrency", "ProductionVariants[].ServerlessConfig.MaxConcurrency"},
    {"sagemaker:serverlessmemorysize", "ProductionVariants[].ServerlessConfig.MemorySizeInMB"},
    {"aws:tagkeys", "Tags[].Key"},
    {"aws:tagkeys", "TagKeys[]"},
};

void collect(const Json& at, std::string_view path, aws::Strings& into) {
    if (path.empty()) {
        if (at.is_string())
            into.push_back(at.as_string());
        else if (at.is_bool() || at.is_number())
            into.push_back(at.dump());
        return;
    }
    if (path.starts_with("[]")) {
        path.remove_prefix(2);
        if (path.starts_with('.')) path.remove_prefix(1);
        for (const Json& item : at.items()) collect(item, path, into);
        return;
    }
    const size_t end = std::min(path.find('.'), path.find("[]"));
    std::string_view rest = end == std::string_view::npos ? "" : path.substr(end);
    if (rest.starts_with('.')) rest.remove_prefix(1);
    collect(at[path.substr(0, end)], rest, into);
}

std::vector<std::pair<std::string, aws::Strings>> context_of(const Json& input) {
    std::vector<std::pair<std::string, aws::Strings>> out;
    for (const Key& key : kKeys) {
        aws::Strings values;
        collect(input, key.path, values);
        if (values.empty()) continue;
        if (!out.empty() && out.back().first == key.name)
            out.back().second.insert(out.back().second.end(), values.begin(), values.end());
        else
            out.emplace_back(key.name, std::move(values));
    }
    for (const Json& tag : input["Tags"].items())
        out.emplace_back("aws:requesttag/" + to_lower(tag["Key"].string_or("")),
                         aws::Strings{tag["Value"].string_or("")});
    return out;
}

// aws:ResourceTag/… and sagemaker:ResourceTag/…: read only when a policy asks.
std::function<aws::Strings(std::string_view)> tags_of(resources::Tags& tags, const std::string& arn) {
    return [&tags, arn](std::string_view key) {
        aws::Strings found;
        const size_t slash = key.find('/');
        const std::string_view prefix = key.substr(0, slash);
        if (slash == std::string_view::npos || (prefix != "aws:resourcetag" && prefix != "sagemaker:resourcetag"))
            return found;
        const auto known = tags.list(arn);
        if (!known) return found;
        for (const auto& [name, value] : *known)
            if (equals_ignoring_case(name, key.substr(slash + 1))) found.push_back(value);
        return found;
    };
}

Access access_to(const AccessSources& sources, const Row& row, const Resource& resource, const Call& call,
                 const Json& input) {
    Access access;
    access.action = "sagemaker:" + std::string(row.operation);
    const std::string name = input[resource.member].string_or("");
    access.resource = resource.kind.empty() ? name
                                            : "arn:aws:sagemaker:" + call.caller.region + ":" + call.caller.account +
                                                  ":" + std::string(resource.kind) + "/" + to_lower(name);
    // An ARN may be one of another account, which then would have to allow it.
    const auto parts = split(access.resource, ':');
    if (parts.size() > 5) access.resource_account = parts[4];
    access.context = context_of(input);
    access.find_context = tags_of(sources.tags, access.resource);
    return access;
}

// Handing a role to SageMaker lends its rights. With lenient roles the role that counts is the one that is taken.
Access pass_role(const AccessSources& sources, const Call& call, const std::string& arn,
                 const std::string& for_resource) {
    Access access;
    access.action = "iam:PassRole";
    access.resource = arn;
    if (const auto role = sources.identity.resolve_role(call.caller.account, arn)) access.resource = role->arn;
    access.context = {{"iam:passedtoservice", {"sagemaker.amazonaws.com"}},
                      {"iam:associatedresourcearn", {for_resource}}};
    return access;
}

ApiResult<std::vector<Access>> needed(const AccessSources& sources, const Row& row, const Call& call,
                                      const Json& input) {
    std::vector<Access> out;
    for (const Resource& resource : row.resources) out.push_back(access_to(sources, row, resource, call, input));
    if (out.empty()) {
        out.emplace_back();
        out.back().action = "sagemaker:" + std::string(row.operation);
        return out;
    }
    const std::string created = out.front().resource;
    // Tags at birth need the permission to tag too.
    if (row.operation.starts_with("Create") && input["Tags"].size() > 0) {
        Access tagging = out.front();
        tagging.action = "sagemaker:AddTags";
        out.push_back(std::move(tagging));
    }
    const std::string role = row.role.empty() ? "" : input[row.role].string_or("");
    if (!role.empty()) out.push_back(pass_role(sources, call, role, created));
    return out;
}

}  // namespace

aws::AccessRule sagemaker_access_rule(const AccessSources& sources, std::string_view operation) {
    for (const Row& row : rows())
        if (row.operation == operation)
            return [sources, &row](const Call& call, const Json& input) { return needed(sources, row, call, input); };
    return nullptr;
}

}  // namespace millwright::services
