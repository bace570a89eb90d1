#include "resources/identity/group_store.h"

#include "resources/identity/user_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiResult;
using aws::Call;
using resources::Group;
using resources::Identity;

namespace {

Json group_document(const Group& group) {
    return Json::object({{"Path", group.path},
                         {"GroupName", group.name},
                         {"GroupId", group.id},
                         {"Arn", group.arn},
                         {"CreateDate", to_epoch_seconds(group.created)}});
}

}  // namespace

ApiResult<Json> create_group(Identity& identity, const Call& call, const Json& input) {
    Group wanted;
    wanted.name = input["GroupName"].as_string();
    wanted.path = input["Path"].string_or("/");
    const auto group = identity.groups().create(call.caller.account, wanted);
    if (!group) return iam_error(group.error());
    return Json::object({{"Group", group_document(*group)}});
}

ApiResult<Json> get_group(Identity& identity, const Call& call, const Json& input) {
    const std::string& name = input["GroupName"].as_string();
    const auto group = identity.groups().find(call.caller.account, name);
    if (!group) return iam_error(group.error());
    const std::string start = TRY(page_start(input));
    const auto members = identity.groups().members(call.caller.account, name, start, page_size(input));
    if (!members) return iam_error(members.error());
    Json answer = page_document("Users", *members, [&](const std::string& user) {
        const auto known = identity.users().find(call.caller.account, user);
        return known ? user_document(*known) : Json::object({{"UserName", user}});
    });
    answer.set("Group", group_document(*group));
    return answer;
}

ApiResult<Json> list_groups(Identity& identity, const Call& call, const Json& input) {
    const std::string start = TRY(page_start(input));
    const auto page =
        identity.groups().list(call.caller.account, input["PathPrefix"].string_or("/"), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("Groups", *page, group_document);
}

ApiResult<Json> delete_group(Identity& identity, const Call& call, const Json& input) {
    const auto done = identity.groups().remove(call.caller.account, input["GroupName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> add_user_to_group(Identity& identity, const Call& call, const Json& input) {
    const auto done =
        identity.groups().add(call.caller.account, input["GroupName"].as_string(), input["UserName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> remove_user_from_group(Identity& identity, const Call& call, const Json& input) {
    const auto done =
        identity.groups().leave(call.caller.account, input["GroupName"].as_string(), input["UserName"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

ApiResult<Json> list_groups_for_user(Identity& identity, const Call& call, const Json& input) {
    const std::string start = TRY(page_start(input));
    const auto page =
        identity.groups().groups_of(call.caller.account, input["UserName"].as_string(), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("Groups", *page, group_document);
}

}  // namespace millwright::services
