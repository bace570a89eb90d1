#include "resources/identity/role_store.h"

#include "base/json.h"
#include "resources/identity/policy.h"
#include "resources/identity/policy_store.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

constexpr std::string_view kRoleColumns =
    "name, path, arn, id, assume_role_policy, description, created_ms, max_session_seconds, tags, boundary";

Role role_of(const Row& row) {
    Role role;
    role.name = row.text(0);
    role.path = row.text(1);
    role.arn = row.text(2);
    role.id = row.text(3);
    role.assume_role_policy = row.text(4);
    role.description = row.text(5);
    role.created = from_epoch_milliseconds(row.integer(6));
    role.max_session_seconds = row.integer(7);
    role.tags = decode_tags(row.text(8));
    role.boundary = row.text(9);
    return role;
}

Error no_such_role(std::string_view name) {
    return not_found("The role with name " + std::string(name) + " cannot be found.");
}

Result<void> require_role(Connection& c, std::string_view account, std::string_view name) {
    const auto row = TRY(c.query_one("SELECT 1 FROM iam_role WHERE account=? AND name=?", account, name));
    if (!row) return no_such_role(name);
    return {};
}

}  // namespace

std::string encode_tags(const std::vector<std::pair<std::string, std::string>>& tags) {
    Json list = Json::array();
    for (const auto& [key, value] : tags) list.push_back(Json::array({Json(key), Json(value)}));
    return list.dump();
}

std::vector<std::pair<std::string, std::string>> decode_tags(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> tags;
    const auto list = Json::parse(text);
    if (!list) return tags;
    for (const Json& tag : list->items()) tags.emplace_back(tag[0].string_or(""), tag[1].string_or(""));
    return tags;
}

Result<Role> RoleStore::create(std::string_view account, const NewRole& wanted) {
    TRY(parse_policy(wanted.assume_role_policy, PolicyKind::Trust));
    Role role;
    role.name = wanted.name;
    role.path = wanted.path;
    role.arn = "arn:aws:iam::" + std::string(account) + ":role" + wanted.path + wanted.name;
    role.id = "AROA" + random_.letters_and_digits(17);
    role.assume_role_policy = wanted.assume_role_policy;
    role.description = wanted.description;
    role.created = clock_.now();
    role.max_session_seconds = wanted.max_session_seconds;
    role.tags = wanted.tags;
    role.boundary = wanted.boundary;
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run(
            "INSERT INTO iam_role(account, name, path, arn, id, assume_role_policy, description, created_ms, "
            "max_session_seconds, tags, boundary) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
            account, role.name, role.path, role.arn, role.id, role.assume_role_policy, role.description,
            to_epoch_milliseconds(role.created), role.max_session_seconds, encode_tags(role.tags), role.boundary));
        for (const auto& [policy, document] : wanted.inline_policies)
            TRY(tx.run("INSERT INTO iam_inline_policy(account, kind, holder, name, document) VALUES(?,'role',?,?,?)",
                       account, role.name, policy, document));
        return {};
    });
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "Role with name " + role.name + " already exists.", ""};
    TRY(stored);
    changed_();
    return role;
}

Result<Role> RoleStore::find(std::string_view account, std::string_view name) {
    return database_.read([&](Connection& c) -> Result<Role> {
        const auto row = TRY(c.query_one(
            "SELECT " + std::string(kRoleColumns) + " FROM iam_role WHERE account=? AND name=?", account, name));
        if (!row) return no_such_role(name);
        return role_of(*row);
    });
}

Result<NamedPage<Role>> RoleStore::list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                        size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<Role>> {
        const auto rows = TRY(c.query("SELECT " + std::string(kRoleColumns) +
                                          " FROM iam_role WHERE account=? AND name>? AND substr(path,1,length(?))=? "
                                          "ORDER BY name LIMIT ?",
                                      account, after, path_prefix, path_prefix, static_cast<int64_t>(limit + 1)));
        NamedPage<Role> page;
        for (const Row& row : rows)
            if (page.items.size() < limit) page.items.push_back(role_of(row));
        if (rows.size() > limit) page.last = page.items.back().name;
        return page;
    });
}

Result<void> RoleStore::remove(std::string_view account, std::string_view name) {
    if (name == kDefaultRoleName)
        return Error{ErrorKind::Denied,
                     "The role " + std::string(name) + " is part of Millwright and cannot be deleted.", ""};
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_role(tx, account, name));
        TRY(require_no_policies(tx, {HolderKind::Role, account, name}));
        TRY(tx.run("DELETE FROM iam_role WHERE account=? AND name=?", account, name));
        return {};
    }));
    changed_();
    return {};
}

Result<void> RoleStore::set_trust_policy(std::string_view account, std::string_view name, std::string_view document) {
    TRY(parse_policy(document, PolicyKind::Trust));
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        if (TRY(tx.run("UPDATE iam_role SET assume_role_policy=? WHERE account=? AND name=?", document, account,
                       name)) == 0)
            return no_such_role(name);
        return {};
    }));
    changed_();
    return {};
}

Result<void> RoleStore::set_tags(std::string_view account, std::string_view name,
                                 const std::vector<std::pair<std::string, std::string>>& tags) {
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        if (TRY(tx.run("UPDATE iam_role SET tags=? WHERE account=? AND name=?", encode_tags(tags), account, name)) == 0)
            return no_such_role(name);
        return {};
    }));
    changed_();
    return {};
}

}  // namespace millwright::resources
