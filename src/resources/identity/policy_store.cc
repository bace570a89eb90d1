#include "resources/identity/policy_store.h"

#include "resources/identity/aws_policies.h"
#include "resources/identity/policy.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

struct KindRow {
    std::string_view word;   // in tables
    std::string_view table;  // of the holder
    std::string_view text;   // in messages
    size_t inline_quota;     // characters of all inline policies together
};

const KindRow& row_of(HolderKind kind) {
    static constexpr KindRow kRows[] = {
        {"role", "iam_role", "role", 10240}, {"user", "iam_user", "user", 2048}, {"group", "iam_group", "group", 5120}};
    return kRows[static_cast<size_t>(kind)];
}

Error no_such_holder(const Holder& holder) {
    return not_found("The " + std::string(row_of(holder.kind).text) + " with name " + std::string(holder.name) +
                     " cannot be found.");
}

Error no_such_inline(const Holder& holder, std::string_view policy) {
    return not_found("The " + std::string(row_of(holder.kind).text) + " policy with name " + std::string(policy) +
                     " cannot be found.");
}

Error no_such_policy(std::string_view arn) {
    return not_found("Policy " + std::string(arn) + " does not exist or is not attachable.");
}

Error policy_was_not_found(std::string_view arn) { return not_found("Policy " + std::string(arn) + " was not found."); }

Error limit_exceeded(std::string text) { return Error{ErrorKind::LimitExceeded, std::move(text), ""}; }

Result<void> require_holder(Connection& c, const Holder& holder) {
    const auto row =
        TRY(c.query_one("SELECT 1 FROM " + std::string(row_of(holder.kind).table) + " WHERE account=? AND name=?",
                        holder.account, holder.name));
    if (!row) return no_such_holder(holder);
    return {};
}

NamedPage<std::string> page_of(const std::vector<Row>& rows, size_t limit) {
    NamedPage<std::string> page;
    for (const Row& row : rows)
        if (page.items.size() < limit) page.items.push_back(row.text(0));
    if (rows.size() > limit) page.last = page.items.back();
    return page;
}

Result<void> require_policy(Connection& c, std::string_view account, std::string_view arn) {
    if (find_aws_policy(arn)) return {};
    const auto row = TRY(c.query_one("SELECT 1 FROM iam_policy WHERE account=? AND arn=?", account, arn));
    if (!row) return no_such_policy(arn);
    return {};
}

constexpr std::string_view kPolicyColumns =
    "name, path, arn, id, description, created_ms, updated_ms, default_version, tags, "
    "(SELECT count(*) FROM iam_attachment a WHERE a.policy_arn=iam_policy.arn AND a.account=iam_policy.account), "
    "(SELECT count(*) FROM iam_role r WHERE r.boundary=iam_policy.arn) + "
    "(SELECT count(*) FROM iam_user u WHERE u.boundary=iam_policy.arn)";

ManagedPolicy policy_of(const Row& row) {
    ManagedPolicy policy;
    policy.name = row.text(0);
    policy.path = row.text(1);
    policy.arn = row.text(2);
    policy.id = row.text(3);
    policy.description = row.text(4);
    policy.created = from_epoch_milliseconds(row.integer(5));
    policy.updated = from_epoch_milliseconds(row.integer(6));
    policy.default_version = row.integer(7);
    policy.tags = decode_tags(row.text(8));
    policy.attachments = row.integer(9);
    policy.boundaries = row.integer(10);
    return policy;
}

Result<ManagedPolicy> find_in(Connection& c, std::string_view account, std::string_view arn) {
    const auto row = TRY(c.query_one(
        "SELECT " + std::string(kPolicyColumns) + " FROM iam_policy WHERE account=? AND arn=?", account, arn));
    if (!row) return policy_was_not_found(arn);
    return policy_of(*row);
}

Result<void> check_managed(std::string_view document) {
    TRY(parse_policy(document, PolicyKind::Permission));
    if (policy_size(document) > kMaxManagedPolicySize)
        return limit_exceeded("Cannot exceed quota for PolicySize: " + std::to_string(kMaxManagedPolicySize));
    return {};
}

ManagedPolicy described(const AwsPolicy& known) {
    ManagedPolicy policy;
    policy.arn = std::string(known.arn);
    policy.name = policy.arn.substr(policy.arn.rfind('/') + 1);
    policy.path = policy.arn.substr(policy.arn.find('/'), policy.arn.rfind('/') - policy.arn.find('/') + 1);
    policy.id = "ANPA" + policy.name;
    policy.description = std::string(known.description);
    return policy;
}

