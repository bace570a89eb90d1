#include "resources/identity/user_store.h"

#include "base/encoding.h"
#include "resources/identity/policy_store.h"

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Row;
using metadata_store::Transaction;

User user_of(const Row& row) {
    User user;
    user.name = row.text(0);
    user.path = row.text(1);
    user.arn = row.text(2);
    user.id = row.text(3);
    user.created = from_epoch_milliseconds(row.integer(4));
    user.tags = decode_tags(row.text(5));
    user.boundary = row.text(6);
    return user;
}

Error no_such_user(std::string_view name) {
    return not_found("The user with name " + std::string(name) + " cannot be found.");
}

Result<void> require_user(Connection& c, std::string_view account, std::string_view name) {
    if (!TRY(c.query_one("SELECT 1 FROM iam_user WHERE account=? AND name=?", account, name)))
        return no_such_user(name);
    return {};
}

}  // namespace

Result<User> UserStore::create(std::string_view account, const User& wanted) {
    User user = wanted;
    user.arn = "arn:aws:iam::" + std::string(account) + ":user" + user.path + user.name;
    user.id = "AIDA" + random_.letters_and_digits(17);
    user.created = clock_.now();
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(
            tx.run("INSERT INTO iam_user(account, name, path, arn, id, created_ms, tags, boundary) "
                   "VALUES(?,?,?,?,?,?,?,?)",
                   account, user.name, user.path, user.arn, user.id, to_epoch_milliseconds(user.created),
                   encode_tags(user.tags), user.boundary));
        return {};
    });
    if (!stored && stored.error().kind == ErrorKind::AlreadyExists)
        return Error{ErrorKind::AlreadyExists, "User with name " + user.name + " already exists.", ""};
    TRY(stored);
    changed_();
    return user;
}

Result<User> UserStore::find(std::string_view account, std::string_view name) {
    return database_.read([&](Connection& c) -> Result<User> {
        const auto row = TRY(c.query_one(
            "SELECT name, path, arn, id, created_ms, tags, boundary FROM iam_user WHERE account=? AND name=?", account,
            name));
        if (!row) return no_such_user(name);
        return user_of(*row);
    });
}

Result<NamedPage<User>> UserStore::list(std::string_view account, std::string_view path_prefix, std::string_view after,
                                        size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<User>> {
        const auto rows = TRY(
            c.query("SELECT name, path, arn, id, created_ms, tags, boundary FROM iam_user WHERE account=? AND name>? "
                    "AND substr(path,1,length(?))=? ORDER BY name LIMIT ?",
                    account, after, path_prefix, path_prefix, static_cast<int64_t>(limit + 1)));
        NamedPage<User> page;
        for (const Row& row : rows)
            if (page.items.size() < limit) page.items.push_back(user_of(row));
        if (rows.size() > limit) page.last = page.items.back().name;
        return page;
    });
}

Result<void> UserStore::remove(std::string_view account, std::string_view name) {
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_user(tx, account, name));
        if (TRY(tx.query_one("SELECT 1 FROM iam_access_key WHERE account=? AND user=? LIMIT 1", account, name)))
            return Error{ErrorKind::Conflict, "Cannot delete entity, must delete access keys first.", ""};
        TRY(require_no_policies(tx, {HolderKind::User, account, name}));
        if (TRY(tx.query_one("SELECT 1 FROM iam_group_member WHERE account=? AND user=? LIMIT 1", account, name)))
            return Error{ErrorKind::Conflict, "Cannot delete entity, must remove users from group first.", ""};
        TRY(tx.run("DELETE FROM iam_user WHERE account=? AND name=?", account, name));
        return {};
    }));
    changed_();
    return {};
}

Result<void> UserStore::set_tags(std::string_view account, std::string_view name,
                                 const std::vector<std::pair<std::string, std::string>>& tags) {
    TRY(database_.write([&](Transaction& tx) -> Result<void> {
        if (TRY(tx.run("UPDATE iam_user SET tags=? WHERE account=? AND name=?", encode_tags(tags), account, name)) == 0)
            return no_such_user(name);
        return {};
    }));
    changed_();
    return {};
}

Result<AccessKey> UserStore::create_key(std::string_view account, std::string_view user) {
    AccessKey key;
    key.id = "AKIA" + random_.letters_and_digits(16);
    key.user = std::string(user);
    key.secret = to_base64(random_.bytes(30));
    key.created = clock_.now();
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_user(tx, account, user));
        const auto held =
            TRY(tx.query_one("SELECT count(*) FROM iam_access_key WHERE account=? AND user=?", account, user));
        if (held && held->integer(0) >= static_cast<int64_t>(kMaxAccessKeysPerUser))
            return Error{ErrorKind::LimitExceeded,
                         "Cannot exceed quota for AccessKeysPerUser: " + std::to_string(kMaxAccessKeysPerUser), ""};
        TRY(tx.run("INSERT INTO iam_access_key(id, account, user, secret, created_ms) VALUES(?,?,?,?,?)", key.id,
                   account, user, key.secret, to_epoch_milliseconds(key.created)));
        return {};
    });
    if (!stored) return stored.error();
    return key;
}

Result<NamedPage<AccessKey>> UserStore::list_keys(std::string_view account, std::string_view user,
                                                  std::string_view after, size_t limit) {
    return database_.read([&](Connection& c) -> Result<NamedPage<AccessKey>> {
        TRY(require_user(c, account, user));
        const auto rows =
            TRY(c.query("SELECT id, created_ms FROM iam_access_key WHERE account=? AND user=? AND id>? "
                        "ORDER BY id LIMIT ?",
                        account, user, after, static_cast<int64_t>(limit + 1)));
        NamedPage<AccessKey> page;
        for (const Row& row : rows) {
            if (page.items.size() == limit) continue;
            page.items.push_back({row.text(0), std::string(user), "", from_epoch_milliseconds(row.integer(1))});
        }
        if (rows.size() > limit) page.last = page.items.back().id;
        return page;
    });
}

Result<void> UserStore::remove_key(std::string_view account, std::string_view user, std::string_view key_id) {
    const auto stored = database_.write([&](Transaction& tx) -> Result<void> {
        TRY(require_user(tx, account, user));
        if (TRY(tx.run("DELETE FROM iam_access_key WHERE id=? AND account=? AND user=?", key_id, account, user)) == 0)
            return not_found("The Access Key with id " + std::string(key_id) + " cannot be found.");
        return {};
    });
    if (!stored) return stored.error();
    cache_.forget(key_id);
    return {};
}

std::optional<aws::Credential> UserStore::find_credential(std::string_view access_key_id) {
    auto found = database_.read([&](Connection& c) -> Result<std::optional<Row>> {
        return c.query_one(
            "SELECT k.secret, u.account, u.arn, u.id FROM iam_access_key k JOIN iam_user u "
            "ON u.account=k.account AND u.name=k.user WHERE k.id=?",
            access_key_id);
    });
    if (!found || !*found) return std::nullopt;
    const Row& row = **found;
    aws::Credential credential;
    credential.secret_access_key = row.text(0);
    credential.caller.account = row.text(1);
    credential.caller.arn = row.text(2);
    credential.caller.user_id = row.text(3);
    credential.caller.access_key_id = std::string(access_key_id);
    return credential;
}

}  // namespace millwright::resources
