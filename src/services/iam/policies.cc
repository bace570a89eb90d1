#include <optional>

#include "base/encoding.h"
#include "resources/identity/policy_store.h"
#include "services/iam/answers.h"
#include "services/iam/operations.h"

namespace millwright::services {
namespace {

using aws::ApiError;
using aws::ApiResult;
using aws::Call;
using resources::Holder;
using resources::HolderKind;
using resources::Identity;

template <HolderKind kind>
constexpr std::string_view kNameMember = kind == HolderKind::Role   ? "RoleName"
                                         : kind == HolderKind::User ? "UserName"
                                                                    : "GroupName";

// `input` outlives the holder.
template <HolderKind kind>
Holder holder_of(const Call& call, const Json& input) {
    return {kind, call.caller.account, input[kNameMember<kind>].as_string()};
}

ApiResult<Json> done(const Result<void>& outcome) {
    if (!outcome) return iam_error(outcome.error());
    return Json::object();
}

template <HolderKind kind>
ApiResult<Json> attach(Identity& identity, const Call& call, const Json& input) {
    return done(identity.policies().attach(holder_of<kind>(call, input), input["PolicyArn"].as_string()));
}

template <HolderKind kind>
ApiResult<Json> detach(Identity& identity, const Call& call, const Json& input) {
    return done(identity.policies().detach(holder_of<kind>(call, input), input["PolicyArn"].as_string()));
}

template <HolderKind kind>
ApiResult<Json> list_attached(Identity& identity, const Call& call, const Json& input) {
    if (input["PathPrefix"].string_or("/") != "/")
        return ApiError(400, "InvalidInput",
                        "Millwright does not support PathPrefix of " + std::string(call.operation) + " yet.");
    const std::string start = TRY(page_start(input));
    const auto page = identity.policies().attached(holder_of<kind>(call, input), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("AttachedPolicies", *page, [](const std::string& arn) {
        return Json::object({{"PolicyName", arn.substr(arn.rfind('/') + 1)}, {"PolicyArn", arn}});
    });
}

template <HolderKind kind>
ApiResult<Json> put_inline(Identity& identity, const Call& call, const Json& input) {
    return done(identity.policies().put_inline(holder_of<kind>(call, input), input["PolicyName"].as_string(),
                                               input["PolicyDocument"].as_string()));
}

template <HolderKind kind>
ApiResult<Json> get_inline(Identity& identity, const Call& call, const Json& input) {
    const std::string& policy = input["PolicyName"].as_string();
    const auto document = identity.policies().get_inline(holder_of<kind>(call, input), policy);
    if (!document) return iam_error(document.error());
    return Json::object({{std::string(kNameMember<kind>), input[kNameMember<kind>]},
                         {"PolicyName", policy},
                         {"PolicyDocument", percent_encode(*document)}});
}

template <HolderKind kind>
ApiResult<Json> list_inline(Identity& identity, const Call& call, const Json& input) {
    const std::string start = TRY(page_start(input));
    const auto page = identity.policies().list_inline(holder_of<kind>(call, input), start, page_size(input));
    if (!page) return iam_error(page.error());
    return page_document("PolicyNames", *page, [](const std::string& name) { return Json(name); });
}

template <HolderKind kind>
ApiResult<Json> remove_inline(Identity& identity, const Call& call, const Json& input) {
    return done(identity.policies().remove_inline(holder_of<kind>(call, input), input["PolicyName"].as_string()));
}

template <HolderKind kind>
ApiResult<Json> put_boundary(Identity& identity, const Call& call, const Json& input) {
    return done(
        identity.policies().set_boundary(holder_of<kind>(call, input), input["PermissionsBoundary"].as_string()));
}

template <HolderKind kind>
ApiResult<Json> remove_boundary(Identity& identity, const Call& call, const Json& input) {
    const Holder holder = holder_of<kind>(call, input);
    const auto known = identity.policies().boundary(holder);
    if (!known) return iam_error(known.error());
    if (known->empty())
        return ApiError(404, "NoSuchEntity",
                        std::string(holder.name) + " does not have a permissions boundary attached.");
    return done(identity.policies().set_boundary(holder, ""));
}

struct Row {
    std::string_view before, after;  // "Attach" … "Policy"
    IamFunction role, user, group;
};

constexpr auto kRole = HolderKind::Role;
constexpr auto kUser = HolderKind::User;
constexpr auto kGroup = HolderKind::Group;

constexpr Row kRows[] = {
    {"Attach", "Policy", attach<kRole>, attach<kUser>, attach<kGroup>},
    {"Detach", "Policy", detach<kRole>, detach<kUser>, detach<kGroup>},
    {"ListAttached", "Policies", list_attached<kRole>, list_attached<kUser>, list_attached<kGroup>},
    {"Put", "Policy", put_inline<kRole>, put_inline<kUser>, put_inline<kGroup>},
    {"Get", "Policy", get_inline<kRole>, get_inline<kUser>, get_inline<kGroup>},
    {"List", "Policies", list_inline<kRole>, list_inline<kUser>, list_inline<kGroup>},
    {"Delete", "Policy", remove_inline<kRole>, remove_inline<kUser>, remove_inline<kGroup>},
    {"Put", "PermissionsBoundary", put_boundary<kRole>, put_boundary<kUser>, nullptr},
    {"Delete", "PermissionsBoundary", remove_boundary<kRole>, remove_boundary<kUser>, nullptr},
};

}  // namespace

IamFunction find_policy_operation(std::string_view name) {
    for (const Row& row : kRows) {
        if (!name.starts_with(row.before) || !name.ends_with(row.after)) continue;
        const std::string_view kind =
            name.substr(row.before.size(), name.size() - row.before.size() - row.after.size());
        if (kind == "Role") return row.role;
        if (kind == "User") return row.user;
        if (kind == "Group") return row.group;
    }
    return nullptr;
}

}  // namespace millwright::services
