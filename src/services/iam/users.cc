#include "resources/identity/user_store.h"

#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Identity;
using resources::User;

namespace {

Json user_document(const User& user) {
    return Json::object({{"Path", user.path},
                         {"UserName", user.name},
                         {"UserId", user.id},
                         {"Arn", user.arn},
                         {"CreateDate", to_epoch_seconds(user.created)}});
}

Json user_with_tags(const User& user) {
    Json out = user_document(user);
    if (!user.tags.empty()) out.set("Tags", tags_document(user.tags));
    return out;
}

}  // namespace

ApiResult<Json> create_user(Identity& identity, const Call& call, const Json& input) {
    if (input.has("PermissionsBoundary"))
        return ApiError(400, "InvalidInput", "Millwright does not support PermissionsBoundary of CreateUser yet.");
    User wanted;
    wanted.name = input["UserName"].as_string();
    wanted.path = input["Path"].string_or("/");
    wanted.tags = tags_of(input["Tags"]);
    const auto user = identity.users().create(call.caller.account, wanted);
    if (!user) return iam_error(user.error());
    return Json::object({{"User", user_with_tags(*user)}});
}

ApiResult<Json> get_user(Identity& identity, const Call& call, const Json& input) {
    if (input.has("UserName")) {
        const auto user = identity.users().find(call.caller.account, input["UserName"].as_string());
        if (!user) return iam_error(user.error());
        return Json::object({{"User", user_with_tags(*user)}});
    }
    const std::string& arn = call.caller.arn;
    if (const size_t at = arn.find(":user/"); at != arn.npos) {
        const auto user = identity.users().find(call.caller.account, arn.substr(arn.rfind('/') + 1));
        if (!user) return iam_error(user.error());
        return Json::object({{"User", user_with_tags(*user)}});
    }
    return ApiError(400, "ValidationError", "Must specify userName when calling with non-User credentials");
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

}  // namespace millwright::services
