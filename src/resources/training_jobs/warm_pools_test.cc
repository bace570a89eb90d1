#include "resources/training_jobs/warm_pools.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "resources/training_jobs/training_jobs_fixture.h"
#include "resources/training_jobs/warm_start.h"

namespace millwright::resources {
namespace {

using metadata_store::Transaction;
using std::chrono::seconds;

// Jobs of built-in algorithms: pools without an interpreter.
class WarmPoolJobsTest : public TrainingJobsTest {
  protected:
    Json pooled(const std::string& name, int64_t keep_alive = 600) {
        auto document = request(name);
        auto resources = document["ResourceConfig"];
        resources.set("KeepAlivePeriodInSeconds", keep_alive);
        document.set("ResourceConfig", resources);
        return document;
    }
    // From its creation to its end.
    executors::RunSpec run(const Json& document, const RunOutcome& outcome = exited_well()) {
        const auto nth = executor_.starts();
        take(create(document));
        auto spec = executor_.wait_for_start(nth);
        executor_.end(spec.id, outcome);
        wait_for_end(document["TrainingJobName"].string_or(""));
        return spec;
    }
    std::string pool(const std::string& name) {
        const auto status = describe(name).warm_pool;
        return status ? status->status : "none";
    }
    void await_pool(const std::string& name, const std::string& status) {
        EXPECT_TRUE(soon([&] { return pool(name) == status; })) << pool(name);
    }
    Result<std::string> update(const std::string& name, int64_t keep_alive) {
        return jobs_->set_keep_alive(account(), kRegion, name, seconds(keep_alive));
    }
};

TEST_F(WarmPoolJobsTest, AJobWithoutAPeriodHasNoPool) {
    run(request("plain"));
    EXPECT_EQ(pool("plain"), "none");
}

TEST_F(WarmPoolJobsTest, InstancesStayAfterTheEndAndGoToTheNextMatchingJob) {
    take(create(pooled("first")));
    EXPECT_EQ(pool("first"), "InUse");
    executor_.end(executor_.wait_for_start(0).id, exited_well());
    wait_for_end("first");
    ASSERT_EQ(pool("first"), "Available");
    clock_.jump(10'000);
    EXPECT_GE(describe("first").warm_pool->retained_seconds, 10);
    run(pooled("second", 0));
    const auto status = describe("first").warm_pool;
    EXPECT_EQ(status->status, "Reused");
    EXPECT_EQ(status->reused_by, "second");
    EXPECT_GE(status->retained_seconds, 10);
    const auto retained = status->retained_seconds;
    clock_.jump(10'000);
    EXPECT_EQ(describe("first").warm_pool->retained_seconds, retained);
    EXPECT_EQ(pool("second"), "none");
}

TEST_F(WarmPoolJobsTest, OtherInstancesRolesAndIsolationDoNotMatch) {
    const auto first = pooled("first");
    run(first);
    TrainingJob job{.account = "1", .region = "r", .request = first};
    const auto match = warm_pool_match(job);
    const auto with = [&](const std::string& member, const Json& value) {
        job.request = first;
        job.request.set(member, value);
        return warm_pool_match(job);
    };
    EXPECT_EQ(with("HyperParameters", Json::object({{"a", "b"}})), match);
    EXPECT_EQ(with("AlgorithmSpecification", Json::object()), match);
    EXPECT_NE(with("RoleArn", "other"), match);
    EXPECT_NE(with("EnableNetworkIsolation", true), match);
    EXPECT_NE(with("EnableInterContainerTrafficEncryption", true), match);
    EXPECT_NE(with("VpcConfig", take(Json::parse(R"({"Subnets":["s"],"SecurityGroupIds":["g"]})"))), match);
    for (const auto* other : {R"({"InstanceCount":2,"InstanceType":"ml.m5.xlarge","VolumeSizeInGB":5})",
                              R"({"InstanceCount":1,"InstanceType":"ml.m5.large","VolumeSizeInGB":5})",
                              R"({"InstanceCount":1,"InstanceType":"ml.m5.xlarge","VolumeSizeInGB":6})"})
        EXPECT_NE(with("ResourceConfig", take(Json::parse(other))), match) << other;
    job = {.account = "2", .region = "r", .request = first};
    EXPECT_NE(warm_pool_match(job), match);
    auto isolated = pooled("second", 0);
    isolated.set("EnableNetworkIsolation", true);
    isolated.set("ResourceConfig", take(Json::parse(R"({"InstanceCount":1,"InstanceType":"ml.t3.medium"})")));
    run(isolated);
    EXPECT_NE(pool("first"), "Reused");
}

TEST_F(WarmPoolJobsTest, TheCacheGoesFromRunToRun) {
    take(create(pooled("first")));
    auto spec = executor_.wait_for_start(0);
    const auto cache = [](const executors::RunSpec& run) { return run.folder + "/algo-1/warmpoolcache"; };
    ASSERT_TRUE(write_file(cache(spec) + "/compiled", "expensive"));
    const auto shown = std::find_if(spec.mounts.begin(), spec.mounts.end(), [](const executors::Mount& mount) {
        return mount.target == "/opt/ml/sagemaker/warmpoolcache";
    });
    ASSERT_NE(shown, spec.mounts.end());
    EXPECT_EQ(shown->source, spec.folder + "/{host}/warmpoolcache");
    EXPECT_EQ(shown->mode, executors::Mount::Mode::Writable);
    executor_.end(spec.id, exited_well());
    wait_for_end("first");
    EXPECT_TRUE(folder_is_gone(spec));
    take(create(request("second")));
    spec = executor_.wait_for_start(1);
    EXPECT_EQ(read_file(cache(spec) + "/compiled").value_or(""), "expensive");
    executor_.end(spec.id, exited_well());
}

TEST_F(WarmPoolJobsTest, ThePoolEndsWithItsPeriod) {
    run(pooled("first", 1));
    await_pool("first", "Terminated");
    EXPECT_EQ(describe("first").warm_pool->retained_seconds, 1);
    run(request("second"));
    EXPECT_EQ(pool("first"), "Terminated");
    EXPECT_TRUE(soon([&] { return std::filesystem::is_empty(settings_.folder); }));
}

TEST_F(WarmPoolJobsTest, AnUpdateReleasesShortensOrExtends) {
    take(create(pooled("first", 60)));
    EXPECT_TRUE(update("first", 3600));
    executor_.end(executor_.wait_for_start(0).id, exited_well());
    wait_for_end("first");
    clock_.jump(100'000);
    EXPECT_EQ(pool("first"), "Available");
    EXPECT_TRUE(update("first", 7200));
    EXPECT_EQ(pool("first"), "Available");
    EXPECT_TRUE(update("first", 0));
    await_pool("first", "Terminated");
    EXPECT_GE(describe("first").warm_pool->retained_seconds, 100);
    const auto late = update("first", 60);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, ErrorKind::Conflict);
    EXPECT_EQ(update("nobody", 60).error().kind, ErrorKind::NotFound);
}

TEST_F(WarmPoolJobsTest, ARunningJobCanBeGivenAPoolAndTakenIt) {
    take(create(request("given")));
    EXPECT_TRUE(update("given", 60));
    EXPECT_EQ(pool("given"), "InUse");
    executor_.end(executor_.wait_for_start(0).id, exited_well());
    wait_for_end("given");
    EXPECT_EQ(pool("given"), "Available");
    auto small = pooled("taken", 60);
    small.set("ResourceConfig",
              take(Json::parse(R"({"InstanceCount":1,"InstanceType":"ml.t3.medium","KeepAlivePeriodInSeconds":60})")));
    take(create(small));
    const auto spec = executor_.wait_for_start(1);
    EXPECT_TRUE(update("taken", 0));
    executor_.end(spec.id, exited_well());
    wait_for_end("taken");
    EXPECT_EQ(pool("taken"), "Terminated");
    EXPECT_EQ(describe("taken").warm_pool->retained_seconds, 0);
}

TEST_F(WarmPoolJobsTest, AFailedScriptLeavesItsInstancesButALostMachineDoesNot) {
    run(pooled("failed"), executors::exited(1, 1));
    EXPECT_EQ(pool("failed"), "Available");
    EXPECT_TRUE(update("failed", 0));
    auto lost = exited_well();
    lost.hosts.clear();
    lost.cause = RunOutcome::Cause::LaunchFailed;
    run(pooled("lost"), lost);
    EXPECT_EQ(pool("lost"), "Terminated");
}

TEST_F(WarmPoolJobsTest, APoolYieldsToAJobThatNeedsTheRoom) {
    run(pooled("pool"));  // all four processors
    auto other = request("other");
    other.set("ResourceConfig", take(Json::parse(R"({"InstanceCount":1,"InstanceType":"ml.m5.large"})")));
    run(other);
    await_pool("pool", "Terminated");
}

TEST_F(WarmPoolJobsTest, PoolsAndTheirTimesSurviveARestart) {
    run(pooled("first", 600));
    run(request("unrelated"));
    ASSERT_EQ(pool("first"), "Reused");
    run(pooled("second", 600));
    ASSERT_EQ(pool("second"), "Available");
    reopen();
    EXPECT_EQ(pool("second"), "Available");
    run(request("third"));
    EXPECT_EQ(pool("second"), "Reused");
    run(pooled("fourth", 600));
    clock_.jump(700'000);  // nobody is there when its time is over
    reopen();
    await_pool("fourth", "Terminated");
    EXPECT_EQ(describe("fourth").warm_pool->retained_seconds, 600);
}

TEST_F(WarmPoolJobsTest, ListsShowAndFilterPools) {
    run(pooled("pool"));
    const auto listed = [&](const std::string& status) {
        TrainingJobQuery query;
        query.warm_pool_status_equals = status;
        return take(jobs_->list(account(), kRegion, query)).jobs;
    };
    ASSERT_EQ(listed("Available").size(), 1u);
    EXPECT_EQ(listed("Available")[0].warm_pool->status, "Available");
    EXPECT_TRUE(listed("Reused").empty());
    run(request("next"));
    ASSERT_EQ(listed("Reused").size(), 1u);
    EXPECT_EQ(listed("Reused")[0].warm_pool->reused_by, "next");
    EXPECT_EQ(listed("").size(), 2u);
}

TEST_F(WarmPoolJobsTest, DeletingAJobReleasesItsPool) {
    run(pooled("pool"));
    ASSERT_TRUE(jobs_->remove(account(), kRegion, "pool"));
    EXPECT_TRUE(soon([&] { return std::filesystem::is_empty(settings_.folder); }));
    run(request("next"));
}

// The pools alone, with spares.
class WarmSparesTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "warmXXXXXX";
        root_ = mkdtemp(pattern.data());
        database_ = take(metadata_store::Database::open(root_ + "/db"));
        ASSERT_TRUE(database_->migrate("test", {{"test 1",
                                                 "CREATE TABLE training_job(id INTEGER, status TEXT);"
                                                 "INSERT INTO training_job VALUES(1, 'InProgress'),"
                                                 "(2, 'InProgress'), (3, 'InProgress');"}}));
        open();
    }
    void TearDown() override {
        close();
        EXPECT_TRUE(remove_tree(root_));
    }
    template <typename T>
    static T take(Result<T> result) {
        EXPECT_TRUE(result) << result.error().message << result.error().detail;
        return std::move(result).value();
    }
    void open() {
        supervisor_ = jobs::Supervisor::start({.machine = {.cpus = 4, .memory_bytes = 1000}, .workers = 2}, executor_);
        pools_ = take(WarmPools::open(root_ + "/jobs", {*database_, executor_, *supervisor_, clock_, system_random()}));
    }
    void close() {
        pools_->shut_down();
        supervisor_->shut_down();
        pools_.reset();
    }
    // A pool of job 1 with a spare for environment "env"; the spare's run id.
    std::string make_pool(int64_t job = 1) {
        EXPECT_TRUE(pools_->begin(job, seconds(600)));
        EXPECT_TRUE(take(pools_->keep(job, {.match = "m", .image = "i", .demand = {2, 1}, .hosts = 1, .folder = ""})));
        executors::RunSpec spec;
        spec.command = {"/env/bin/python"};
        pools_->stand_ready(job, {spec, "env"});
        return executor_.spares().back().id;
    }
    template <typename Reached>
    static bool soon(const Reached& reached) {
        for (int i = 0; i < 15'000 && !reached(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        return reached();
    }
    bool is_gone(const std::string& run_id) {
        return soon([&] { return !executor_.is_spare(run_id) && !file_exists(root_ + "/jobs/" + run_id); });
    }

    std::string root_;
    TestClock clock_;
    FakeExecutor executor_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<jobs::Supervisor> supervisor_;
    std::unique_ptr<WarmPools> pools_;
};

TEST_F(WarmSparesTest, AMatchingJobRunsOnTheSpare) {
    const auto spare = make_pool();
    EXPECT_EQ(pools_->run_ids(), std::set<std::string>{spare});
    EXPECT_EQ(pools_->claim("other", "i", 2, "two"), "");
    EXPECT_EQ(pools_->claim("m", "i", 2, "two"), "warm-pool/1");
    EXPECT_EQ(pools_->claim("m", "i", 3, "three"), "");
    const auto taken = pools_->take(2, "env", "fresh");
    EXPECT_EQ(taken.run_id, spare);
    EXPECT_TRUE(taken.ready);
    EXPECT_TRUE(taken.reused);
    EXPECT_TRUE(executor_.is_spare(spare));
    EXPECT_TRUE(pools_->run_ids().empty());
    pools_->give_up(2);  // its preparation failed
    EXPECT_TRUE(is_gone(spare));
}

TEST_F(WarmSparesTest, AJobOfAnotherEnvironmentGetsFreshRunsAndTheSpareEnds) {
    const auto spare = make_pool();
    ASSERT_EQ(pools_->claim("m", "j", 2, "two"), "warm-pool/1");
    const auto taken = pools_->take(2, "other env", "fresh");
    EXPECT_EQ(taken.run_id, "fresh");
    EXPECT_FALSE(taken.ready);
    EXPECT_TRUE(taken.reused);
    EXPECT_TRUE(is_gone(spare));
}

TEST_F(WarmSparesTest, OfSeveralPoolsTheOneOfTheSameImageIsTaken) {
    make_pool(1);
    EXPECT_TRUE(pools_->begin(2, seconds(600)));
    EXPECT_TRUE(take(pools_->keep(2, {.match = "m", .image = "later", .demand = {1, 1}, .hosts = 1, .folder = ""})));
    EXPECT_EQ(pools_->claim("m", "i", 3, "three"), "warm-pool/1");
}

TEST_F(WarmSparesTest, ASpareThatDiesLeavesThePoolWithout) {
    const auto spare = make_pool();
    ASSERT_TRUE(executor_.kill(spare));
    ASSERT_EQ(pools_->claim("m", "i", 2, "two"), "warm-pool/1");
    EXPECT_FALSE(pools_->take(2, "env", "fresh").ready);
    EXPECT_TRUE(is_gone(spare));
}

TEST_F(WarmSparesTest, AClaimThatIsNotUsedEndsTheSpare) {
    const auto spare = make_pool();
    ASSERT_EQ(pools_->claim("m", "i", 2, "two"), "warm-pool/1");
    pools_->give_up(2);
    EXPECT_TRUE(is_gone(spare));
    EXPECT_EQ(take(pools_->status(1))->status, "Reused");
}

TEST_F(WarmSparesTest, ThePreparationAfterAFailedOneDoesNotUseTheSameSpare) {
    const auto spare = make_pool();
    ASSERT_EQ(pools_->claim("m", "i", 2, "two"), "warm-pool/1");
    ASSERT_TRUE(pools_->take(2, "env", "fresh").ready);
    const auto again = pools_->take(2, "env", "fresh 2");
    EXPECT_EQ(again.run_id, "fresh 2");
    EXPECT_FALSE(again.ready);
    EXPECT_TRUE(is_gone(spare));
}

TEST_F(WarmSparesTest, TheNextServerGoesOnWithTheSpare) {
    const auto spare = make_pool();
    close();
    open();
    EXPECT_EQ(pools_->run_ids(), std::set<std::string>{spare});
    ASSERT_EQ(pools_->claim("m", "i", 2, "two"), "warm-pool/1");
    EXPECT_TRUE(pools_->take(2, "env", "fresh").ready);
    pools_->give_up(2);
}

TEST_F(WarmSparesTest, ReleasingEndsTheSpare) {
    const auto spare = make_pool();
    ASSERT_TRUE(pools_->set_keep_alive(1, seconds(0)));
    EXPECT_TRUE(is_gone(spare));
    EXPECT_EQ(take(pools_->status(1))->status, "Terminated");
}

TEST_F(WarmSparesTest, TheShareOfAPoolIsFreeAgainInTheEnd) {
    make_pool(1);
    make_pool(2);
    EXPECT_EQ(take(pools_->status(1))->status, "Available");
    make_pool(3);  // there is no room for a third
    EXPECT_TRUE(soon([&] { return take(pools_->status(3))->status == "Terminated"; }));
    ASSERT_TRUE(pools_->forget(1));
    EXPECT_FALSE(take(pools_->status(1)).has_value());
}

TEST(ImportedModules, AreFoundByNameInPythonFiles) {
    std::string pattern = ::testing::TempDir() + "modulesXXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    ASSERT_TRUE(make_directories(folder + "/package"));
    ASSERT_TRUE(write_file(folder + "/train.py",
                           "import torch, numpy as np\nfrom torch.utils.data import DataLoader\n  import json;x=1\n"
                           "from . import here\nfrom .near import x\nimport os # comment\nimport $bad\n"
                           "important = 1\nfrom a.b import (\n  c)\n"));
    ASSERT_TRUE(write_file(folder + "/package/x.py", "import pandas\r\n"));
    ASSERT_TRUE(write_file(folder + "/notes.txt", "import nothing\n"));
    EXPECT_EQ(imported_modules(folder), (Strings{"a.b", "json", "numpy", "os", "pandas", "torch", "torch.utils.data"}));
    EXPECT_TRUE(imported_modules(folder + "/nowhere").empty());
    EXPECT_TRUE(remove_tree(folder));
}

}  // namespace
}  // namespace millwright::resources
