#include "algorithms/xgboost/cluster.h"

#include <xgboost/c_api.h>

#include <chrono>
#include <thread>
#include <vector>

#include "algorithms/common/collective.h"
#include "base/json.h"

namespace millwright::algorithms::xgboost {
namespace {

// Of the library's enumerations.
constexpr int kDouble = 7;
constexpr int kSum = 2;

Result<void> check(int status) {
    if (status != 0) return internal_error("The hosts of the job lost each other", XGBGetLastError());
    return {};
}

// Which hosts (by rank of the collective) take part, and where the tracker listens.
struct Plan {
    std::vector<int64_t> members;
    int64_t port = 0;
};

Result<Plan> parse_plan(const std::string& text) {
    const Json document = TRY(Json::parse(text));
    Plan out;
    for (const Json& member : document["members"].items()) out.members.push_back(member.int_or(0));
    out.port = document["port"].int_or(0);
    return out;
}

std::string plan_text(const std::vector<std::string>& flags, uint16_t port) {
    Json members = Json::array();
    for (size_t i = 0; i < flags.size(); ++i) {
        if (flags[i] == "1") members.push_back(static_cast<int64_t>(i));
    }
    return Json::object({{"members", std::move(members)}, {"port", int64_t{port}}}).dump();
}

}  // namespace

Result<Cluster> Cluster::join(const TrainingEnvironment& environment, bool has_data) {
    Cluster out;
    if (environment.hosts.size() == 1) {
        out.rank_ = has_data ? 0 : -1;
        return out;
    }
    Collective collective = TRY(Collective::connect(environment.hosts, environment.current_host));
    const std::vector<std::string> flags = TRY(collective.gather(has_data ? "1" : "0"));
    std::string text;
    if (collective.rank() == 0) {
        std::vector<std::string> workers;
        for (size_t i = 0; i < flags.size(); ++i) {
            if (flags[i] == "1") workers.push_back(environment.hosts[i]);
        }
        if (workers.size() > 1) out.tracker_ = TRY(Tracker::start(workers));
        text = plan_text(flags, out.tracker_ ? out.tracker_->port() : uint16_t{0});
    }
    TRY(collective.broadcast(text));
    const Plan plan = TRY(parse_plan(text));
    if (plan.members.empty()) return invalid_input("No data in training channel path on any host");
    out.size_ = static_cast<int>(plan.members.size());
    for (size_t i = 0; i < plan.members.size(); ++i) {
        if (plan.members[i] == static_cast<int64_t>(collective.rank())) out.rank_ = static_cast<int>(i);
    }
    if (!out.takes_part() || !out.distributed()) return out;
    const Json config = Json::object({{"xgboost_communicator", "rabit"},
                                      {"DMLC_TRACKER_URI", environment.hosts.front()},
                                      {"DMLC_TRACKER_PORT", std::to_string(plan.port)},
                                      {"DMLC_TASK_ID", std::to_string(out.rank_)}});
    TRY(check(XGCommunicatorInit(config.dump().c_str())));
    out.connected_ = true;
    if (XGCommunicatorGetWorldSize() != out.size_ || XGCommunicatorGetRank() != out.rank_) {
        return internal_error("The hosts of the job did not find each other");
    }
    return out;
}

Result<void> Cluster::allreduce_sum(std::span<double> values) const {
    if (!distributed()) return {};
    return check(XGCommunicatorAllreduce(values.data(), values.size(), kDouble, kSum));
}

Result<bool> Cluster::any(bool value) const {
    double count = value ? 1 : 0;
    TRY(allreduce_sum({&count, 1}));
    return count > 0;
}

Result<void> Cluster::leave() {
    if (connected_) {
        connected_ = false;
        TRY(check(XGCommunicatorFinalize()));
    }
    while (tracker_ && !tracker_->finished() && !termination_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (tracker_ && !tracker_->problem().empty()) return internal_error(tracker_->problem());
    return {};
}

}  // namespace millwright::algorithms::xgboost
