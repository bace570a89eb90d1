#include "algorithms/xgboost/cluster.h"

#include <xgboost/c_api.h>

#include <algorithm>
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

// What the first host tells all: who takes part, in rank order, and where to meet.
struct Plan {
    std::vector<std::string> members;
    std::string meeting_host;
    int64_t port = 0;
};

Result<Plan> parse_plan(const std::string& text) {
    const Json document = TRY(Json::parse(text));
    Plan out;
    for (const Json& member : document["members"].items()) out.members.push_back(member.string_or(""));
    out.meeting_host = document["host"].string_or("");
    out.port = document["port"].int_or(0);
    return out;
}

std::string plan_text(const Plan& plan) {
    Json members = Json::array();
    for (const std::string& member : plan.members) members.push_back(member);
    return Json::object({{"members", std::move(members)}, {"host", plan.meeting_host}, {"port", plan.port}}).dump();
}

}  // namespace

Result<Cluster> Cluster::join(const TrainingEnvironment& environment, bool has_data) {
    Cluster out;
    if (environment.hosts.size() == 1) {
        out.rank_ = has_data ? 0 : -1;
        return out;
    }
    Collective collective = TRY(Collective::connect(environment.hosts, environment.current_host));
    // The names of those that have data, an empty text of the others.
    const std::vector<std::string> names = TRY(collective.gather(has_data ? environment.current_host : ""));
    std::string text;
    if (collective.rank() == 0) {
        Plan plan{.members = names, .meeting_host = environment.current_host};
        std::erase(plan.members, "");
        if (plan.members.size() > 1) out.tracker_ = TRY(Tracker::start(plan.members));
        if (out.tracker_) plan.port = out.tracker_->port();
        text = plan_text(plan);
    }
    TRY(collective.broadcast(text));
    const Plan plan = TRY(parse_plan(text));
    if (plan.members.empty()) return invalid_input("No data in training channel path on any host");
    out.size_ = static_cast<int>(plan.members.size());
    const auto self = std::find(plan.members.begin(), plan.members.end(), environment.current_host);
    if (self == plan.members.end()) return out;
    out.rank_ = static_cast<int>(self - plan.members.begin());
    if (!out.distributed()) return out;
    const Json config = Json::object({{"xgboost_communicator", "rabit"},
                                      {"DMLC_TRACKER_URI", plan.meeting_host},
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
    while (tracker_ && !tracker_->finished() && !termination_requested())
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (tracker_ && !tracker_->problem().empty()) return internal_error(tracker_->problem());
    return {};
}

}  // namespace millwright::algorithms::xgboost
