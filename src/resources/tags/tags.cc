#include "resources/tags/tags.h"

#include <set>

namespace millwright::resources {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Transaction;

const std::vector<metadata_store::Migration> kSchema = {
    {"tags 1: resources and their tags",
     "CREATE TABLE tagged_resource(arn TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;"
     "CREATE TABLE resource_tag(arn TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(arn, name)) "
     "WITHOUT ROWID;"},
};

Result<TagList> load_tags(Connection& connection, std::string_view arn) {
    TagList tags;
    for (const auto& row :
         TRY(connection.query("SELECT name, value FROM resource_tag WHERE arn=? ORDER BY name", arn))) {
        tags.emplace_back(row.text(0), row.text(1));
    }
    return tags;
}

Result<TagList> load(Connection& connection, std::string_view arn) {
    const auto known = TRY(connection.query_one("SELECT 1 FROM tagged_resource WHERE arn=?", arn));
    if (!known) return not_found("Requested resource not found.");
    return load_tags(connection, arn);
}

Result<void> store(Transaction& transaction, std::string_view arn, const TagList& tags) {
    for (const auto& [name, value] : tags) {
        TRY(
            transaction.run("INSERT INTO resource_tag(arn, name, value) VALUES(?,?,?) "
                            "ON CONFLICT(arn, name) DO UPDATE SET value=excluded.value",
                            arn, name, value));
    }
    return {};
}

class StoredTags : public Tags {
  public:
    explicit StoredTags(Database& database) : database_(database) {}

    Result<void> register_in(Transaction& transaction, std::string_view arn, const TagList& tags) override {
        TRY(transaction.run("INSERT INTO tagged_resource(arn) VALUES(?)", arn));
        return store(transaction, arn, tags);
    }

    Result<void> forget_in(Transaction& transaction, std::string_view arn) override {
        TRY(transaction.run("DELETE FROM resource_tag WHERE arn=?", arn));
        TRY(transaction.run("DELETE FROM tagged_resource WHERE arn=?", arn));
        return {};
    }

    Result<TagList> list_in(Connection& connection, std::string_view arn) override {
        return load_tags(connection, arn);
    }

    Result<TagList> add(std::string_view arn, const TagList& tags) override {
        return database_.write([&](Transaction& transaction) -> Result<TagList> {
            TRY(load(transaction, arn));
            TRY(store(transaction, arn, tags));
            auto all = TRY(load(transaction, arn));
            if (all.size() > kMaxTagsPerResource) {
                return Error{ErrorKind::LimitExceeded, "A resource may have at most 50 tags.", std::string(arn)};
            }
            return all;
        });
    }

    Result<TagList> list(std::string_view arn) override {
        return database_.read([&](Connection& connection) { return load(connection, arn); });
    }

    Result<void> remove(std::string_view arn, const std::vector<std::string>& keys) override {
        return database_.write([&](Transaction& transaction) -> Result<void> {
            TRY(load(transaction, arn));
            for (const auto& key : keys) {
                TRY(transaction.run("DELETE FROM resource_tag WHERE arn=? AND name=?", arn, key));
            }
            return {};
        });
    }

  private:
    Database& database_;
};

}  // namespace

Result<TagList> parse_tags(const Json& tags) {
    TagList list;
    std::set<std::string> seen;
    for (const auto& tag : tags.items()) {
        auto key = tag["Key"].string_or("");
        if (key.starts_with("aws:"))
            return invalid_input("aws: prefixed tag key names are not allowed for external use.");
        if (!seen.insert(key).second) return invalid_input("Duplicate tag key: " + key);
        list.emplace_back(std::move(key), tag["Value"].string_or(""));
    }
    if (list.size() > kMaxTagsPerResource) return invalid_input("A resource may have at most 50 tags.");
    return list;
}

Json tags_to_json(const TagList& tags) {
    auto list = Json::array();
    for (const auto& [key, value] : tags) list.push_back(Json::object({{"Key", key}, {"Value", value}}));
    return list;
}

Result<std::unique_ptr<Tags>> Tags::open(Database& database) {
    TRY(database.migrate("tags", kSchema));
    return std::unique_ptr<Tags>(std::make_unique<StoredTags>(database));
}

}  // namespace millwright::resources
