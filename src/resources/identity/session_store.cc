#include "resources/identity/session_store.h"

#include "base/encoding.h"
#include "base/json.h"
#include "resources/identity/role_store.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Durable;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr std::string_view kGrantPath = "/v2/credentials/";
// Expired sessions stay a day, so that a late request is told "expired" and not "unknown key".
constexpr int64_t kKeepExpiredMs = 24 * 3600 * 1000;

std::string encode_documents(const std::optional<std::vector<std::string>>& documents) {
    if (!documents) return "";
    Json list = Json::array();
    for (const std::string& document : *documents) list.push_back(document);
    return list.dump();
}

std::optional<std::vector<std::string>> decode_documents(const std::string& text) {
    if (text.empty()) return std::nullopt;
    std::vector<std::string> out;
    if (const auto list = Json::parse(text))
        for (const Json& document : list->items()) out.push_back(document.string_or(""));
    return out;
}

}  // namespace

Result<TemporaryCredentials> SessionStore::create(const NewSession& session) {
    TemporaryCredentials keys;
    keys.access_key_id = "ASIA" + random_.letters_and_digits(16);
    keys.secret_access_key = to_base64(random_.bytes(30));
    keys.session_token = to_base64(random_.bytes(96));
    keys.role_arn = session.role_arn;
    keys.assumed_role_arn = session.caller_arn;
    keys.assumed_role_id = session.caller_user_id;
    // Whole seconds: that is all the wire shows.
    keys.expires = std::chrono::floor<std::chrono::seconds>(clock_.now()) + session.lifetime;
    const int64_t forget_before = to_epoch_milliseconds(clock_.now()) - kKeepExpiredMs;
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("DELETE FROM iam_session WHERE expires_ms<?", forget_before));
        // A grant withdrawn meanwhile must not leave keys behind.
        if (!session.run_id.empty() && !TRY(tx.query_one("SELECT 1 FROM iam_job_grant WHERE run_id=?", session.run_id)))
            return not_found("no such credentials path");
        TRY(
            tx.run("INSERT INTO iam_session(id, account, secret, token, caller_arn, caller_id, role_arn, "
                   "run_id, expires_ms, principal_arn, policies, tags, issued_ms) "
                   "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
                   keys.access_key_id, session.account, keys.secret_access_key, keys.session_token, session.caller_arn,
                   session.caller_user_id, session.role_arn, session.run_id, to_epoch_milliseconds(keys.expires),
                   session.principal_arn, encode_documents(session.limits.policies), encode_tags(session.limits.tags),
                   to_epoch_milliseconds(clock_.now())));
        return {};
    });
    if (!stored) return stored.error();
    return keys;
}

std::optional<aws::Credential> SessionStore::find_credential(std::string_view access_key_id) {
    auto found = database_.read([&](Connection& c) -> Result<std::optional<Row>> {
        return c.query_one(
            "SELECT secret, token, expires_ms, account, caller_arn, caller_id FROM iam_session WHERE id=?",
            access_key_id);
    });
    if (!found || !*found) return std::nullopt;
    const Row& row = **found;
    aws::Credential credential;
    credential.secret_access_key = row.text(0);
    credential.session_token = row.text(1);
    credential.expires = from_epoch_milliseconds(row.integer(2));
    credential.caller.account = row.text(3);
    credential.caller.arn = row.text(4);
    credential.caller.user_id = row.text(5);
    credential.caller.access_key_id = std::string(access_key_id);
    return credential;
}

Result<std::optional<SessionFacts>> SessionStore::find_facts(std::string_view access_key_id) {
    return database_.read([&](Connection& c) -> Result<std::optional<SessionFacts>> {
        const auto row = TRY(c.query_one(
            "SELECT principal_arn, policies, tags, issued_ms, role_arn, caller_arn FROM iam_session WHERE id=?",
            access_key_id));
        if (!row) return std::optional<SessionFacts>();
        SessionFacts facts;
        facts.principal_arn = row->text(0);
        // Sessions of an older release: without limits, of a role or of whoever called.
        if (facts.principal_arn.empty()) facts.principal_arn = row->text(4).empty() ? row->text(5) : row->text(4);
        facts.limits.policies = decode_documents(row->text(1));
        facts.limits.tags = decode_tags(row->text(2));
        facts.issued = from_epoch_milliseconds(row->integer(3));
        return std::optional<SessionFacts>(std::move(facts));
    });
}

Result<std::string> SessionStore::grant(const JobGrant& grant) {
    const std::string secret = random_.hex(64);
    return database_.write(
        [&](Transaction& tx) -> Result<std::string> {
            TRY(tx.run("INSERT OR IGNORE INTO iam_job_grant(run_id, secret, account, role) VALUES(?,?,?,?)",
                       grant.run_id, secret, grant.account, grant.role_name));
            const auto row = TRY(tx.query_one("SELECT secret FROM iam_job_grant WHERE run_id=?", grant.run_id));
            if (!row) return internal_error("a job grant vanished while it was made");
            return std::string(kGrantPath) + row->text(0);
        },
        Durable::WithNext);
}

Result<JobGrant> SessionStore::find_grant(std::string_view path) {
    if (!path.starts_with(kGrantPath)) return not_found("no such credentials path");
    return database_.read([&](Connection& c) -> Result<JobGrant> {
        const auto row = TRY(c.query_one("SELECT run_id, account, role FROM iam_job_grant WHERE secret=?",
                                         path.substr(kGrantPath.size())));
        if (!row) return not_found("no such credentials path");
        return JobGrant{row->text(0), row->text(1), row->text(2)};
    });
}

Result<void> SessionStore::withdraw(std::string_view run_id) {
    const auto ended = database_.write(
        [&](Transaction& tx) -> Result<std::vector<Row>> {
            auto sessions = TRY(tx.query("SELECT id FROM iam_session WHERE run_id=?", run_id));
            TRY(tx.run("DELETE FROM iam_session WHERE run_id=?", run_id));
            TRY(tx.run("DELETE FROM iam_job_grant WHERE run_id=?", run_id));
            return sessions;
        },
        Durable::WithNext);
    if (!ended) return ended.error();
    for (const Row& row : *ended) cache_.forget(row.text(0));
    const MutexLock lock(mutex_);
    recent_.erase(std::string(run_id));
    return {};
}

std::optional<TemporaryCredentials> SessionStore::recent_keys(const std::string& run_id) {
    const MutexLock lock(mutex_);
    const auto entry = recent_.find(run_id);
    if (entry == recent_.end() || entry->second.expires - clock_.now() < kJobKeyLifetime / 2) return std::nullopt;
    return entry->second;
}

void SessionStore::remember_keys(const std::string& run_id, const TemporaryCredentials& keys) {
    const MutexLock lock(mutex_);
    recent_.insert_or_assign(run_id, keys);
}

}  // namespace millwright::resources
