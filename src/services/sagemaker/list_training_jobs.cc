#include "services/sagemaker/errors.h"
#include "services/sagemaker/operations.h"

namespace millwright::services {
namespace {

using resources::TrainingJobQuery;

std::optional<Timestamp> optional_time(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    return from_epoch_seconds(value.as_double());
}

TrainingJobQuery::SortBy sort_by(const std::string& name) {
    if (name == "Name") return TrainingJobQuery::SortBy::Name;
    if (name == "Status") return TrainingJobQuery::SortBy::Status;
    return TrainingJobQuery::SortBy::CreationTime;
}

TrainingJobQuery read_query(const Json& input) {
    TrainingJobQuery query;
    query.created_after = optional_time(input["CreationTimeAfter"]);
    query.created_before = optional_time(input["CreationTimeBefore"]);
    query.modified_after = optional_time(input["LastModifiedTimeAfter"]);
    query.modified_before = optional_time(input["LastModifiedTimeBefore"]);
    query.name_contains = input["NameContains"].string_or("");
    query.status_equals = input["StatusEquals"].string_or("");
    query.sort_by = sort_by(input["SortBy"].string_or(""));
    query.ascending = input["SortOrder"].string_or("") == "Ascending";
    query.max_results = static_cast<size_t>(input["MaxResults"].int_or(10));
    return query;
}

// Everything that decides which jobs a listing has and in which order.
std::string scope_of(const aws::Call& call, const Json& input) {
    auto filters = input;
    filters.erase("NextToken");
    filters.erase("MaxResults");
    return "ListTrainingJobs\n" + call.caller.account + "\n" + call.caller.region + "\n" + filters.dump();
}

Json summary(const resources::TrainingJobSummary& job) {
    auto entry = Json::object({
        {"TrainingJobName", job.name},
        {"TrainingJobArn", job.arn},
        {"CreationTime", to_epoch_seconds(job.created)},
        {"LastModifiedTime", to_epoch_seconds(job.modified)},
        {"TrainingJobStatus", job.status},
        {"SecondaryStatus", job.secondary_status},
    });
    if (job.training_end) entry.set("TrainingEndTime", to_epoch_seconds(*job.training_end));
    return entry;
}

}  // namespace

aws::ApiResult<Json> list_training_jobs(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    auto query = read_query(input);
    const auto scope = scope_of(call, input);
    if (const auto token = input["NextToken"].string_or(""); !token.empty()) {
        const auto position = TRY(sagemaker.page_tokens.decode(scope, token));
        if (position.size() != 1) return aws::validation_exception("Invalid NextToken.");
        query.after = position[0];
    }
    auto answer = Json::object({{"TrainingJobSummaries", Json::array()}});
    // Nothing here is in a warm pool or a training plan, so no job matches a filter on them.
    if (input.has("WarmPoolStatusEquals") || input.has("TrainingPlanArnEquals")) return answer;
    const auto page = sagemaker.training_jobs.list(call.caller.account, call.caller.region, query);
    if (!page) return training_job_error(page.error());
    auto summaries = Json::array();
    for (const auto& job : page->jobs) summaries.push_back(summary(job));
    answer.set("TrainingJobSummaries", std::move(summaries));
    if (!page->next.empty()) answer.set("NextToken", sagemaker.page_tokens.encode(scope, {page->next}));
    return answer;
}

}  // namespace millwright::services