Error aws_policies_stay(std::string_view arn) {
    return Error{ErrorKind::Denied, "Policy " + std::string(arn) + " is managed by AWS and cannot be changed.", ""};
}

}  // namespace

Result<void> PolicyStore::write(const std::function<Result<void>(Transaction&)>& work) {
    const auto written = database_.write(work);
    if (!written) return written.error();
    changed_();
    return {};
}

Result<void> PolicyStore::put_inline(const Holder& holder, std::string_view policy, std::string_view document) {
    TRY(parse_policy(document, PolicyKind::Permission));
    const KindRow& kind = row_of(holder.kind);
    return write([&](Transaction& tx) -> Result<void> {
        TRY(require_holder(tx, holder));
        size_t size = policy_size(document);
        const auto others =
            TRY(tx.query("SELECT document FROM iam_inline_policy WHERE account=? AND kind=? AND holder=? AND name<>?",
                         holder.account, kind.word, holder.name, policy));
        for (const Row& other : others) size += policy_size(other.text(0));
        if (size > kind.inline_quota)
            return limit_exceeded("Maximum policy size of " + std::to_string(kind.inline_quota) +
                                  " bytes exceeded for " + std::string(kind.text) + " " + std::string(holder.name));
        TRY(
            tx.run("INSERT INTO iam_inline_policy(account, kind, holder, name, document) VALUES(?,?,?,?,?) "
                   "ON CONFLICT(account, kind, holder, name) DO UPDATE SET document=excluded.document",
                   holder.account, kind.word, holder.name, policy, document));
        return {};
    });
}

Result<std::string> PolicyStore::get_inline(const Holder& holder, std::string_view policy) {
    return database_.read([&](Connection& c) -> Result<std::string> {
        TRY(require_holder(c, holder));
        const auto row =
            TRY(c.query_one("SELECT document FROM iam_inline_policy WHERE account=? AND kind=? AND holder=? AND name=?",
                            holder.account, row_of(holder.kind).word, holder.name, policy));
        if (!row) return no_such_inline(holder, policy);
        return row->text(0);
    });
}

Result<NamedPage<std::string>> PolicyStore::list_inline(const Holder& holder, std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<std::string>> {
        TRY(require_holder(c, holder));
        const auto rows =
            TRY(c.query("SELECT name FROM iam_inline_policy WHERE account=? AND kind=? AND holder=? AND name>? ORDER "
                        "BY name LIMIT ?",
                        holder.account, row_of(holder.kind).word, holder.name, after, static_cast<int64_t>(limit + 1)));
        return page_of(rows, limit);
    });
}

Result<void> PolicyStore::remove_inline(const Holder& holder, std::string_view policy) {
    return write([&](Transaction& tx) -> Result<void> {
        TRY(require_holder(tx, holder));
        const auto removed =
            TRY(tx.run("DELETE FROM iam_inline_policy WHERE account=? AND kind=? AND holder=? AND name=?",
                       holder.account, row_of(holder.kind).word, holder.name, policy));
        if (removed == 0) return no_such_inline(holder, policy);
        return {};
    });
}

Result<void> PolicyStore::attach(const Holder& holder, std::string_view policy_arn) {
    const KindRow& kind = row_of(holder.kind);
    return write([&](Transaction& tx) -> Result<void> {
        TRY(require_holder(tx, holder));
        TRY(require_policy(tx, holder.account, policy_arn));
        const auto held = TRY(tx.query_one(
            "SELECT count(*) FROM iam_attachment WHERE account=? AND kind=? AND holder=? AND policy_arn<>?",
            holder.account, kind.word, holder.name, policy_arn));
        if (held && held->integer(0) >= static_cast<int64_t>(kMaxAttachedPolicies))
            return limit_exceeded("Cannot exceed quota for PoliciesPer" +
                                  std::string(1, static_cast<char>(kind.text[0] - 'a' + 'A')) +
                                  std::string(kind.text.substr(1)) + ": " + std::to_string(kMaxAttachedPolicies));
        TRY(tx.run("INSERT OR IGNORE INTO iam_attachment(account, kind, holder, policy_arn) VALUES(?,?,?,?)",
                   holder.account, kind.word, holder.name, policy_arn));
        return {};
    });
}

