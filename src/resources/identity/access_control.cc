#include "resources/identity/access_control.h"

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

using aws::Access;
using aws::Call;
using aws::Decision;
using Values = std::optional<std::vector<std::string>>;

constexpr std::string_view kDenyAll =
    R"({"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}})";

Values one(std::string value) { return std::vector<std::string>{std::move(value)}; }
Values one_unless_empty(const std::string& value) { return value.empty() ? Values() : one(value); }

// The keys of one request: its own, then those of every request, then what costs something.
class CallContext final : public RequestContext {
  public:
    CallContext(const Profile& profile, const Call& call, const Access& access, const Clock& clock)
        : profile_(profile), call_(call), access_(access), clock_(clock) {}

    Values find(std::string_view key) const override {
        for (const auto& [name, values] : access_.context)
            if (name == key) return values;
        if (key.starts_with("aws:"))
            if (auto values = find_global(key.substr(4))) return values;
        if (!access_.find_context) return std::nullopt;
        auto values = access_.find_context(key);
        if (values.empty()) return std::nullopt;
        return values;
    }

  private:
    Values find_global(std::string_view key) const {
        constexpr std::string_view kTag = "principaltag/";
        if (key.starts_with(kTag)) return find_tag(key.substr(kTag.size()));
        if (auto values = find_principal(key)) return values;
        if (key == "currenttime") return one(format_iso8601(clock_.now()));
        if (key == "epochtime") return one(std::to_string(to_epoch_milliseconds(clock_.now()) / 1000));
        if (key == "sourceip") return one_unless_empty(call_.source_address);
        if (key == "securetransport") return one(call_.secure ? "true" : "false");
        if (key == "useragent") return one_unless_empty(call_.user_agent);
        if (key == "referer") return one_unless_empty(call_.referer);
        if (key == "requestedregion") return one_unless_empty(call_.caller.region);
        if (key == "viaawsservice") return one("false");
        if (key == "resourceaccount")
            return one_unless_empty(access_.resource_account.empty() ? call_.caller.account : access_.resource_account);
        return std::nullopt;
    }

    Values find_principal(std::string_view key) const {
        const Asker& asker = profile_.authority.asker;
        if (key == "principalarn") return one_unless_empty(asker.role_arn.empty() ? asker.arn : asker.role_arn);
        if (key == "principalaccount") return one_unless_empty(asker.account);
        if (key == "principaltype") return one(std::string(profile_.type));
        if (key == "principalisawsservice") return one(asker.service.empty() ? "false" : "true");
        if (key == "principalservicename") return one_unless_empty(asker.service);
        if (key == "userid") return one_unless_empty(profile_.user_id);
        if (key == "username") return one_unless_empty(profile_.user_name);
        if (!profile_.issued) return std::nullopt;
        if (key == "tokenissuetime") return one(format_iso8601(*profile_.issued));
        if (key == "multifactorauthpresent") return one("false");
        return std::nullopt;
    }

    Values find_tag(std::string_view name) const {
        for (const auto& [key, value] : profile_.tags)
            if (equals_ignoring_case(key, name)) return one(value);
        return std::nullopt;
    }

    const Profile& profile_;
    const Call& call_;
    const Access& access_;
    const Clock& clock_;
};

bool is_root(std::string_view arn) { return arn.ends_with(":root") && arn.starts_with("arn:aws:iam::"); }

// Later tags of a session hide those of its role.
void put_tags(std::vector<std::pair<std::string, std::string>>& into,
              const std::vector<std::pair<std::string, std::string>>& tags) {
    into.insert(into.begin(), tags.begin(), tags.end());
}

}  // namespace

std::optional<IamName> iam_name(std::string_view arn) {
    const auto parts = split(arn, ':');
    if (parts.size() != 6 || parts[0] != "arn" || parts[2] != "iam") return std::nullopt;
    const size_t slash = parts[5].find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    IamName out{parts[4], parts[5].substr(0, slash), parts[5].substr(parts[5].rfind('/') + 1)};
    if (out.name.empty()) return std::nullopt;
    return out;
}

std::string_view assumed_role_name(std::string_view arn) {
    constexpr std::string_view kMark = ":assumed-role/";
    const size_t at = arn.find(kMark);
    if (at == std::string_view::npos) return "";
    const std::string_view rest = arn.substr(at + kMark.size());
    return rest.substr(0, rest.find('/'));
}

