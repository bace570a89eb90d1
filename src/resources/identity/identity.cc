#include "resources/identity/identity.h"

#include "base/encoding.h"
#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "resources/identity/credential_cache.h"
#include "resources/identity/role_store.h"
#include "resources/identity/session_store.h"
#include "resources/identity/user_store.h"

namespace millwright::resources {
namespace {

const std::vector<metadata_store::Migration> kMigrations = {{"identity 1: roles, users, keys, sessions, grants", R"sql(
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
)sql"}};

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
    role.assume_role_policy =
        R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},)"
        R"("Action":"sts:AssumeRole"},{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::)" +
        account + R"(:root"},"Action":"sts:AssumeRole"}]})";
    return role;
}

class StoredIdentity final : public Identity {
  public:
    StoredIdentity(RootCredentials root, metadata_store::Database& database, const Clock& clock, Random& random,
                   const IdentitySettings& settings)
        : root_(std::move(root)),
          settings_(settings),
          roles_(database, clock, random),
          users_(database, clock, random, cache_),
          sessions_(database, clock, random, cache_) {
        root_credential_.secret_access_key = root_.secret_access_key;
        root_credential_.caller.account = root_.account;
        root_credential_.caller.arn = "arn:aws:iam::" + root_.account + ":root";
        root_credential_.caller.user_id = root_.account;
        root_credential_.caller.access_key_id = root_.access_key_id;
    }

    Result<void> ensure_default_role() {
        const auto made = roles_.create(root_.account, default_role(root_.account));
        if (!made && made.error().kind != ErrorKind::AlreadyExists) return made.error();
        return {};
    }

    std::optional<aws::Credential> find_credential(std::string_view access_key_id) const override {
        if (access_key_id == root_.access_key_id) return root_credential_;
        if (auto cached = cache_.find(access_key_id)) return cached;
        const uint64_t generation = cache_.generation();
        auto found = access_key_id.starts_with("ASIA") ? sessions_.find_credential(access_key_id)
                                                       : users_.find_credential(access_key_id);
        if (found) cache_.put(std::string(access_key_id), *found, generation);
        return found;
    }

    const RootCredentials& root() const override { return root_; }
    RoleStore& roles() override { return roles_; }
    UserStore& users() override { return users_; }

    Result<Role> find_role(std::string_view account, std::string_view name) override {
        auto found = roles_.find(account, name);
        if (found || found.error().kind != ErrorKind::NotFound || !settings_.lenient_roles) return found;
        return roles_.find(root_.account, kDefaultRoleName);
    }

    Result<Role> resolve_role(std::string_view account, std::string_view arn_or_name) override;
    Result<TemporaryCredentials> assume_role(const Role& role, std::string_view session_name,
                                             std::chrono::seconds lifetime) override {
        return new_session(role, session_name, lifetime, "");
    }
    Result<TemporaryCredentials> session_for(const aws::Caller& caller, std::chrono::seconds lifetime) override {
        return sessions_.create({caller.account, caller.arn, caller.user_id, "", "", lifetime});
    }

    Result<std::string> grant_job_credentials(std::string_view run_id, const Role& role) override {
        return sessions_.grant({std::string(run_id), root_.account, role.name});
    }
    Result<TemporaryCredentials> job_credentials(std::string_view path) override;
    Result<void> withdraw_job_credentials(std::string_view run_id) override { return sessions_.withdraw(run_id); }

  private:
    Result<TemporaryCredentials> new_session(const Role& role, std::string_view session_name,
                                             std::chrono::seconds lifetime, const std::string& run_id);

    const RootCredentials root_;
    const IdentitySettings settings_;
    aws::Credential root_credential_;
    mutable CredentialCache cache_;
    RoleStore roles_;
    mutable UserStore users_;
    mutable SessionStore sessions_;
};

Result<Role> StoredIdentity::resolve_role(std::string_view account, std::string_view arn_or_name) {
    if (arn_or_name.find(':') == arn_or_name.npos) return find_role(account, arn_or_name);
    const std::vector<std::string_view> parts = split(arn_or_name, ':');
    const bool well_formed =
        parts.size() == 6 && parts[0] == "arn" && parts[2] == "iam" && parts[5].starts_with("role/");
    if (!well_formed) return invalid_input("Not the ARN of a role: " + std::string(arn_or_name));
    const std::string_view name = parts[5].substr(parts[5].rfind('/') + 1);
    if (parts[4] == account) {
        Role role = TRY(find_role(account, name));
        if (role.arn == arn_or_name || settings_.lenient_roles) return role;
    } else if (settings_.lenient_roles) {
        return find_role(account, name);
    }
    return not_found("The role " + std::string(arn_or_name) + " cannot be found.");
}

Result<TemporaryCredentials> StoredIdentity::new_session(const Role& role, std::string_view session_name,
                                                         std::chrono::seconds lifetime, const std::string& run_id) {
    NewSession session;
    session.account = root_.account;
    session.caller_arn =
        "arn:aws:sts::" + root_.account + ":assumed-role/" + role.name + "/" + std::string(session_name);
    session.caller_user_id = role.id + ":" + std::string(session_name);
    session.role_arn = role.arn;
    session.run_id = run_id;
    session.lifetime = lifetime;
    return sessions_.create(session);
}

Result<TemporaryCredentials> StoredIdentity::job_credentials(std::string_view path) {
    const JobGrant grant = TRY(sessions_.find_grant(path));
    if (auto keys = sessions_.recent_keys(grant.run_id)) return std::move(*keys);
    const Role role = TRY(find_role(grant.account, grant.role_name));
    auto keys = TRY(new_session(role, "SageMaker", kJobKeyLifetime, grant.run_id));
    sessions_.remember_keys(grant.run_id, keys);
    return keys;
}

}  // namespace

Result<std::unique_ptr<Identity>> Identity::open(const std::string& folder, metadata_store::Database& database,
                                                 const Clock& clock, Random& random, const IdentitySettings& settings) {
    TRY(database.migrate("identity", kMigrations));
    auto root = TRY(open_root(folder + "/credentials.json", random, settings));
    auto identity = std::make_unique<StoredIdentity>(std::move(root), database, clock, random, settings);
    TRY(identity->ensure_default_role());
    return std::unique_ptr<Identity>(std::move(identity));
}

}  // namespace millwright::resources
