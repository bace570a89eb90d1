#include "resources/training_jobs/plan_life.h"

#include <algorithm>
#include <set>

#include "resources/instance_types/instance_types.h"
#include "resources/training_jobs/request_members.h"

namespace millwright::resources {
namespace {

constexpr int64_t kMostHosts = 64;

Result<jobs::Demand> demand_of(const std::string& type_name, const std::string& member) {
    const auto type = find_instance_type(type_name);
    if (!type) return invalid_input(member + " needs an InstanceType that Millwright knows, not '" + type_name + "'.");
    return jobs::Demand{static_cast<double>(type->vcpus), type->memory_bytes};
}

// Hosts are numbered through the groups in their order.
Result<void> plan_groups(const Json& resources, TrainingPlan& plan) {
    if (is_asked_for(resources["InstanceType"]) || is_asked_for(resources["InstanceCount"]))
        return invalid_input("InstanceType or InstanceCount cannot be specified with InstanceGroups");
    std::set<std::string> names;
    for (const auto& asked : resources["InstanceGroups"].items()) {
        executors::InstanceGroup group;
        group.name = asked["InstanceGroupName"].string_or("");
        group.instance_type = asked["InstanceType"].string_or("");
        if (group.name.empty())
            return invalid_input("Each of ResourceConfig.InstanceGroups needs an InstanceGroupName.");
        if (!names.insert(group.name).second)
            return invalid_input("Instance group names must be unique. The name " + group.name + " is used twice.");
        const auto wanted = TRY(demand_of(group.instance_type, "Instance group " + group.name));
        const auto count = asked["InstanceCount"].int_or(0);
        const auto so_far = static_cast<int64_t>(plan.wanted_by_host.size());
        if (count < 1 || so_far + count > kMostHosts)
            return invalid_input("The instance groups of ResourceConfig must have between 1 and 64 instances in all.");
        group.hosts = static_cast<int>(count);
        plan.wanted_by_host.insert(plan.wanted_by_host.end(), static_cast<size_t>(count), wanted);
        plan.wanted.cpus = std::max(plan.wanted.cpus, wanted.cpus);
        plan.wanted.memory_bytes = std::max(plan.wanted.memory_bytes, wanted.memory_bytes);
        plan.training.groups.push_back(std::move(group));
    }
    plan.training.hosts = static_cast<int>(plan.wanted_by_host.size());
    plan.training.instance_type = plan.training.groups.front().instance_type;
    return {};
}

}  // namespace

Result<void> plan_hosts(const Json& request, TrainingPlan& plan) {
    const auto& resources = request["ResourceConfig"];
    plan.volume_gib = resources["VolumeSizeInGB"].int_or(0);
    if (resources["InstanceGroups"].size() > 0) return plan_groups(resources, plan);
    plan.training.instance_type = resources["InstanceType"].string_or("");
    plan.wanted = TRY(demand_of(plan.training.instance_type, "ResourceConfig"));
    const auto count = resources["InstanceCount"].int_or(0);
    if (count < 1 || count > kMostHosts) return invalid_input("ResourceConfig.InstanceCount must be between 1 and 64.");
    plan.training.hosts = static_cast<int>(count);
    return {};
}

Result<void> plan_life(const Json& request, TrainingPlan& plan) {
    const auto& condition = request["StoppingCondition"];
    auto& life = plan.life;
    life.spot = request["EnableManagedSpotTraining"].bool_or(false);
    if (condition.has("MaxWaitTimeInSeconds"))
        life.max_wait = std::chrono::seconds(condition["MaxWaitTimeInSeconds"].int_or(0));
    if (life.max_wait && !life.spot)
        return invalid_input(
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true");
    if (life.spot && (!life.max_wait || *life.max_wait < plan.max_runtime))
        return invalid_input(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds");
    if (condition.has("MaxPendingTimeInSeconds"))
        life.max_pending = std::chrono::seconds(condition["MaxPendingTimeInSeconds"].int_or(0));
    life.keep_alive = std::chrono::seconds(request["ResourceConfig"]["KeepAlivePeriodInSeconds"].int_or(0));
    if (life.keep_alive.count() > 0 && life.spot)
        return invalid_input(
            "Invalid KeepAlivePeriodInSeconds. It is not supported when EnableManagedSpotTraining is set to true");
    life.max_retries = static_cast<int>(request["RetryStrategy"]["MaximumRetryAttempts"].int_or(0));
    return {};
}

}  // namespace millwright::resources