Result<Decision> AccessControl::decide(const Call& call, const Access& access) const {
    const aws::Caller& caller = call.caller;
    const bool own = access.resource_account.empty() || access.resource_account == caller.account;
    // The root user: nothing but a resource's own policy can refuse it anything of its account.
    if (own && access.resource_policy.empty() && !access.resource_policy_must_allow && is_root(caller.arn))
        return Decision{Decision::Because::Allowed};
    const ProfilePtr profile = TRY(profile_of(caller));
    return judge(*profile, call, access);
}

namespace {

PolicyKind kind_of_resource_policy(const Access& access) {
    if (access.resource_policy_must_allow) return PolicyKind::Trust;
    return access.resource.starts_with("arn:aws:ecr:") ? PolicyKind::Repository : PolicyKind::Bucket;
}

}  // namespace

Result<Decision> AccessControl::judge(const Profile& profile, const Call& call, const Access& access) const {
    const CallContext context(profile, call, access, clock_);
    Question question{.action = access.action,
                      .resources = {access.resource},
                      .context = context,
                      .resource_policy = nullptr,
                      .resource_account = access.resource_account,
                      .resource_policy_must_allow = access.resource_policy_must_allow};
    for (const std::string& spelling : access.other_spellings) question.resources.push_back(spelling);
    PolicyPtr resource_policy;
    if (!access.resource_policy.empty()) {
        const PolicyKind kind = kind_of_resource_policy(access);
        auto parsed = cache_.get(access.resource_policy, kind);
        if (!parsed && kind == PolicyKind::Trust) return Decision{Decision::Because::NoResourcePolicy};
        if (!parsed) return Decision{Decision::Because::DeniedByResourcePolicy};
        resource_policy = std::move(*parsed);
        question.resource_policy = resource_policy.get();
    }
    return evaluate(profile.authority, question);
}

Result<Decision> AccessControl::decide_for_role(const Role& role, const Access& access) const {
    const ProfilePtr profile = TRY(cached(role.arn, [&] { return profile_of_principal(role.arn); }));
    Call call;
    call.caller = {.account = profile->authority.asker.account,
                   .region = "",
                   .arn = role.arn,
                   .user_id = role.id,
                   .access_key_id = ""};
    call.secure = true;
    return judge(*profile, call, access);
}

Result<Decision> AccessControl::decide_for_service(std::string_view service, const Access& access) const {
    Profile profile;
    profile.authority.asker.service = std::string(service);
    profile.type = "Service";
    return judge(profile, Call(), access);
}

Result<ProfilePtr> AccessControl::profile_of(const aws::Caller& caller) const {
    if (caller.anonymous()) return std::make_shared<const Profile>();
    return cached(caller.access_key_id, [&] { return load(caller); });
}

Result<ProfilePtr> AccessControl::cached(const std::string& key,
                                         const std::function<Result<ProfilePtr>()>& load_it) const {
    uint64_t generation = 0;
    {
        const std::shared_lock lock(mutex_);
        if (const auto found = profiles_.find(key); found != profiles_.end()) return found->second;
        generation = generation_;
    }
    ProfilePtr profile = TRY(load_it());
    const std::unique_lock lock(mutex_);
    if (generation == generation_) {
        if (profiles_.size() >= kMaxProfiles) profiles_.clear();
        profiles_.insert_or_assign(key, profile);
    }
    return profile;
}

void AccessControl::forget() const {
    const std::unique_lock lock(mutex_);
    ++generation_;
    profiles_.clear();
}

Result<ProfilePtr> AccessControl::load(const aws::Caller& caller) const {
    const auto session = caller.access_key_id.starts_with("ASIA") ? TRY(sessions_.find_facts(caller.access_key_id))
                                                                  : std::optional<SessionFacts>();
    const std::string& principal = session ? session->principal_arn : caller.arn;
    auto found = profile_of_principal(principal);
    Profile profile;
    if (found)
        profile = **found;
    else if (found.error().kind != ErrorKind::NotFound)
        return found.error();  // else: gone since the keys were made, so nothing is allowed
    Asker& asker = profile.authority.asker;
    asker.account = caller.account;
    asker.arn = caller.arn;
    const bool federated = caller.arn.find(":federated-user/") != std::string::npos;
    // Made anew under the same name it is somebody else.
    if (session && !federated && !caller.user_id.starts_with(profile.user_id)) profile.authority = {asker, {}, {}, {}};
    profile.user_id = caller.user_id;
    if (!session) return std::make_shared<const Profile>(std::move(profile));
    profile.issued = session->issued;
    if (federated) {
        profile.type = "FederatedUser";
        profile.user_name.clear();
    }
    put_tags(profile.tags, session->limits.tags);
    if (session->limits.policies) {
        profile.authority.sessions.emplace();
        for (const std::string& document : *session->limits.policies)
            profile.authority.sessions->push_back(compile_or_deny(document, caller.arn));
    }
    return std::make_shared<const Profile>(std::move(profile));
}

