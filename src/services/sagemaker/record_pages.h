// Listings of models, endpoint configurations and endpoints: the same filters, orders and tokens.
#pragma once

#include <functional>
#include <string_view>

#include "aws/service.h"
#include "aws/token.h"
#include "resources/models/records.h"

namespace millwright::services {

struct RecordListing {
    std::string_view operation;  // part of the token's scope
    std::string_view member;     // of the answer: "Models"
    std::function<Result<resources::RecordPage>(const resources::RecordQuery&)> list;
    std::function<Json(const resources::RecordSummary&)> summary;
};

aws::ApiResult<Json> list_record_page(const aws::PageTokens& tokens, const aws::Call& call, const Json& input,
                                      const RecordListing& listing);

// Errors of the operations on these: what is missing, taken or changing is a ValidationException with AWS's
// text.
aws::ApiError record_error(const Error& failure);

}  // namespace millwright::services
