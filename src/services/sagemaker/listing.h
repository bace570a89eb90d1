// What every List operation here has in common: filters, order, page size, and the scope of its tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aws/service.h"
#include "base/time.h"

namespace millwright::services {

inline std::optional<Timestamp> optional_time(const Json& value) {
    if (!value.is_number()) return std::nullopt;
    return from_epoch_seconds(value.as_double());
}

// For the query types of resources/, whose fields are named alike.
template <typename Query>
Query read_listing(const Json& input) {
    Query query;
    query.created_after = optional_time(input["CreationTimeAfter"]);
    query.created_before = optional_time(input["CreationTimeBefore"]);
    query.modified_after = optional_time(input["LastModifiedTimeAfter"]);
    query.modified_before = optional_time(input["LastModifiedTimeBefore"]);
    query.name_contains = input["NameContains"].string_or("");
    query.status_equals = input["StatusEquals"].string_or("");
    const std::string order = input["SortBy"].string_or("");
    query.sort_by = order == "Name"     ? Query::SortBy::Name
                    : order == "Status" ? Query::SortBy::Status
                                        : Query::SortBy::CreationTime;
    query.ascending = input["SortOrder"].string_or("") == "Ascending";
    query.max_results = static_cast<size_t>(input["MaxResults"].int_or(10));
    return query;
}

// Everything that decides which items a listing has and in which order.
inline std::string listing_scope(std::string_view operation, const aws::Call& call, const Json& input) {
    Json filters = input;
    filters.erase("NextToken");
    filters.erase("MaxResults");
    return std::string(operation) + "\n" + call.caller.account + "\n" + call.caller.region + "\n" + filters.dump();
}

}  // namespace millwright::services
