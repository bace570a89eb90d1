#include "resources/identity/group_store.h"

#include "resources/identity/policy_store.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

Group group_of(const Row& row) {
    return {row.text(0), row.text(1), row.text(2), row.text(3), from_epoch_milliseconds(row.integer(4))};
}

NamedPage<Group> page_of(const std::vector<Row>& rows, size_t limit) {
    NamedPage<Group> page;
    for (const Row& row : rows)
        if (page.items.size() < limit) page.items.push_back(group_of(row));
    if (rows.size() > limit) page.last = page.items.back().name;
    return page;
}

Error no_such_group(std::string_view name) {
    return not_found("The group with name " + std::string(name) + " cannot be found.");
}

Result<void> require_group(Connection& c, std::string_view account, std::string_view name) {
    const auto row = TRY(c.query_one("SELECT 1 FROM iam_group WHERE account=? AND name=?", account, name));
    if (!row) return no_such_group(name);
    return {};
}

Result<void> require_user(Connection& c, std::string_view account, std::string_view name) {
    const auto row = TRY(c.query_one("SELECT 1 FROM iam_user WHERE account=? AND name=?", account, name));
    if (!row) return not_found("The user with name " + std::string(name) + " cannot be found.");
    return {};
}

}  // namespace

Result<Group> GroupStore::create(std::string_view account, const Group& wanted) {
    Group group = wanted;
    group.arn = "arn:aws:iam::" + std::string(account) + ":group" + group.path + group.name;
    group.id = "AGPA" + random_.letters_and_digits(17);
    group.created = clock_.now();
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(tx.run("INSERT INTO iam_group(account, name, path, arn, id, created_ms) VALUES(?,?,?,?,?,?)", account,
                   group.name, group.path, group.arn, group.id, to_epoch_milliseconds(group.created)));
        return {};
    });
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "Group with name " + group.name + " already exists.", ""};
    if (!stored) return stored.error();
    return group;
}

Result<Group> GroupStore::find(std::string_view account, std::string_view name) {
    return database_.read([&](Connection& c) -> Result<Group> {
        const auto row = TRY(c.query_one(
            "SELECT name, path, arn, id, created_ms FROM iam_group WHERE account=? AND name=?", account, name));
        if (!row) return no_such_group(name);
        return group_of(*row);
    });
}

Result<NamedPage<Group>> GroupStore::list(std::string_view account, std::string_view path_prefix,
                                          std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<Group>> {
        const auto rows =
            TRY(c.query("SELECT name, path, arn, id, created_ms FROM iam_group WHERE account=? AND name>? AND "
                        "substr(path,1,length(?))=? ORDER BY name LIMIT ?",
                        account, after, path_prefix, path_prefix, static_cast<int64_t>(limit + 1)));
        return page_of(rows, limit);
    });
}

Result<void> GroupStore::remove(std::string_view account, std::string_view name) {
    return database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_group(tx, account, name));
        const auto member =
            TRY(tx.query_one("SELECT 1 FROM iam_group_member WHERE account=? AND group_name=? LIMIT 1", account, name));
        if (member) return Error{ErrorKind::Conflict, "Cannot delete entity, must remove users from group first.", ""};
        TRY(require_no_policies(tx, {HolderKind::Group, account, name}));
        TRY(tx.run("DELETE FROM iam_group WHERE account=? AND name=?", account, name));
        return {};
    });
}

Result<void> GroupStore::add(std::string_view account, std::string_view group, std::string_view user) {
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_group(tx, account, group));
        TRY(require_user(tx, account, user));
        const auto held =
            TRY(tx.query_one("SELECT count(*) FROM iam_group_member WHERE account=? AND user=? AND group_name<>?",
                             account, user, group));
        if (held && held->integer(0) >= static_cast<int64_t>(kMaxGroupsPerUser))
            return Error{ErrorKind::LimitExceeded,
                         "Cannot exceed quota for GroupsPerUser: " + std::to_string(kMaxGroupsPerUser), ""};
        TRY(tx.run("INSERT OR IGNORE INTO iam_group_member(account, group_name, user) VALUES(?,?,?)", account, group,
                   user));
        return {};
    });
    if (!stored) return stored.error();
    changed_();
    return {};
}

Result<void> GroupStore::leave(std::string_view account, std::string_view group, std::string_view user) {
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_group(tx, account, group));
        TRY(require_user(tx, account, user));
        const auto removed = TRY(
            tx.run("DELETE FROM iam_group_member WHERE account=? AND group_name=? AND user=?", account, group, user));
        if (removed == 0)
            return not_found("The user with name " + std::string(user) + " is not in the group " + std::string(group) +
                             ".");
        return {};
    });
    if (!stored) return stored.error();
    changed_();
    return {};
}

Result<NamedPage<std::string>> GroupStore::members(std::string_view account, std::string_view group,
                                                   std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<std::string>> {
        TRY(require_group(c, account, group));
        const auto rows = TRY(c.query(
            "SELECT user FROM iam_group_member WHERE account=? AND group_name=? AND user>? ORDER BY user LIMIT ?",
            account, group, after, static_cast<int64_t>(limit + 1)));
        NamedPage<std::string> page;
        for (const Row& row : rows)
            if (page.items.size() < limit) page.items.push_back(row.text(0));
        if (rows.size() > limit) page.last = page.items.back();
        return page;
    });
}

Result<NamedPage<Group>> GroupStore::groups_of(std::string_view account, std::string_view user, std::string_view after,
                                               size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<Group>> {
        TRY(require_user(c, account, user));
        const auto rows =
            TRY(c.query("SELECT g.name, g.path, g.arn, g.id, g.created_ms FROM iam_group_member m JOIN iam_group g "
                        "ON g.account=m.account AND g.name=m.group_name WHERE m.account=? AND m.user=? AND g.name>? "
                        "ORDER BY g.name LIMIT ?",
                        account, user, after, static_cast<int64_t>(limit + 1)));
        return page_of(rows, limit);
    });
}

}  // namespace millwright::resources
