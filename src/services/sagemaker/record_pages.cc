#include "services/sagemaker/record_pages.h"

#include "services/sagemaker/listing.h"

namespace millwright::services {

aws::ApiResult<Json> list_record_page(const aws::PageTokens& tokens, const aws::Call& call, const Json& input,
                                      const RecordListing& listing) {
    auto query = read_listing<resources::RecordQuery>(input);
    const std::string scope = listing_scope(listing.operation, call, input);
    if (const std::string token = input["NextToken"].string_or(""); !token.empty())
        query.after = TRY(tokens.decode(scope, token));
    const auto page = listing.list(query);
    if (!page) return record_error(page.error());
    Json items = Json::array();
    for (const resources::RecordSummary& item : page->items) items.push_back(listing.summary(item));
    Json answer = Json::object({{std::string(listing.member), std::move(items)}});
    if (!page->next.empty()) answer.set("NextToken", tokens.encode(scope, page->next));
    return answer;
}

aws::ApiError record_error(const Error& failure) {
    switch (failure.kind) {
        case ErrorKind::NotFound:
        case ErrorKind::AlreadyExists:
        case ErrorKind::Conflict:
            return aws::validation_exception(failure.message);
        default:
            return failure;
    }
}

}  // namespace millwright::services