Result<void> PolicyStore::detach(const Holder& holder, std::string_view policy_arn) {
    return write([&](Transaction& tx) -> Result<void> {
        TRY(require_holder(tx, holder));
        const auto removed =
            TRY(tx.run("DELETE FROM iam_attachment WHERE account=? AND kind=? AND holder=? AND policy_arn=?",
                       holder.account, row_of(holder.kind).word, holder.name, policy_arn));
        if (removed == 0) return policy_was_not_found(policy_arn);
        return {};
    });
}

Result<NamedPage<std::string>> PolicyStore::attached(const Holder& holder, std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<std::string>> {
        TRY(require_holder(c, holder));
        const auto rows = TRY(
            c.query("SELECT policy_arn FROM iam_attachment WHERE account=? AND kind=? AND holder=? AND policy_arn>? "
                    "ORDER BY policy_arn LIMIT ?",
                    holder.account, row_of(holder.kind).word, holder.name, after, static_cast<int64_t>(limit + 1)));
        return page_of(rows, limit);
    });
}

Result<void> PolicyStore::set_boundary(const Holder& holder, std::string_view policy_arn) {
    return write([&](Transaction& tx) -> Result<void> {
        if (!policy_arn.empty()) TRY(require_policy(tx, holder.account, policy_arn));
        if (TRY(tx.run(
                "UPDATE " + std::string(row_of(holder.kind).table) + " SET boundary=? WHERE account=? AND name=?",
                policy_arn, holder.account, holder.name)) == 0)
            return no_such_holder(holder);
        return {};
    });
}

Result<std::string> PolicyStore::boundary(const Holder& holder) {
    return database_.read([&](Connection& c) -> Result<std::string> {
        const auto row = TRY(c.query_one(
            "SELECT boundary FROM " + std::string(row_of(holder.kind).table) + " WHERE account=? AND name=?",
            holder.account, holder.name));
        if (!row) return no_such_holder(holder);
        return row->text(0);
    });
}

Result<ManagedPolicy> PolicyStore::create(std::string_view account, const ManagedPolicy& wanted,
                                          std::string_view document) {
    TRY(check_managed(document));
    ManagedPolicy policy = wanted;
    policy.arn = "arn:aws:iam::" + std::string(account) + ":policy" + policy.path + policy.name;
    policy.id = "ANPA" + random_.letters_and_digits(17);
    policy.created = policy.updated = clock_.now();
    const int64_t now = to_epoch_milliseconds(policy.created);
    const auto stored = write([&](Transaction& tx) -> Result<void> {
        TRY(
            tx.run("INSERT INTO iam_policy(account, name, path, arn, id, description, created_ms, updated_ms, "
                   "default_version, latest_version, tags) VALUES(?,?,?,?,?,?,?,?,1,1,?)",
                   account, policy.name, policy.path, policy.arn, policy.id, policy.description, now, now,
                   encode_tags(policy.tags)));
        TRY(tx.run("INSERT INTO iam_policy_version(arn, version, document, created_ms) VALUES(?,1,?,?)", policy.arn,
                   document, now));
        return {};
    });
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists,
                     "A policy called " + policy.name + " already exists. Duplicate names are not allowed.", ""};
    if (!stored) return stored.error();
    return policy;
}

Result<ManagedPolicy> PolicyStore::find(std::string_view account, std::string_view arn) {
    const AwsPolicy* known = find_aws_policy(arn);
    return database_.read([&](Connection& c) -> Result<ManagedPolicy> {
        if (!known) return find_in(c, account, arn);
        ManagedPolicy policy = described(*known);
        const auto held =
            TRY(c.query_one("SELECT count(*) FROM iam_attachment WHERE policy_arn=? AND account=?", arn, account));
        policy.attachments = held ? held->integer(0) : 0;
        return policy;
    });
}

Result<NamedPage<ManagedPolicy>> PolicyStore::list(std::string_view account, std::string_view path_prefix,
                                                   std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<ManagedPolicy>> {
        const auto rows = TRY(c.query("SELECT " + std::string(kPolicyColumns) +
                                          " FROM iam_policy WHERE account=? AND name>? AND substr(path,1,length(?))=? "
                                          "ORDER BY name LIMIT ?",
                                      account, after, path_prefix, path_prefix, static_cast<int64_t>(limit + 1)));
        NamedPage<ManagedPolicy> page;
        for (const Row& row : rows)
            if (page.items.size() < limit) page.items.push_back(policy_of(row));
        if (rows.size() > limit) page.last = page.items.back().name;
        return page;
    });
}

