#include "services/sagemaker/record_pages.h"

#include <optional>

namespace millwright::services {
namespace {

using resources::RecordQuery;

std::optional<Timestamp> optional_time(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    return from_epoch_seconds(value.as_double());
}

RecordQuery::SortBy sort_by(const std::string& name) {
    if (name == "Name") return RecordQuery::SortBy::Name;
    if (name == "Status") return RecordQuery::SortBy::Status;
    return RecordQuery::SortBy::CreationTime;
}

RecordQuery read_query(const Json& input) {
    RecordQuery query;
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

}  // namespace

aws::ApiResult<Json> list_record_page(const aws::PageTokens& tokens, const aws::Call& call, const Json& input,
                                      const RecordListing& listing) {
    RecordQuery query = read_query(input);
    Json filters = input;
    filters.erase("NextToken");
    filters.erase("MaxResults");
    const std::string scope =
        std::string(listing.operation) + "\n" + call.caller.account + "\n" + call.caller.region + "\n" + filters.dump();
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