Result<ProfilePtr> AccessControl::profile_of_principal(std::string_view arn) const {
    if (is_root(arn)) {
        Profile root;
        root.authority.unlimited = true;
        root.authority.asker.arn = std::string(arn);
        root.authority.asker.account = split(arn, ':')[4];
        root.user_id = root.authority.asker.account;
        root.type = "Account";
        return std::make_shared<const Profile>(std::move(root));
    }
    const auto name = iam_name(arn);
    if (name && name->kind == "user") {
        Profile user = TRY(load_user(arn));
        return std::make_shared<const Profile>(std::move(user));
    }
    if (name && name->kind == "role") {
        Profile role = TRY(load_role(arn));
        return std::make_shared<const Profile>(std::move(role));
    }
    if (name && name->kind == "group") {
        Profile group = TRY(load_group(arn));
        return std::make_shared<const Profile>(std::move(group));
    }
    return not_found("The principal " + std::string(arn) + " cannot be found.");
}

Result<Profile> AccessControl::load_group(std::string_view arn) const {
    const IamName name = *iam_name(arn);
    const Group group = TRY(groups_.find(name.account, name.name));
    Profile out;
    out.authority.asker = {.account = std::string(name.account), .arn = group.arn, .role_arn = "", .service = ""};
    TRY(add_policies({HolderKind::Group, name.account, name.name}, out));
    return out;
}

Result<Profile> AccessControl::load_user(std::string_view arn) const {
    const IamName name = *iam_name(arn);
    User user = TRY(users_.find(name.account, name.name));
    Profile out;
    out.authority.asker = {.account = std::string(name.account), .arn = user.arn, .role_arn = "", .service = ""};
    out.user_name = user.name;
    out.user_id = user.id;
    out.type = "User";
    out.tags = std::move(user.tags);
    TRY(add_policies({HolderKind::User, name.account, name.name}, out));
    const auto groups = TRY(groups_.groups_of(name.account, name.name, "", kMaxGroupsPerUser));
    for (const Group& group : groups.items) TRY(add_policies({HolderKind::Group, name.account, group.name}, out));
    return out;
}

Result<Profile> AccessControl::load_role(std::string_view arn) const {
    const IamName name = *iam_name(arn);
    Role role = TRY(roles_.find(name.account, name.name));
    Profile out;
    out.authority.asker = {.account = std::string(name.account), .arn = role.arn, .role_arn = role.arn, .service = ""};
    out.user_id = role.id;
    out.type = "AssumedRole";
    out.tags = std::move(role.tags);
    TRY(add_policies({HolderKind::Role, name.account, name.name}, out));
    return out;
}

Result<void> AccessControl::add_policies(const Holder& holder, Profile& into) const {
    const HeldPolicies held = TRY(policies_.policies_of(holder));
    for (const auto& policy : held.policies) {
        into.authority.identity.push_back(compile_or_deny(policy.document, policy.source));
        into.sources.push_back(policy.source);
    }
    if (!held.boundary) return {};
    // A boundary that is gone allows nothing.
    into.authority.boundary = held.boundary->document.empty()
                                  ? std::make_shared<const Policy>()
                                  : compile_or_deny(held.boundary->document, held.boundary->source);
    return {};
}

// Documents are checked when they are stored. One of an older release that is not understood may have been meant to
// deny something, so it denies everything.
PolicyPtr AccessControl::compile_or_deny(const std::string& document, const std::string& source) const {
    auto policy = cache_.get(document, PolicyKind::Permission);
    if (policy) return std::move(*policy);
    log::warning("the policy " + source + " is not understood and denies everything: " + policy.error().message);
    return cache_.get(kDenyAll, PolicyKind::Permission).value();
}

}  // namespace millwright::resources
