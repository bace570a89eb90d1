#include "services/sagemaker/errors.h"
#include "services/sagemaker/listing.h"
#include "services/sagemaker/operations.h"
#include "services/sagemaker/warm_pool.h"

namespace millwright::services {
namespace {

Json summary(const resources::TrainingJobSummary& job) {
    auto entry = Json::object({
        {"TrainingJobName", job.name},
        {"TrainingJobArn", job.arn},
        {"CreationTime", to_epoch_seconds(job.created)},
        {"LastModifiedTime", to_epoch_seconds(job.modified)},
        {"TrainingJobStatus", job.status},
        {"SecondaryStatus", job.secondary_status},
    });
    set_warm_pool_status(job.warm_pool, entry);
    if (job.training_end) entry.set("TrainingEndTime", to_epoch_seconds(*job.training_end));
    return entry;
}

}  // namespace

aws::ApiResult<Json> list_training_jobs(SageMaker& sagemaker, const aws::Call& call, const Json& input) {
    auto query = read_listing<resources::TrainingJobQuery>(input);
    query.warm_pool_status_equals = input["WarmPoolStatusEquals"].string_or("");
    const auto scope = listing_scope("ListTrainingJobs", call, input);
    if (const auto token = input["NextToken"].string_or(""); !token.empty()) {
        const auto position = TRY(sagemaker.page_tokens.decode(scope, token));
        if (position.size() != 1) return aws::validation_exception("Invalid NextToken.");
        query.after = position[0];
    }
    auto answer = Json::object({{"TrainingJobSummaries", Json::array()}});
    // Nothing here is in a training plan, so no job matches a filter on it.
    if (input.has("TrainingPlanArnEquals")) return answer;
    const auto page = sagemaker.training_jobs.list(call.caller.account, call.caller.region, query);
    if (!page) return training_job_error(page.error());
    auto summaries = Json::array();
    for (const auto& job : page->jobs) summaries.push_back(summary(job));
    answer.set("TrainingJobSummaries", std::move(summaries));
    if (!page->next.empty()) answer.set("NextToken", sagemaker.page_tokens.encode(scope, {page->next}));
    return answer;
}

}  // namespace millwright::services
