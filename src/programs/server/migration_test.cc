// Stores of earlier versions. testdata/store_of_the_first_schema.sql is the text of a metadata store (sqlite3 .dump,
// without what makes its table schema_version) that was written by the server before object versions, small objects and
// the indexes of lists: buckets, objects, an upload, two training jobs, a model, tags, users, roles, logs, metrics.
#include <unistd.h>

#include <map>

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/json.h"
#include "metadata_store/database.h"
#include "metadata_store/maintenance.h"
#include "object_store/object_store.h"
#include "resources/endpoints/endpoint_configs.h"
#include "resources/endpoints/endpoint_store.h"
#include "resources/identity/identity.h"
#include "resources/logs/logs.h"
#include "resources/metrics/metrics.h"
#include "resources/models/models.h"
#include "resources/tags/tags.h"
#include "resources/training_jobs/training_job_store.h"

namespace millwright::programs {
namespace {

using metadata_store::Connection;
using metadata_store::Database;
using metadata_store::Transaction;

constexpr const char* kAccount = "191887315147";
constexpr const char* kRegion = "us-west-2";

class MigrationTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "migration_test." + std::to_string(::getpid());
    const std::string path_ = folder_ + "/metadata.db";
    std::unique_ptr<Database> database_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<resources::Identity> identity_;
    std::unique_ptr<resources::Logs> logs_;
    std::unique_ptr<resources::Metrics> metrics_;
    std::unique_ptr<resources::Tags> tags_;
    std::unique_ptr<resources::TrainingJobStore> jobs_;
    std::unique_ptr<resources::Models> models_;
    std::unique_ptr<resources::EndpointConfigs> configs_;

