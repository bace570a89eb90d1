#include "resources/identity/identity.h"

#include "base/encoding.h"
#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "resources/identity/access_control.h"
#include "resources/identity/credential_cache.h"
#include "resources/identity/group_store.h"
#include "resources/identity/policy_store.h"
#include "resources/identity/role_store.h"
#include "resources/identity/session_store.h"
#include "resources/identity/user_store.h"

namespace millwright::resources {
namespace {

// What SageMaker code does, and what jobs do: everything but changing identities. Passing roles on is limited to jobs
// and models, so that a job cannot hand itself more rights than roles give that trust SageMaker.
constexpr std::string_view kDefaultRoleDocument =
    R"({"Version":"2012-10-17","Statement":[)"
    R"({"Effect":"Allow","NotAction":["iam:*","sts:AssumeRole","organizations:*","account:*"],"Resource":"*"},)"
    R"({"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"},)"
    R"({"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/SageMakerRole"},)"
    R"({"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/*","Condition":)"
    R"({"StringEquals":{"iam:PassedToService":"sagemaker.amazonaws.com"}}}]})";

// Roles of older releases had no policies and could do everything.
const std::string kDefaultRoleMigration = "INSERT OR IGNORE INTO iam_inline_policy SELECT account, 'role', name, '" +
                                          std::string(kDefaultRolePolicy) + "', '" + std::string(kDefaultRoleDocument) +
                                          "' FROM iam_role WHERE name='" + std::string(kDefaultRoleName) + "';";

const std::vector<metadata_store::Migration> kMigrations = {
    {"identity 1: roles, users, keys, sessions, grants", R"sql(
CREATE TABLE iam_role(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL, id TEXT NOT NULL,
    assume_role_policy TEXT NOT NULL, description TEXT NOT NULL, created_ms INTEGER NOT NULL,
    max_session_seconds INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY(account, name));
CREATE TABLE iam_role_policy(account TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY(account, role, name));
CREATE TABLE iam_role_attachment(account TEXT NOT NULL, role TEXT NOT NULL, policy_arn TEXT NOT NULL,
    PRIMARY KEY(account, role, policy_arn));
CREATE TABLE iam_user(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL, id TEXT NOT NULL,
    created_ms INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY(account, name));
CREATE TABLE iam_access_key(id TEXT PRIMARY KEY, account TEXT NOT NULL, user TEXT NOT NULL, secret TEXT NOT NULL,
    created_ms INTEGER NOT NULL);
CREATE INDEX iam_access_key_by_user ON iam_access_key(account, user, id);
CREATE TABLE iam_session(id TEXT PRIMARY KEY, account TEXT NOT NULL, secret TEXT NOT NULL, token TEXT NOT NULL,
    caller_arn TEXT NOT NULL, caller_id TEXT NOT NULL, role_arn TEXT NOT NULL, run_id TEXT NOT NULL,
    expires_ms INTEGER NOT NULL);
CREATE INDEX iam_session_by_expiry ON iam_session(expires_ms);
CREATE INDEX iam_session_by_run ON iam_session(run_id);
CREATE TABLE iam_job_grant(run_id TEXT PRIMARY KEY, secret TEXT NOT NULL UNIQUE, account TEXT NOT NULL, role TEXT NOT NULL);
)sql"},
    {"identity 2: policies of users and groups, accounts",
     R"sql(
CREATE TABLE iam_account(account TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, access_key_id TEXT NOT NULL UNIQUE,
    secret TEXT NOT NULL, created_ms INTEGER NOT NULL);
CREATE TABLE iam_inline_policy(account TEXT NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY(account, kind, holder, name));
INSERT INTO iam_inline_policy SELECT account, 'role', role, name, document FROM iam_role_policy;
DROP TABLE iam_role_policy;
CREATE TABLE iam_attachment(account TEXT NOT NULL, kind TEXT NOT NULL, holder TEXT NOT NULL, policy_arn TEXT NOT NULL,
    PRIMARY KEY(account, kind, holder, policy_arn));
INSERT INTO iam_attachment SELECT account, 'role', role, policy_arn FROM iam_role_attachment;
DROP TABLE iam_role_attachment;
CREATE INDEX iam_attachment_by_policy ON iam_attachment(policy_arn, account, kind, holder);
CREATE TABLE iam_policy(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL, description TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
    default_version INTEGER NOT NULL, latest_version INTEGER NOT NULL, tags TEXT NOT NULL, PRIMARY KEY(account, name));
CREATE TABLE iam_policy_version(arn TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,
    created_ms INTEGER NOT NULL, PRIMARY KEY(arn, version));
CREATE TABLE iam_group(account TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, arn TEXT NOT NULL, id TEXT NOT NULL,
    created_ms INTEGER NOT NULL, PRIMARY KEY(account, name));
CREATE TABLE iam_group_member(account TEXT NOT NULL, group_name TEXT NOT NULL, user TEXT NOT NULL,
    PRIMARY KEY(account, group_name, user));
CREATE INDEX iam_group_member_by_user ON iam_group_member(account, user, group_name);
ALTER TABLE iam_role ADD COLUMN boundary TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_user ADD COLUMN boundary TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_session ADD COLUMN principal_arn TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_session ADD COLUMN policies TEXT NOT NULL DEFAULT '';
ALTER TABLE iam_session ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE iam_session ADD COLUMN issued_ms INTEGER NOT NULL DEFAULT 0;
)sql"},
    {"identity 3: what the default role may do", kDefaultRoleMigration}};

std::string new_account_id(Random& random) {
    std::string id(12, '0');
    for (char& digit : id) digit = static_cast<char>('0' + random.below(10));
    if (id[0] == '0') id[0] = '1';  // some tools read the id as a number
    return id;
}

bool is_account_id(std::string_view text) {
    return text.size() == 12 && text.find_first_not_of("0123456789") == text.npos;
}

Result<RootCredentials> make_root(const std::string& path, Random& random, const IdentitySettings& settings) {
    const RootCredentials root{new_account_id(random), settings.region, "AKIA" + random.letters_and_digits(16),
                               to_base64(random.bytes(30))};
    const Json document = Json::object({{"AccountId", root.account},
                                        {"Region", root.region},
                                        {"AccessKeyId", root.access_key_id},
                                        {"SecretAccessKey", root.secret_access_key}});
    TRY(replace_file_durably(path, document.dump() + "\n", 0600));
    return root;
}

// The file is made on first start only; one that is there but unreadable is an error, never replaced:
// everything stored under the account would be lost.
Result<RootCredentials> open_root(const std::string& path, Random& random, const IdentitySettings& settings) {
    if (!file_exists(path)) return make_root(path, random, settings);
    const std::string text = TRY(read_file(path, 64 * 1024));
    const auto document = Json::parse(text);
    if (!document) return invalid_input(path + " is not valid JSON");
    RootCredentials root{(*document)["AccountId"].string_or(""), (*document)["Region"].string_or(""),
                         (*document)["AccessKeyId"].string_or(""), (*document)["SecretAccessKey"].string_or("")};
    if (!is_account_id(root.account)) return invalid_input(path + ": AccountId must be 12 digits");
    if (root.region.empty() || root.access_key_id.empty() || root.secret_access_key.empty())
        return invalid_input(path + ": Region, AccessKeyId and SecretAccessKey must not be empty");
    return root;
}

NewRole default_role(const std::string& account) {
    NewRole role;
    role.name = std::string(kDefaultRoleName);
    role.description = "Made by Millwright on first start.";
    role.max_session_seconds = 12 * 3600;
    role.inline_policies = {{std::string(kDefaultRolePolicy), std::string(kDefaultRoleDocument)}};
    role.assume_role_policy =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},)"
        R"("Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::)" +
        account + R"(:root"},"Action":"sts:AssumeRole"}]})";
    return role;
}

aws::Credential root_credential(const RootCredentials& root) {
    aws::Credential out;
    out.secret_access_key = root.secret_access_key;
    out.caller.account = root.account;
    out.caller.arn = "arn:aws:iam::" + root.account + ":root";
    out.caller.user_id = root.account;
    out.caller.access_key_id = root.access_key_id;
    return out;
}

class StoredIdentity final : public Identity {
  public:
    StoredIdentity(RootCredentials root, metadata_store::Database& database, const Clock& clock, Random& random,
                   const IdentitySettings& settings)
        : root_(std::move(root)),
          settings_(settings),
          database_(database),
          clock_(clock),
          random_(random),
          root_credential_(root_credential(root_)),
          roles_(database, clock, random, changed()),
          users_(database, clock, random, cache_, changed()),
          groups_(database, clock, random, changed()),
          policies_(database, clock, random, changed()),
          sessions_(database, clock, random, cache_),
          access_(roles_, users_, groups_, policies_, sessions_, clock) {}

    Result<void> ensure_default_role(const std::string& account) {
        const auto made = roles_.create(account, default_role(account));
        if (!made && made.error().kind != ErrorKind::AlreadyExists) return made.error();
        return {};
    }
    Result<void> load_accounts();

    std::optional<aws::Credential> find_credential(std::string_view access_key_id) const override;
    const RootCredentials& root() const override { return root_; }
    Result<RootCredentials> create_account(std::string_view name) override;
    Result<std::vector<RootCredentials>> accounts() override;
    bool has_account(std::string_view account) const override;

    AccessControl& access() override { return access_; }
    RoleStore& roles() override { return roles_; }
    UserStore& users() override { return users_; }
    GroupStore& groups() override { return groups_; }
    PolicyStore& policies() override { return policies_; }

    Result<Role> find_role(std::string_view account, std::string_view name) override {
        auto found = roles_.find(account, name);
        if (found || found.error().kind != ErrorKind::NotFound || !settings_.lenient_roles) return found;
        return roles_.find(account, kDefaultRoleName);
    }
    Result<Role> resolve_role(std::string_view account, std::string_view arn_or_name) override;
    Result<Role> find_assumable_role(std::string_view account, std::string_view arn) override;

    Result<TemporaryCredentials> assume_role(const Role& role, std::string_view session_name,
                                             std::chrono::seconds lifetime, const SessionLimits& limits) override {
        return new_session(role, session_name, lifetime, "", limits);
    }
    Result<TemporaryCredentials> session_for(const aws::Caller& caller, std::chrono::seconds lifetime) override {
        return sessions_.create({caller.account, caller.arn, caller.user_id, "", "", lifetime, caller.arn, {}});
    }
    Result<TemporaryCredentials> federate(const aws::Caller& caller, std::string_view name,
                                          std::chrono::seconds lifetime, const SessionLimits& limits) override {
        return sessions_.create({caller.account,
                                 "arn:aws:sts::" + caller.account + ":federated-user/" + std::string(name),
                                 caller.account + ":" + std::string(name), "", "", lifetime, caller.arn, limits});
    }
    Result<bool> service_may_assume(const Role& role, std::string_view service, std::string_view source_arn) override;

    Result<std::string> grant_job_credentials(std::string_view run_id, const Role& role) override {
        return sessions_.grant({std::string(run_id), role.account(), role.name});
    }
    Result<TemporaryCredentials> job_credentials(std::string_view path) override;
    Result<void> withdraw_job_credentials(std::string_view run_id) override { return sessions_.withdraw(run_id); }

  private:
    std::optional<aws::Credential> look_up(std::string_view access_key_id) const;
    std::function<void()> changed() {
        return [this] { access_.forget(); };
    }
    Result<TemporaryCredentials> new_session(const Role& role, std::string_view session_name,
                                             std::chrono::seconds lifetime, const std::string& run_id,
                                             const SessionLimits& limits);

    const RootCredentials root_;
    const IdentitySettings settings_;
    metadata_store::Database& database_;
    const Clock& clock_;
    Random& random_;
    const aws::Credential root_credential_;
    mutable Mutex mutex_;
    std::map<std::string, RootCredentials> more_accounts_ GUARDED_BY(mutex_);  // by access key id
    mutable CredentialCache cache_;
    RoleStore roles_;
    mutable UserStore users_;
    GroupStore groups_;
    PolicyStore policies_;
    mutable SessionStore sessions_;
    AccessControl access_;
};

std::optional<aws::Credential> StoredIdentity::find_credential(std::string_view access_key_id) const {
    auto found = look_up(access_key_id);
    // No session is made for longer. One that has more left was made by a clock that was ahead and has been set back;
    // it would live for as long as the clock was ahead.
    constexpr auto kLongestLife = std::chrono::hours(36);
    if (found && found->expires && *found->expires > clock_.now() + kLongestLife) found->expires = Timestamp{};
    return found;
}

std::optional<aws::Credential> StoredIdentity::look_up(std::string_view access_key_id) const {
    if (access_key_id == root_.access_key_id) return root_credential_;
    if (auto cached = cache_.find(access_key_id)) return cached;
    {
        const MutexLock lock(mutex_);
        if (const auto more = more_accounts_.find(std::string(access_key_id)); more != more_accounts_.end())
            return root_credential(more->second);
    }
    const uint64_t generation = cache_.generation();
    auto found = access_key_id.starts_with("ASIA") ? sessions_.find_credential(access_key_id)
                                                   : users_.find_credential(access_key_id);
    if (found) cache_.put(std::string(access_key_id), *found, generation);
    return found;
}

Result<void> StoredIdentity::load_accounts() {
    const auto rows = TRY(database_.read([&](metadata_store::Connection& c) {
        return c.query("SELECT account, access_key_id, secret, name FROM iam_account");
    }));
    const MutexLock lock(mutex_);
    for (const auto& row : rows)
        more_accounts_[row.text(1)] = {row.text(0), root_.region, row.text(1), row.text(2), row.text(3)};
    return {};
}

Result<RootCredentials> StoredIdentity::create_account(std::string_view name) {
    if (name.empty() || name.size() > 50) return invalid_input("The name of an account has 1 to 50 characters.");
    RootCredentials account{new_account_id(random_), root_.region, "AKIA" + random_.letters_and_digits(16),
                            to_base64(random_.bytes(30)), std::string(name)};
    if (account.account == root_.account) return internal_error("the new account id is taken; try again");
    const auto stored = database_.write([&](metadata_store::Transaction& tx) -> Result<void> {
        TRY(tx.run("INSERT INTO iam_account(account, name, access_key_id, secret, created_ms) VALUES(?,?,?,?,?)",
                   account.account, account.name, account.access_key_id, account.secret_access_key,
                   to_epoch_milliseconds(clock_.now())));
        return {};
    });
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "There is an account " + account.name + " already.", ""};
    if (!stored) return stored.error();
    TRY(ensure_default_role(account.account));
    const MutexLock lock(mutex_);
    more_accounts_[account.access_key_id] = account;
    return account;
}

Result<std::vector<RootCredentials>> StoredIdentity::accounts() {
    std::vector<RootCredentials> out = {root_};
    const MutexLock lock(mutex_);
    for (const auto& [key, account] : more_accounts_) out.push_back(account);
    for (RootCredentials& account : out) account.secret_access_key.clear();
    return out;
}

bool StoredIdentity::has_account(std::string_view account) const {
    if (account == root_.account) return true;
    const MutexLock lock(mutex_);
    for (const auto& [key, known] : more_accounts_)
        if (known.account == account) return true;
    return false;
}

Result<Role> StoredIdentity::resolve_role(std::string_view account, std::string_view arn_or_name) {
    if (arn_or_name.find(':') == arn_or_name.npos) return find_role(account, arn_or_name);
    const auto name = iam_name(arn_or_name);
    if (!name || name->kind != "role") return invalid_input("Not the ARN of a role: " + std::string(arn_or_name));
    if (name->account == account) {
        Role role = TRY(find_role(account, name->name));
        if (role.arn == arn_or_name || settings_.lenient_roles) return role;
    } else if (settings_.lenient_roles && !has_account(name->account)) {
        return find_role(account, name->name);
    }
    return not_found("The role " + std::string(arn_or_name) + " cannot be found.");
}

Result<Role> StoredIdentity::find_assumable_role(std::string_view account, std::string_view arn) {
    const auto name = iam_name(arn);
    if (!name || name->kind != "role" || name->account == account || !has_account(name->account))
        return resolve_role(account, arn);
    Role role = TRY(roles_.find(name->account, name->name));
    if (role.arn != arn) return not_found("The role " + std::string(arn) + " cannot be found.");
    return role;
}

Result<bool> StoredIdentity::service_may_assume(const Role& role, std::string_view service,
                                                std::string_view source_arn) {
    aws::Access access;
    access.action = "sts:AssumeRole";
    access.resource = role.arn;
    access.resource_policy = role.assume_role_policy;
    access.resource_account = role.account();
    access.resource_policy_must_allow = true;
    // What trust policies compare so that nobody makes the service act for somebody else.
    access.context = {{"aws:sourceaccount", {role.account()}}, {"aws:sourcearn", {std::string(source_arn)}}};
    const aws::Decision decision = TRY(access_.decide_for_service(service, access));
    return decision.allowed();
}

Result<TemporaryCredentials> StoredIdentity::new_session(const Role& role, std::string_view session_name,
                                                         std::chrono::seconds lifetime, const std::string& run_id,
                                                         const SessionLimits& limits) {
    NewSession session;
    session.account = role.account();
    session.caller_arn =
        "arn:aws:sts::" + session.account + ":assumed-role/" + role.name + "/" + std::string(session_name);
    session.caller_user_id = role.id + ":" + std::string(session_name);
    session.role_arn = session.principal_arn = role.arn;
    session.run_id = run_id;
    session.lifetime = lifetime;
    session.limits = limits;
    return sessions_.create(session);
}

Result<TemporaryCredentials> StoredIdentity::job_credentials(std::string_view path) {
    const JobGrant grant = TRY(sessions_.find_grant(path));
    if (auto keys = sessions_.recent_keys(grant.run_id)) return std::move(*keys);
    const Role role = TRY(find_role(grant.account, grant.role_name));
    auto keys = TRY(new_session(role, "SageMaker", kJobKeyLifetime, grant.run_id, {}));
    sessions_.remember_keys(grant.run_id, keys);
    return keys;
}

}  // namespace

Result<std::unique_ptr<Identity>> Identity::open(const std::string& folder, metadata_store::Database& database,
                                                 const Clock& clock, Random& random, const IdentitySettings& settings) {
    TRY(database.migrate("identity", kMigrations));
    auto root = TRY(open_root(folder + "/credentials.json", random, settings));
    auto identity = std::make_unique<StoredIdentity>(std::move(root), database, clock, random, settings);
    TRY(identity->load_accounts());
    TRY(identity->ensure_default_role(identity->root().account));
    return std::unique_ptr<Identity>(std::move(identity));
}

}  // namespace millwright::resources
