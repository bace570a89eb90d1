// How the stores behave as they grow: store_bench FOLDER JOBS [--keep]. Prints one line "name value unit" each.
//
// Makes a store in FOLDER with JOBS training jobs, and times what is asked of it; then
// objects of 1 KiB, 17 KiB and 16 MiB. Latencies are medians, and p99 where it says so.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "object_store/object_store.h"
#include "resources/training_jobs/training_job_store.h"

namespace millwright::resources {
namespace {

using metadata_store::Database;
using metadata_store::Transaction;
using std::chrono::steady_clock;

constexpr const char* kAccount = "123456789012";
constexpr const char* kRegion = "us-west-2";
constexpr int64_t kEpoch = 1'700'000'000'000;

double seconds_since(steady_clock::time_point start) {
    return std::chrono::duration<double>(steady_clock::now() - start).count();
}

void print(const std::string& name, double value, const char* unit) {
    std::printf("%-34s %12.3f %s\n", name.c_str(), value, unit);
    std::fflush(stdout);
}

// Milliseconds of each call, sorted.
std::vector<double> time_calls(size_t count, const std::function<bool(size_t)>& call) {
    std::vector<double> times;
    for (size_t i = 0; i < count; ++i) {
        const auto start = steady_clock::now();
        CHECK(call(i));
        times.push_back(seconds_since(start) * 1e3);
    }
    std::sort(times.begin(), times.end());
    return times;
}
double at(const std::vector<double>& sorted, double share) {
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

std::string job_name(size_t number) {
    static const char* const kKinds[] = {"sagemaker-xgboost", "pytorch-training", "tuning", "pca", "my-experiment"};
    const size_t minute = number % (60 * 24), day = number / (60 * 24) % 28 + 1;
    char text[80];
    std::snprintf(text, sizeof text, "%s-2026-11-%02zu-%02zu-%02zu-%zx", kKinds[number * 2654435761u % 5], day,
                  minute / 60, minute % 60, number);
    return text;
}

TrainingJob make_job(size_t number) {
    TrainingJob job;
    job.account = kAccount;
    job.region = kRegion;
    job.name = job_name(number);
    job.arn = training_job_arn(kAccount, kRegion, job.name);
    job.created = from_epoch_milliseconds(kEpoch + static_cast<int64_t>(number) * 10);
    job.request =
        Json::object({{"TrainingJobName", job.name},
                      {"RoleArn", "arn:aws:iam::123456789012:role/SageMakerRole"},
                      {"HyperParameters", Json::object({{"num_round", "100"}, {"max_depth", "6"}})},
                      {"ResourceConfig",
                       Json::object({{"InstanceType", "ml.m5.xlarge"}, {"InstanceCount", 1}, {"VolumeSizeInGB", 10}})},
                      {"StoppingCondition", Json::object({{"MaxRuntimeInSeconds", 86400}})},
                      {"Padding", std::string(900, 'p')}});
    return job;
}

struct Stores {
    std::unique_ptr<Database> database;
    std::unique_ptr<Tags> tags;
    std::unique_ptr<TrainingJobStore> jobs;
};
Stores open_stores(const std::string& folder) {
    Stores stores;
    constexpr uint64_t kLog = uint64_t{16} << 20;
    stores.database = Database::open(folder + "/metadata.db", {.reserve_bytes = kLog, .log_bytes = kLog}).value();
    stores.tags = Tags::open(*stores.database).value();
    stores.jobs = TrainingJobStore::open(*stores.database, *stores.tags, {}).value();
    // The table of another part that lists look into.
    CHECK(stores.database->write([](Transaction& tx) {
        return tx.run(
            "CREATE TABLE IF NOT EXISTS warm_pool(job INTEGER PRIMARY KEY, pool_status TEXT, pool_since INTEGER,"
            " pool_retained INTEGER, pool_reused_by TEXT)");
    }));
    return stores;
}

void insert_jobs(Stores& stores, size_t first, size_t last, size_t writers) {
    std::atomic<size_t> next{first};
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < writers; ++i)
        threads.emplace_back([&] {
            for (size_t number = next++; number < last; number = next++)
                CHECK(stores.jobs->insert(make_job(number), "arn:aws:iam::123456789012:user/me", "Starting", {}));
        });
}

// The store's own code writes the first thousand; the others are made of these by SQL, which is quicker.
void fill(const std::string& folder, size_t jobs) {
    auto stores = open_stores(folder);
    constexpr size_t kOwn = 1000, kBatch = 20'000;
    const auto start = steady_clock::now();
    insert_jobs(stores, 0, std::min(jobs, kOwn), 64);
    print("insert, 64 writers", static_cast<double>(std::min(jobs, kOwn)) / seconds_since(start), "jobs/s");
    for (size_t first = kOwn; first < jobs; first += kBatch) {
        const size_t last = std::min(jobs, first + kBatch);
        CHECK(stores.database->write([&](Transaction& tx) -> Result<void> {
            for (size_t number = first; number < last; ++number) {
                const auto name = job_name(number);
                TRY(
                    tx.run("INSERT INTO training_job(account, region, name, name_key, owner, phase, status, "
                           "secondary_status, created, modified, request) SELECT account, region, ?, ?, owner, phase, "
                           "status, secondary_status, ?, ?, request FROM training_job WHERE id=1",
                           name, name, kEpoch + static_cast<int64_t>(number) * 10,
                           kEpoch + static_cast<int64_t>(number) * 10));
            }
            return {};
        }));
    }
    for (size_t id = 0; id <= jobs; id += kBatch) {
        CHECK(stores.database->write([&](Transaction& tx) {
            return tx.run(
                "UPDATE training_job SET phase=5, status=CASE WHEN id%12=0 THEN 'Failed' WHEN id%5000=1 THEN"
                " 'Stopped' ELSE 'Completed' END, modified=created+60000 WHERE id>? AND id<=?",
                static_cast<int64_t>(id), static_cast<int64_t>(id + kBatch));
        }));
    }
}

void time_commits(const std::string& folder, size_t jobs) {
    auto stores = open_stores(folder);
    const auto alone = time_calls(
        1000, [&](size_t i) { return stores.jobs->insert(make_job(jobs + i), "me", "Starting", {}).has_value(); });
    print("create, 1 writer, p50", at(alone, 0.5), "ms");
    print("create, 1 writer, p99", at(alone, 0.99), "ms");
    std::vector<double> together;
    Mutex mutex;
    const auto start = steady_clock::now();
    {
        std::vector<std::jthread> threads;
        for (size_t writer = 0; writer < 32; ++writer)
            threads.emplace_back([&, writer] {
                const auto times = time_calls(200, [&](size_t i) {
                    return stores.jobs->insert(make_job(jobs + 1000 + writer * 200 + i), "me", "Starting", {})
                        .has_value();
                });
                const MutexLock lock(mutex);
                together.insert(together.end(), times.begin(), times.end());
            });
    }
    std::sort(together.begin(), together.end());
    print("create, 32 writers", 6400 / seconds_since(start), "jobs/s");
    print("create, 32 writers, p50", at(together, 0.5), "ms");
    print("create, 32 writers, p99", at(together, 0.99), "ms");
}

void time_lists(Stores& stores, size_t jobs) {
    using SortBy = TrainingJobQuery::SortBy;
    const auto list = [&](const std::string& name, const TrainingJobQuery& query) {
        size_t found = 0;
        const auto times = time_calls(50, [&](size_t) {
            const auto page = stores.jobs->list(kAccount, kRegion, query, system_clock().now());
            found = page ? page->jobs.size() : 0;
            return page.has_value();
        });
        print("list " + name + " (" + std::to_string(found) + ")", at(times, 0.5), "ms");
    };
    const auto ms = [](size_t number) {
        return std::optional(from_epoch_milliseconds(kEpoch + static_cast<int64_t>(number) * 10));
    };
    list("newest", {});
    list("by name", {.sort_by = SortBy::Name, .ascending = true});
    list("by status", {.sort_by = SortBy::Status});
    list("Failed, by name", {.status_equals = "Failed", .sort_by = SortBy::Name});
    list("Stopped", {.status_equals = "Stopped"});
    list("InProgress, by name", {.status_equals = "InProgress", .sort_by = SortBy::Name});
    list("created in the middle, by name",
         {.created_after = ms(jobs / 2), .created_before = ms(jobs / 2 + 500), .sort_by = SortBy::Name});
    list("created in the middle", {.created_before = ms(jobs / 2)});
    list("modified just now", {.modified_after = ms(jobs * 2 + 1'000'000)});
    list("modified before", {.modified_before = ms(jobs / 2 + 6000)});
    list("name xgboost", {.name_contains = "xgboost"});
    list("name of one", {.name_contains = job_name(jobs / 3).substr(5)});
    list("name of a minute", {.name_contains = "-11-17-23-59-"});
    list("name of none", {.name_contains = "nowhere"});
    list("name zq", {.name_contains = "zq"});
    list("name pca, Failed, by name", {.name_contains = "pca", .status_equals = "Failed", .sort_by = SortBy::Name});
    TrainingJobQuery deep{.sort_by = SortBy::CreationTime, .ascending = true};
    deep.after = Json::array({kEpoch + static_cast<int64_t>(jobs) * 9, static_cast<int64_t>(jobs)}).dump();
    list("far page", deep);
}

void time_reads(const std::string& folder, size_t jobs) {
    const auto start = steady_clock::now();
    auto stores = open_stores(folder);
    CHECK(stores.jobs->unfinished());
    print("open", seconds_since(start), "s");
    TrainingJobQuery none;
    none.name_contains = "nowhere";
    CHECK(stores.jobs->list(kAccount, kRegion, none, system_clock().now()));
    while (!stores.jobs->names_are_read()) std::this_thread::yield();
    print("names are read", seconds_since(start), "s");
    for (int round = 0; round < 2; ++round) {
        const auto describe = time_calls(2000, [&](size_t i) {
            return stores.jobs->find(kAccount, kRegion, job_name(i * 7919 % jobs)).has_value();
        });
        print(round == 0 ? "describe, cold" : "describe", at(describe, 0.5), "ms");
    }
    time_lists(stores, jobs);
}

void time_objects(const std::string& folder) {
    auto database = Database::open(folder + "/objects.db", {.log_bytes = uint64_t{16} << 20}).value();
    auto store =
        object_store::ObjectStore::open(folder + "/objects", *database, system_clock(), system_random()).value();
    CHECK(store->create_bucket(kAccount, kRegion, "bucket"));
    const auto put = [&](const std::string& key, const std::string& bytes) {
        object_store::PutOptions options;
        options.length = bytes.size();
        return store->put("bucket", key, options, object_store::source_of(bytes)).has_value();
    };
    for (const size_t kib : {size_t{1}, size_t{17}}) {
        const std::string bytes(kib << 10, 'k');
        const std::string name = "put " + std::to_string(kib) + " KiB, ";
        const auto alone = time_calls(500, [&](size_t i) { return put("a" + std::to_string(i), bytes); });
        print(name + "1 client, p50", at(alone, 0.5), "ms");
        const auto start = steady_clock::now();
        {
            std::vector<std::jthread> threads;
            for (int client = 0; client < 32; ++client)
                threads.emplace_back([&, client] {
                    for (int i = 0; i < 100; ++i)
                        CHECK(put("b" + std::to_string(client) + "-" + std::to_string(i), bytes));
                });
        }
        print(name + "32 clients", 3200 / seconds_since(start), "puts/s");
    }
    const std::string large(size_t{16} << 20, 'l');
    const auto puts = time_calls(15, [&](size_t) { return put("large", large); });
    print("put 16 MiB, p50", at(puts, 0.5), "ms");
    const auto gets = time_calls(15, [&](size_t) {
        const auto object = store->get("bucket", "large");
        return object && object->read_all().has_value();
    });
    print("get 16 MiB, p50", at(gets, 0.5), "ms");
    const auto small = time_calls(2000, [&](size_t i) {
        const auto object = store->get("bucket", "a" + std::to_string(i % 500));
        return object && object->read_all().has_value();
    });
    print("get 17 KiB, p50", at(small, 0.5), "ms");
}

}  // namespace
}  // namespace millwright::resources

int main(int argc, char** argv) {
    using namespace millwright;
    if (argc < 3) {
        std::fprintf(stderr, "store_bench FOLDER JOBS [--keep]\n");
        return 2;
    }
    log::set_level(log::Level::Warning);
    const std::string folder = argv[1];
    const size_t jobs = std::stoul(argv[2]);
    CHECK(make_directories(folder));
    if (!file_exists(folder + "/metadata.db")) resources::fill(folder, jobs);
    resources::time_reads(folder, jobs);
    resources::time_commits(folder, jobs);
    resources::time_objects(folder);
    if (argc < 4) CHECK(remove_tree(folder));
    return 0;
}
