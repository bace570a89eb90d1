#include <set>

#include "aws/model.h"
#include "aws/pipeline.h"
#include "base/strings.h"

namespace millwright::aws {

Json describe_operations(const std::vector<Service>& services) {
    Json out = Json::array();
    std::set<std::string> described;
    for (const Service& service : services) {
        const auto model = find_service(service.model);
        if (!model || !described.insert(service.model).second) continue;
        std::set<std::string_view> implemented;
        for (const Service& other : services)
            if (other.model == service.model)
                for (const Operation& operation : other.operations) implemented.insert(operation.name);
        Json operations = Json::array();
        for (const ModelOperation operation : model->operations())
            operations.push_back(
                Json::object({{"name", operation.name()}, {"implemented", implemented.contains(operation.name())}}));
        out.push_back(Json::object({{"service", service.model}, {"operations", std::move(operations)}}));
    }
    return out;
}

ApiError not_supported(std::string_view operation) {
    return {400, "UnsupportedOperationException",
            "Millwright does not support " + std::string(operation) + " yet. See docs/reference/operations.md."};
}

bool is_polling_client(std::string_view user_agent) {
    for (const std::string_view product : split(user_agent, ' ')) {
        // "m/Z,N,B,E": the features botocore, the CLI and other SDKs used for this call; B is a waiter.
        if (product.starts_with("m/"))
            for (const std::string_view feature : split(product.substr(2), ','))
                if (feature == "B") return true;
        // "lib/AWS-SageMaker-Python-SDK#2.257.7", "AWS-SageMaker-Python-SDK/1.72.1", "lib/AWS-SageMakerCore#1.0.59"
        if (product.starts_with("lib/")) {
            const std::string_view library = product.substr(4);
            if (library.starts_with("AWS-SageMaker-Python-SDK#") || library.starts_with("AWS-SageMakerCore#"))
                return true;
        }
        if (product.starts_with("AWS-SageMaker-Python-SDK/")) return true;
    }
    return false;
}

}  // namespace millwright::aws
