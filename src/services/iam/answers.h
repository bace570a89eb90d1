// What the operations of IAM share: error codes, pages and tags.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "aws/api_error.h"
#include "base/encoding.h"
#include "base/json.h"
#include "resources/identity/role_store.h"
#include "resources/identity/user_store.h"

namespace millwright::services {

// NotFound -> NoSuchEntity, AlreadyExists -> EntityAlreadyExists, Conflict -> DeleteConflict, Denied ->
// UnmodifiableEntity, LimitExceeded -> LimitExceeded, InvalidInput -> MalformedPolicyDocument, which is all
// the resource checks itself.
aws::ApiError iam_error(const Error& failure);

std::vector<std::pair<std::string, std::string>> tags_of(const Json& tags);
Json tags_document(const std::vector<std::pair<std::string, std::string>>& tags);
// `tags` with those of `more` on top, as TagRole does it; and without the keys, as UntagRole does it. At most 50.
aws::ApiResult<std::vector<std::pair<std::string, std::string>>> with_tags(
    std::vector<std::pair<std::string, std::string>> tags, const Json& more);
std::vector<std::pair<std::string, std::string>> without_tags(std::vector<std::pair<std::string, std::string>> tags,
                                                              const Json& keys);
Json boundary_document(const std::string& arn);
Json user_document(const resources::User& user);
// Without a UserName the call is about the user who signed it.
aws::ApiResult<std::string> user_meant(const aws::Call& call, const Json& input);

// The position a Marker stands for ("" without one), and how many items are wanted.
aws::ApiResult<std::string> page_start(const Json& input);
size_t page_size(const Json& input);

template <typename T, typename ToJson>
Json page_document(std::string_view member, const resources::NamedPage<T>& page, ToJson to_json) {
    Json items = Json::array();
    for (const T& item : page.items) items.push_back(to_json(item));
    Json answer = Json::object({{std::string(member), std::move(items)}, {"IsTruncated", !page.last.empty()}});
    if (!page.last.empty()) answer.set("Marker", to_base64(page.last));
    return answer;
}

}  // namespace millwright::services
