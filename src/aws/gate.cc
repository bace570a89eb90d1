#include "aws/gate.h"

#include "aws/service.h"

namespace millwright::aws {
namespace {

using Because = Decision::Because;

std::string reason_text(Because because, const std::string& action) {
    const auto none = [&](std::string_view kind) {
        return " because no " + std::string(kind) + " policy allows the " + action + " action";
    };
    switch (because) {
        case Because::NoIdentityPolicy:
            return none("identity-based");
        case Because::NoResourcePolicy:
            return none("resource-based");
        case Because::NoSessionPolicy:
            return none("session");
        case Because::NoPermissionsBoundary:
            return " because no permissions boundary allows the " + action + " action";
        case Because::DeniedByIdentityPolicy:
            return " with an explicit deny in an identity-based policy";
        case Because::DeniedByResourcePolicy:
            return " with an explicit deny in a resource-based policy";
        case Because::DeniedBySessionPolicy:
            return " with an explicit deny in a session policy";
        case Because::DeniedByPermissionsBoundary:
            return " with an explicit deny in a permissions boundary";
        case Because::Allowed:
            break;
    }
    return "";
}

std::string text_of(const Caller& caller, const Access& access, const Decision& decision, std::string_view quote) {
    // What a role's trust policy does not say is not told.
    const bool untold = access.resource_policy_must_allow && decision.because == Because::NoResourcePolicy;
    return "User: " + caller.arn + " is not authorized to perform: " + access.action +
           " on resource: " + std::string(quote) + access.resource + std::string(quote) +
           (untold ? "" : reason_text(decision.because, access.action));
}

// S3 tells strangers and other accounts nothing.
ApiError s3_denial(const Caller& caller, const Access& access, const Decision& decision) {
    const bool own = access.resource_account.empty() || access.resource_account == caller.account;
    return {403, "AccessDenied",
            own && !caller.anonymous() ? text_of(caller, access, decision, "\"") : "Access Denied"};
}

}  // namespace

std::string denial_text(const Caller& caller, const Access& access, const Decision& decision) {
    return text_of(caller, access, decision, "");
}

ApiResult<void> RequestGate::require(const Call& call, const Access& access) {
    if (!asked_) {
        action_ = access.action;
        resource_ = access.resource;
    }
    asked_ = true;
    if (!authorizer_) return {};
    const auto decision = authorizer_->decide(call, access);
    if (!decision) return ApiError(decision.error());
    if (decision->allowed()) return {};
    refused_ = true;
    action_ = access.action;
    resource_ = access.resource;
    if (style_ == ErrorStyle::S3) return s3_denial(call.caller, access, *decision);
    const int status = style_ == ErrorStyle::Json ? 400 : 403;
    return ApiError(status, "AccessDeniedException", denial_text(call.caller, access, *decision));
}

ApiResult<bool> RequestGate::may(const Call& call, const Access& access) {
    if (!authorizer_) return true;
    const auto decision = authorizer_->decide(call, access);
    if (!decision) return ApiError(decision.error());
    return decision->allowed();
}

ApiResult<void> Call::require(const Access& access) const {
    if (!gate) return {};
    return gate->require(*this, access);
}

ApiResult<bool> Call::may(const Access& access) const {
    if (!gate) return true;
    return gate->may(*this, access);
}

}  // namespace millwright::aws
