#include "services/sagemaker/warm_pool.h"

namespace millwright::services {

void set_warm_pool_status(const std::optional<resources::WarmPoolStatus>& pool, Json& document) {
    if (!pool) return;
    auto status = Json::object({{"Status", pool->status}});
    if (pool->retained_seconds) status.set("ResourceRetainedBillableTimeInSeconds", *pool->retained_seconds);
    if (!pool->reused_by.empty()) status.set("ReusedByJob", pool->reused_by);
    document.set("WarmPoolStatus", std::move(status));
}

}  // namespace millwright::services