    void SetUp() override {
        ASSERT_TRUE(remove_tree(folder_));
        ASSERT_TRUE(make_directories(folder_));
        const auto text = read_file(std::string(SERVER_TESTDATA) + "/store_of_the_first_schema.sql");
        ASSERT_TRUE(text);
        // Of the account that wrote it; the keys are no longer anybody's.
        ASSERT_TRUE(write_file(folder_ + "/credentials.json",
                               Json::object({{"AccountId", kAccount},
                                             {"Region", kRegion},
                                             {"AccessKeyId", "AKIAIOSFODNN7EXAMPLE"},
                                             {"SecretAccessKey", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}})
                                   .dump(),
                               0600));
        const auto database = Database::open(path_).value();
        const auto loaded = database->migrate("fixture", {{"the store of before", *text}});
        ASSERT_TRUE(loaded) << loaded.error().detail;
    }
    void TearDown() override {
        close();
        ASSERT_TRUE(remove_tree(folder_));
    }
    void close() {
        configs_.reset();
        models_.reset();
        jobs_.reset();
        tags_.reset();
        metrics_.reset();
        logs_.reset();
        identity_.reset();
        objects_.reset();
        database_.reset();
    }
    // As the server does.
    Result<void> open() {
        close();
        database_ = TRY(Database::open(path_));
        objects_ =
            TRY(object_store::ObjectStore::open(folder_ + "/objects", *database_, system_clock(), system_random()));
        identity_ =
            TRY(resources::Identity::open(folder_, *database_, system_clock(), system_random(), {.region = kRegion}));
        logs_ = TRY(resources::Logs::open(folder_ + "/logs", *database_, system_clock(), system_random()));
        metrics_ = TRY(resources::Metrics::open(*database_, system_clock()));
        tags_ = TRY(resources::Tags::open(*database_));
        jobs_ = TRY(resources::TrainingJobStore::open(*database_, *tags_, {}));
        models_ = TRY(resources::Models::open({*database_, *objects_, *identity_, *tags_, system_clock()}));
        configs_ = TRY(resources::EndpointConfigs::open({*database_, *models_, *tags_, system_clock()}));
        TRY(resources::EndpointStore::open(*database_, *tags_, system_clock()));
        return {};
    }
    static std::vector<std::string> texts(const std::vector<metadata_store::Row>& rows) {
        std::vector<std::string> found;
        for (const auto& row : rows) found.push_back(row.text(0));
        return found;
    }
    // Of each table, its rows as text, by the columns that `columns` has for it, or by all of them.
    using Columns = std::map<std::string, std::string>;
    std::map<std::string, std::vector<std::string>> contents(Columns& columns) {
        std::map<std::string, std::vector<std::string>> found;
        const auto database = Database::open(path_).value();
        const auto outcome = database->read([&](Connection& c) -> Result<void> {
            if (columns.empty()) {
                const auto tables =
                    TRY(c.query("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE "
                                "'sqlite_%' AND name<>'schema_version'"));
                for (const auto& table : texts(tables)) {
                    for (const auto& column : texts(TRY(c.query("SELECT name FROM pragma_table_info(?)", table))))
                        columns[table] += (columns[table].empty() ? "quote(" : "||','||quote(") + column + ")";
                }
            }
            for (const auto& [table, list] : columns) {
                const auto known = TRY(c.query("SELECT name FROM sqlite_master WHERE name=?", table));
                // Policies of roles were empty in the fixture, and are in other tables since.
                if (known.empty()) continue;
                found[table] = texts(TRY(c.query("SELECT " + list + " FROM " + table + " ORDER BY 1")));
            }
            return {};
        });
        EXPECT_TRUE(outcome) << outcome.error().detail;
        return found;
    }
};

TEST_F(MigrationTest, NoRowOfAnEarlierStoreChanges) {
    Columns columns;
    const auto before = contents(columns);
    size_t rows = 0;
    for (const auto& [table, lines] : before) rows += lines.size();
    ASSERT_GT(rows, 45u);
    for (int start = 0; start < 2; ++start) {
        const auto opened = open();
        ASSERT_TRUE(opened) << opened.error().message << opened.error().detail;
        close();
        const auto after = contents(columns);
        for (const auto& [table, lines] : before)
            EXPECT_EQ(after.contains(table) ? after.at(table) : std::vector<std::string>(), lines) << table;
    }
    EXPECT_TRUE(metadata_store::check_database(path_)->empty());
    std::printf("%zu rows of %zu tables, 0 changed\n", rows, before.size());
}

TEST_F(MigrationTest, AnEarlierStoreIsUsedOn) {
    // Small objects were files.
    ASSERT_TRUE(make_directories(folder_ + "/objects/0e"));
    ASSERT_TRUE(write_file(folder_ + "/objects/0e/0ecb41dea91755c24ead64841c4dd0be", "a small note\n"));
    ASSERT_TRUE(open());
    const auto object = objects_->get("archive", "notes/small.txt");
    ASSERT_TRUE(object) << object.error().detail;
    EXPECT_EQ(*object->read_all(), "a small note\n");
    EXPECT_EQ(object->info.metadata.at("owner"), "me");
    EXPECT_EQ(object->info.checksums.size(), 1u);
    EXPECT_EQ(objects_->list("archive", {})->objects.size(), 6u);
    ASSERT_TRUE(objects_->put("archive", "notes/small.txt", {}, object_store::source_of("changed")));
    EXPECT_EQ(*objects_->get("archive", "notes/small.txt")->read_all(), "changed");
    EXPECT_FALSE(file_exists(folder_ + "/objects/0e/0ecb41dea91755c24ead64841c4dd0be"));

    const auto job = jobs_->find(kAccount, kRegion, "first-job");
    ASSERT_TRUE(job);
    EXPECT_EQ(job->job.status, "Completed");
    EXPECT_EQ(job->job.transitions.size(), 5u);
    EXPECT_EQ(job->job.final_metrics.size(), 1u);
    resources::TrainingJobQuery query;
    query.name_contains = "second";
    while (!jobs_->names_are_read()) std::this_thread::yield();
    const auto page = jobs_->list(kAccount, kRegion, query, system_clock().now());
    ASSERT_TRUE(page);
    ASSERT_EQ(page->jobs.size(), 1u);
    EXPECT_EQ(page->jobs[0].name, "Second-Job");
    EXPECT_EQ(models_->list(kAccount, kRegion, {})->items.size(), 1u);
    EXPECT_EQ(configs_->list(kAccount, kRegion, {})->items.size(), 1u);
    EXPECT_EQ(tags_->list(job->job.arn)->size(), 1u);
    EXPECT_TRUE(logs_->find_stream({kAccount, kRegion, "/my/group", "one"}));
}

TEST_F(MigrationTest, NoListOfTrainingJobsScansATable) {
    ASSERT_TRUE(open());
    using resources::TrainingJobQuery;
    const auto now = std::optional(system_clock().now());
    for (int filters = 0; filters < 64; ++filters)
        for (const auto sort_by : {TrainingJobQuery::SortBy::Name, TrainingJobQuery::SortBy::CreationTime,
                                   TrainingJobQuery::SortBy::Status}) {
            TrainingJobQuery query;
            query.sort_by = sort_by;
            query.ascending = filters % 2 == 0;
            if (filters & 1) query.name_contains = "job";
            if (filters & 2) query.status_equals = "Failed";
            if (filters & 4) query.created_after = now;
            if (filters & 8) query.modified_before = now;
            if (filters & 16) query.modified_after = now;
            if (filters & 32) query.warm_pool_status_equals = "Available";
            const auto request = resources::training_job_list(kAccount, kRegion, query);
            auto statements = resources::probing_statements(resources::listed_training_jobs(), request);
            statements.push_back(*resources::walking_statement(resources::listed_training_jobs(), request));
            statements.push_back(*resources::picking_statement(resources::listed_training_jobs(), request, {1, 2}));
            for (const auto& statement : statements) {
                const auto plan = database_->read([&](Connection& c) {
                    return c.query_values("EXPLAIN QUERY PLAN " + statement.sql, statement.parameters);
                });
                ASSERT_TRUE(plan) << plan.error().detail;
                for (const auto& step : *plan)
                    EXPECT_TRUE(step.text(3).find("SCAN training_job") == std::string::npos &&
                                step.text(3).find("SCAN warm_pool") == std::string::npos)
                        << step.text(3) << "\n"
                        << statement.sql;
            }
        }
}

TEST_F(MigrationTest, AStoreOfALaterVersionIsRefusedInClearWords) {
    ASSERT_TRUE(open());
    const auto components = database_->read([](Connection& c) {
        return c.query("SELECT component FROM schema_version WHERE component NOT IN ('fixture', 'warm_pools')");
    });
    ASSERT_GT(components->size(), 8u);  // the warm pools come with the supervisor of jobs
    for (const auto& component : texts(*components)) {
        ASSERT_TRUE(open());
        const auto move = [&](int by) {
            return database_->write([&](Transaction& tx) {
                return tx.run("UPDATE schema_version SET version=version+? WHERE component=?", by, component);
            });
        };
        ASSERT_TRUE(move(1));
        const auto refused = open();
        ASSERT_FALSE(refused) << component;
        EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
        EXPECT_NE(refused.error().message.find("written by a newer Millwright"), std::string::npos);
        close();
        database_ = Database::open(path_).value();
        ASSERT_TRUE(move(-1));
    }
}

}  // namespace
}  // namespace millwright::programs
