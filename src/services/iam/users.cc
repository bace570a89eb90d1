#include "resources/identity/user_store.h"

#include "resources/identity/policy_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;
using resources::User;

namespace {

Json user_with_tags(const User& user) {
    Json out = user_document(user);
    if (!user.tags.empty()) out.set("Tags", tags_document(user.tags));
    if (!user.boundary.empty()) out.set("PermissionsBoundary", boundary_document(user.boundary));
    return out;
}

}  // namespace

ApiResult<Json> create_user(Identity& identity, const Call& call, const Json& input) {
    User wanted;
    wanted.boundary = input["PermissionsBoundary"].string_or("");
    if (!wanted.boundary.empty())
        if (const auto known = identity.policies().find(call.caller.account, wanted.boundary); !known)
            return iam_error(known.error());
    wanted.name = input["UserName"].as_string();
    wanted.path = input["Path"].string_or("/");
    wanted.tags = tags_of(input["Tags"]);
    const auto user = identity.users().create(call.caller.account, wanted);
    if (!user) return iam_error(user.error());
    return Json::object({{"User", user_with_tags(*user)}});
}

ApiResult<Json> get_user(Identity& identity, const Call& call, const Json& input) {
    const std::string name = TRY(user_meant(call, input));
    const auto user = identity.users().find(call.caller.account, name);
    if (!user) return iam_error(user.error());
    return Json::object({{"User", user_with_tags(*user)}});
}

ApiResult<Json> list_users(Identity& identity, const Call& call, const Json& input) {
    const auto start = TRY(page_start(input));
    const auto page =
        identity.users().list(call.caller.account, input["PathPrefix"].string_or("/"), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("Users", *page, user_document);
}

ApiResult<Json> delete_user(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.users().remove(call.caller.account, input["UserName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> tag_user(Identity& identity, const Call& call, const Json& input) {
    const std::string& name = input["UserName"].as_string();
    const auto user = identity.users().find(call.caller.account, name);
    if (!user) return iam_error(user.error());
    const auto tags = TRY(with_tags(user->tags, input["Tags"]));
    const auto done = identity.users().set_tags(call.caller.account, name, tags);
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> untag_user(Identity& identity, const Call& call, const Json& input) {
    const std::string& name = input["UserName"].as_string();
    const auto user = identity.users().find(call.caller.account, name);
    if (!user) return iam_error(user.error());
    const auto done = identity.users().set_tags(call.caller.account, name, without_tags(user->tags, input["TagKeys"]));
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> list_user_tags(Identity& identity, const Call& call, const Json& input) {
    const auto user = identity.users().find(call.caller.account, input["UserName"].as_string());
    if (!user) return iam_error(user.error());
    return Json::object({{"Tags", tags_document(user->tags)}, {"IsTruncated", false}});
}

}  // namespace millwright::services