Result<void> PolicyStore::remove(std::string_view account, std::string_view arn) {
    if (find_aws_policy(arn)) return aws_policies_stay(arn);
    return write([&](Transaction& tx) -> Result<void> {
        const ManagedPolicy policy = TRY(find_in(tx, account, arn));
        if (policy.attachments + policy.boundaries > 0)
            return Error{ErrorKind::Conflict, "Cannot delete a policy attached to entities.", ""};
        const auto others = TRY(tx.query_one("SELECT count(*) FROM iam_policy_version WHERE arn=?", arn));
        if (others && others->integer(0) > 1)
            return Error{ErrorKind::Conflict,
                         "This policy has more than one version. Before you delete a policy, you must delete the "
                         "policy's versions. The default version is deleted with the policy.",
                         ""};
        TRY(tx.run("DELETE FROM iam_policy_version WHERE arn=?", arn));
        TRY(tx.run("DELETE FROM iam_policy WHERE arn=?", arn));
        return {};
    });
}

Result<PolicyVersion> PolicyStore::create_version(std::string_view account, std::string_view arn,
                                                  std::string_view document, bool make_default) {
    if (find_aws_policy(arn)) return aws_policies_stay(arn);
    TRY(check_managed(document));
    PolicyVersion version;
    version.document = std::string(document);
    version.created = clock_.now();
    version.is_default = make_default;
    const int64_t now = to_epoch_milliseconds(version.created);
    TRY(write([&](Transaction& tx) -> Result<void> {
        TRY(find_in(tx, account, arn));
        const auto counted =
            TRY(tx.query_one("SELECT count(*), (SELECT latest_version FROM iam_policy p WHERE p.arn=?) FROM "
                             "iam_policy_version WHERE arn=?",
                             arn, arn));
        if (counted->integer(0) >= static_cast<int64_t>(kMaxPolicyVersions))
            return limit_exceeded(
                "A managed policy can have up to 5 versions. Before you create a new version, you must delete an "
                "existing version.");
        version.number = counted->integer(1) + 1;
        TRY(tx.run("INSERT INTO iam_policy_version(arn, version, document, created_ms) VALUES(?,?,?,?)", arn,
                   version.number, document, now));
        TRY(tx.run("UPDATE iam_policy SET latest_version=?, updated_ms=? WHERE arn=?", version.number, now, arn));
        if (make_default) TRY(tx.run("UPDATE iam_policy SET default_version=? WHERE arn=?", version.number, arn));
        return {};
    }));
    return version;
}

Result<PolicyVersion> PolicyStore::version(std::string_view account, std::string_view arn, int64_t number) {
    const auto all = TRY(versions(account, arn));
    for (const PolicyVersion& version : all)
        if (version.number == number) return version;
    return not_found("Policy " + std::string(arn) + " version v" + std::to_string(number) +
                     " does not exist or is not attachable.");
}

Result<std::vector<PolicyVersion>> PolicyStore::versions(std::string_view account, std::string_view arn) {
    if (const AwsPolicy* known = find_aws_policy(arn))
        return std::vector<PolicyVersion>{{1, std::string(known->document), Timestamp{}, true}};
    return database_.read([&](Connection& c) -> Result<std::vector<PolicyVersion>> {
        const ManagedPolicy policy = TRY(find_in(c, account, arn));
        const auto rows = TRY(c.query(
            "SELECT version, document, created_ms FROM iam_policy_version WHERE arn=? ORDER BY version DESC", arn));
        std::vector<PolicyVersion> out;
        for (const Row& row : rows)
            out.push_back({row.integer(0), row.text(1), from_epoch_milliseconds(row.integer(2)),
                           row.integer(0) == policy.default_version});
        return out;
    });
}

Result<void> PolicyStore::set_default_version(std::string_view account, std::string_view arn, int64_t number) {
    if (find_aws_policy(arn)) return aws_policies_stay(arn);
    TRY(version(account, arn, number));
    return write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("UPDATE iam_policy SET default_version=?, updated_ms=? WHERE arn=?", number,
                   to_epoch_milliseconds(clock_.now()), arn));
        return {};
    });
}

