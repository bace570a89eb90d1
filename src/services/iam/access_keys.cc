#include "resources/identity/user_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::AccessKey;
using resources::Identity;

ApiResult<Json> create_access_key(Identity& identity, const Call& call, const Json& input) {
    const auto key = identity.users().create_key(call.caller.account, TRY(user_meant(call, input)));
    if (!key) return iam_error(key.error());
    return Json::object({{"AccessKey", Json::object({{"UserName", key->user},
                                                     {"AccessKeyId", key->id},
                                                     {"Status", "Active"},
                                                     {"SecretAccessKey", key->secret},
                                                     {"CreateDate", to_epoch_seconds(key->created)}})}});
}

ApiResult<Json> list_access_keys(Identity& identity, const Call& call, const Json& input) {
    const std::string user = TRY(user_meant(call, input));
    const auto page = identity.users().list_keys(call.caller.account, user, TRY(page_start(input)), page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("AccessKeyMetadata", *page, [](const AccessKey& key) {
        return Json::object({{"UserName", key.user},
                             {"AccessKeyId", key.id},
                             {"Status", "Active"},
                             {"CreateDate", to_epoch_seconds(key.created)}});
    });
}

ApiResult<Json> delete_access_key(Identity& identity, const Call& call, const Json& input) {
    const std::string user = TRY(user_meant(call, input));
    const auto done = identity.users().remove_key(call.caller.account, user, input["AccessKeyId"].as_string());
    if (!done) return iam_error(done.error());
    return Json::object();
}

}  // namespace millwright::services