Result<void> PolicyStore::remove_version(std::string_view account, std::string_view arn, int64_t number) {
    if (find_aws_policy(arn)) return aws_policies_stay(arn);
    const PolicyVersion found = TRY(version(account, arn, number));
    if (found.is_default) return Error{ErrorKind::Conflict, "Cannot delete the default version of a policy.", ""};
    return write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("DELETE FROM iam_policy_version WHERE arn=? AND version=?", arn, number));
        return {};
    });
}

Result<PolicyHolders> PolicyStore::holders_of(std::string_view account, std::string_view arn) {
    return database_.read([&](Connection& c) -> Result<PolicyHolders> {
        TRY(require_policy(c, account, arn));
        PolicyHolders out;
        const auto collect = [&](HolderKind kind, auto& into) -> Result<void> {
            const auto rows =
                TRY(c.query("SELECT h.name, h.id FROM iam_attachment a JOIN " + std::string(row_of(kind).table) +
                                " h ON h.account=a.account AND h.name=a.holder "
                                "WHERE a.policy_arn=? AND a.account=? AND a.kind=? ORDER BY h.name",
                            arn, account, row_of(kind).word));
            for (const Row& row : rows) into.emplace_back(row.text(0), row.text(1));
            return {};
        };
        TRY(collect(HolderKind::Role, out.roles));
        TRY(collect(HolderKind::User, out.users));
        TRY(collect(HolderKind::Group, out.groups));
        return out;
    });
}

Result<std::string> PolicyStore::document_of(std::string_view account, std::string_view arn) {
    if (const AwsPolicy* known = find_aws_policy(arn)) return std::string(known->document);
    return database_.read([&](Connection& c) -> Result<std::string> {
        const auto row =
            TRY(c.query_one("SELECT v.document FROM iam_policy p JOIN iam_policy_version v ON v.arn=p.arn AND "
                            "v.version=p.default_version "
                            "WHERE p.account=? AND p.arn=?",
                            account, arn));
        if (!row) return no_such_policy(arn);
        return row->text(0);
    });
}

Result<HeldPolicies> PolicyStore::policies_of(const Holder& holder) {
    const KindRow& kind = row_of(holder.kind);
    HeldPolicies out;
    std::vector<std::string> arns;
    std::string boundary;
    TRY(database_.read([&](Connection& c) -> Result<void> {
        const auto inlined =
            TRY(c.query("SELECT name, document FROM iam_inline_policy WHERE account=? AND kind=? AND holder=?",
                        holder.account, kind.word, holder.name));
        for (const Row& row : inlined) out.policies.push_back({row.text(0), row.text(1)});
        const auto attachments =
            TRY(c.query("SELECT policy_arn FROM iam_attachment WHERE account=? AND kind=? AND holder=?", holder.account,
                        kind.word, holder.name));
        for (const Row& row : attachments) arns.push_back(row.text(0));
        if (holder.kind == HolderKind::Group) return {};
        const auto row =
            TRY(c.query_one("SELECT boundary FROM " + std::string(kind.table) + " WHERE account=? AND name=?",
                            holder.account, holder.name));
        if (row) boundary = row->text(0);
        return {};
    }));
    for (const std::string& arn : arns) {
        auto document = document_of(holder.account, arn);
        // One of AWS that an older release let somebody attach, and that is not known here, grants nothing.
        if (!document && document.error().kind == ErrorKind::NotFound) continue;
        if (!document) return document.error();
        out.policies.push_back({arn, std::move(*document)});
    }
    if (boundary.empty()) return out;
    auto document = document_of(holder.account, boundary);
    if (!document && document.error().kind != ErrorKind::NotFound) return document.error();
    out.boundary = HeldPolicies::Held{boundary, document ? std::move(*document) : std::string()};
    return out;
}

Result<void> require_no_policies(Connection& connection, const Holder& holder) {
    const std::string_view kind = row_of(holder.kind).word;
    const auto attached =
        TRY(connection.query_one("SELECT 1 FROM iam_attachment WHERE account=? AND kind=? AND holder=? LIMIT 1",
                                 holder.account, kind, holder.name));
    if (attached) return Error{ErrorKind::Conflict, "Cannot delete entity, must detach all policies first.", ""};
    const auto inlined =
        TRY(connection.query_one("SELECT 1 FROM iam_inline_policy WHERE account=? AND kind=? AND holder=? LIMIT 1",
                                 holder.account, kind, holder.name));
    if (inlined) return Error{ErrorKind::Conflict, "Cannot delete entity, must delete policies first.", ""};
    return {};
}

}  // namespace millwright::resources
