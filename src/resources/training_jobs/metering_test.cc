// What jobs are metered as, and the quotas that they count for.
#include "base/strings.h"
#include "resources/cost/ledger.h"
#include "resources/training_jobs/training_history.h"
#include "resources/training_jobs/training_jobs_fixture.h"
#include "resources/training_jobs/training_quotas.h"

namespace millwright::resources {
namespace {

class MeteringTest : public TrainingJobsTest {
  protected:
    std::vector<LedgerEntry> ledger() {
        return take(database_->read([](metadata_store::Connection& c) { return read_ledger(c, {}); }));
    }
    void reopen_with(const TrainingQuotas& quotas) {
        settings_.quotas = quotas;
        reopen();
    }
    Json request_of(const std::string& name, const std::string& type, int instances, bool spot = false) {
        auto document = request(name);
        document.set("ResourceConfig", Json::object({{"InstanceType", type}, {"InstanceCount", instances}}));
        if (spot) {
            document.set("EnableManagedSpotTraining", true);
            document.set("StoppingCondition",
                         Json::object({{"MaxRuntimeInSeconds", 3600}, {"MaxWaitTimeInSeconds", 3600}}));
        }
        return document;
    }
    // The refusal, or "".
    std::string refusal(const Json& document) {
        const auto created = create(document);
        if (created) return "";
        EXPECT_EQ(created.error().kind, ErrorKind::LimitExceeded);
        return created.error().message;
    }
    void finish(size_t nth, const std::string& name) {
        const auto spec = executor_.wait_for_start(nth);
        executor_.end(spec.id, executors::exited(spec.hosts, 0));
        wait_for_end(name);
    }
};

TEST_F(MeteringTest, AJobThatRanIsInTheLedgerWithItsTagsAlsoWhenItIsDeleted) {
    auto document = request_of("job-1", "ml.m5.xlarge", 2);
    document.set("Tags", take(Json::parse(R"([{"Key": "team", "Value": "vision"}])")));
    take(create(document));
    EXPECT_TRUE(ledger().empty()) << "nothing is metered before the end";
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    executor_.end(spec.id, executors::exited(2, 0, std::chrono::milliseconds(1500)));
    const auto job = wait_for_end("job-1");
    ASSERT_TRUE(jobs_->remove(account(), kRegion, "job-1"));
    const auto entries = ledger();
    ASSERT_EQ(entries.size(), 1u);
    const auto& entry = entries.front();
    EXPECT_EQ(entry.name, "job-1");
    EXPECT_EQ(entry.owner, "arn:caller");
    ASSERT_EQ(entry.groups.size(), 1u);
    EXPECT_EQ(entry.groups[0].instance_type, "ml.m5.xlarge");
    EXPECT_EQ(entry.groups[0].instances, 2);
    EXPECT_EQ(entry.training_seconds, job.training_seconds);
    EXPECT_EQ(entry.billable_seconds, job.billable_seconds);
    EXPECT_EQ(entry.tags, (TagList{{"team", "vision"}}));
    EXPECT_FALSE(entry.spot);
}
TEST_F(MeteringTest, AJobThatNeverRanCostsNothing) {
    executor_.fail_next_start(internal_error("no"));
    take(create(request("job-1")));
    wait_for_end("job-1");
    EXPECT_TRUE(ledger().empty());
}
TEST_F(MeteringTest, AJobIsMeteredOnceOverACrash) {
    take(create(request("job-1")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("job-1", "Training");
    close();
    executor_.end(spec.id, exited_well());
    open();
    wait_for_end("job-1");
    reopen();
    EXPECT_EQ(ledger().size(), 1u);
}

TEST_F(MeteringTest, JobsOfAMillwrightWithoutALedgerAreMeteredLater) {
    take(create(request("job-1")));
    auto spec = executor_.wait_for_start(0);
    executor_.end(spec.id, exited_well());
    wait_for_end("job-1");
    const auto before = ledger();
    ASSERT_TRUE(database_->write([](metadata_store::Transaction& transaction) -> Result<void> {
        for (const char* table : {"ledger_entry", "ledger_group", "ledger_tag"})
            TRY(transaction.run(std::string("DELETE FROM ") + table));
        return {};
    }));
    reopen();
    const auto after = ledger();
    ASSERT_EQ(after.size(), 1u);
    EXPECT_EQ(after[0].job, before[0].job);
    EXPECT_EQ(after[0].ended, before[0].ended);
    EXPECT_EQ(after[0].training_seconds, before[0].training_seconds);
}

TEST_F(MeteringTest, OverTheQuotaOfAnInstanceTypeAwsTextIsAnswered) {
    reopen_with(
        {.instances = {{"ml.m5.xlarge for training job usage", 2}, {"ml.p3.2xlarge for training job usage", 0}}});
    EXPECT_EQ(refusal(request_of("job-1", "ml.m5.xlarge", 1)), "");
    EXPECT_EQ(refusal(request_of("job-2", "ml.m5.xlarge", 2)),
              "The account-level service limit 'ml.m5.xlarge for training job usage' is 2 Instances, with current "
              "utilization of 1 Instances and a request delta of 2 Instances. Please use AWS Service Quotas to request "
              "an increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an "
              "increase for this quota.");
    EXPECT_FALSE(jobs_->describe(account(), kRegion, "job-2")) << "a refused job leaves nothing";
    EXPECT_NE(refusal(request_of("job-3", "ml.p3.2xlarge", 1)), "");
    EXPECT_EQ(refusal(request_of("job-4", "ml.c5.xlarge", 1)), "") << "no quota, no limit";
    EXPECT_EQ(refusal(request_of("job-5", "ml.m5.xlarge", 2, true)), "") << "spot counts apart";
    EXPECT_EQ(refusal(request_of("job-6", "ml.m5.xlarge", 1)), "");
    EXPECT_NE(refusal(request_of("job-7", "ml.m5.xlarge", 1)), "");
}
TEST_F(MeteringTest, APlaceIsFreeWhenItsJobHasEndedAlsoAfterARestart) {
    reopen_with({.instances = {{"ml.m5.xlarge for training job usage", 1}}});
    take(create(request("job-1")));
    const auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    wait_for("job-1", "Training");
    reopen();
    EXPECT_NE(refusal(request("job-2")), "");
    executor_.end(spec.id, exited_well());
    wait_for_end("job-1");
    EXPECT_EQ(refusal(request("job-2")), "");
}
TEST_F(MeteringTest, JobsOfAUserAndOfTheAccountAreCounted) {
    reopen_with({.jobs_per_user = 1, .jobs_per_account = 2});
    const auto by = [&](const std::string& user, const std::string& name) {
        const auto created = jobs_->create({account(), kRegion, user, request(name)});
        return created ? "" : created.error().message.substr(0, created.error().message.find(','));
    };
    EXPECT_EQ(by("arn:ann", "a-1"), "");
    EXPECT_EQ(by("arn:ann", "a-2"),
              "The account-level service limit 'Number of training jobs in progress per user' is 1 Jobs");
    EXPECT_EQ(by("arn:bob", "b-1"), "");
    EXPECT_EQ(by("arn:cid", "c-1"), "The account-level service limit 'Number of training jobs in progress' is 2 Jobs");
}
TEST_F(MeteringTest, TheLongestRunTimeIsAQuota) {
    reopen_with({.max_runtime = std::chrono::seconds(3600)});
    EXPECT_EQ(refusal(request("job-1")), "");
    auto document = request("job-2");
    document.set("StoppingCondition", Json::object({{"MaxRuntimeInSeconds", 3601}}));
    EXPECT_NE(refusal(document), "");
    document = request("job-3");
    document.erase("StoppingCondition");
    EXPECT_NE(refusal(document), "") << "without one it is a day";
}
TEST_F(MeteringTest, ManyAtOnceNeverTakeMoreThanTheQuota) {
    reopen_with({.instances = {{"ml.m5.xlarge for training job usage", 3}}});
    std::atomic<int> created = 0, refused = 0;
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < 8; ++thread) {
            threads.emplace_back([&, thread] {
                for (int i = 0; i < 5; ++i) {
                    const auto name = "job-" + std::to_string(thread) + "-" + std::to_string(i);
                    ++(create(request(name)) ? created : refused);
                }
            });
        }
    }
    EXPECT_EQ(created, 3);
    EXPECT_EQ(refused, 37);
}
TEST_F(MeteringTest, StrictCapacityRefusesInTheSameWords) {
    settings_.strict_capacity = true;
    reopen();  // the machine has 4 vCPU and 16 GiB: one ml.m5.xlarge
    const auto text = refusal(request_of("job-1", "ml.m5.xlarge", 2));
    EXPECT_TRUE(
        text.starts_with("The account-level service limit 'ml.m5.xlarge for training job usage' is 1 "
                         "Instances, with current utilization of 0 Instances and a request delta of 2 "
                         "Instances. "))
        << text;
    EXPECT_NE(text.find("this machine has 4 vCPU and 16.0 GiB"), std::string::npos) << text;
}

TEST_F(MeteringTest, AWaitingJobSaysWhenItIsExpectedToStart) {
    const auto whole = [&](const std::string& name) {
        auto document = request(name);
        document.set("StoppingCondition", Json::object({{"MaxRuntimeInSeconds", 7200}}));
        return document;
    };
    const auto minute_in = [](const std::string& text, const std::string& before) {
        const auto at = text.find(before);
        if (at == std::string::npos) return -1.0;
        const auto time = parse_iso8601(replace_all(text.substr(at + before.size(), 16), " ", "T") + ":00Z");
        return time ? to_epoch_seconds(*time) - to_epoch_seconds(system_clock().now()) : -1.0;
    };
    // Ten minutes is what the likes of it have taken.
    take(create(whole("digits-1")));
    auto spec = executor_.wait_for_start(0);
    executor_.report_started(spec.id, clock_.now());
    executor_.end(spec.id, executors::exited(1, 0, std::chrono::minutes(10)));
    wait_for_end("digits-1");
    take(create(whole("digits-2")));
    spec = executor_.wait_for_start(1);
    executor_.report_started(spec.id, system_clock().now());
    wait_for("digits-2", "Training");
    take(create(whole("digits-3")));
    const auto reason = wait_for("digits-3", "Pending").transitions.back().message;
    EXPECT_TRUE(reason.starts_with("Waiting for 4 vCPU and 16.0 GiB on this machine; expected to start about "))
        << reason;
    EXPECT_NEAR(minute_in(reason, "about "), 600, 120) << reason;
    EXPECT_NEAR(minute_in(reason, "at most by "), 7200 + 120, 119) << reason;
}
TEST(TrainingHistory, JobsThatDifferInTheirNumbersAreAlike) {
    EXPECT_EQ(like_named_prefix("digits-2026-11-23-03-50-00-123"), "digits");
    EXPECT_EQ(like_named_prefix("trial17"), "trial");
    EXPECT_EQ(like_named_prefix("my-job"), "my-job");
    EXPECT_EQ(like_named_prefix("a-1"), "");
    EXPECT_EQ(like_named_prefix("123"), "");
}
TEST(TrainingHistory, TheMedianIsTheMiddleOne) {
    EXPECT_EQ(median({30, 10, 20}), std::chrono::seconds(20));
    EXPECT_EQ(median({30, 10}), std::chrono::seconds(30));
    EXPECT_FALSE(median({}));
}
TEST(QuotaNames, AreThoseOfAws) {
    EXPECT_TRUE(is_instance_quota_name("ml.p3.2xlarge for training job usage"));
    EXPECT_TRUE(is_instance_quota_name("ml.p3.2xlarge for spot training job usage"));
    EXPECT_FALSE(is_instance_quota_name("ml.p3.3xlarge for training job usage"));
    EXPECT_FALSE(is_instance_quota_name("ml.p3.2xlarge for endpoint usage"));
    EXPECT_FALSE(is_instance_quota_name("ml.p3.2xlarge"));
}

}  // namespace
}  // namespace millwright::resources
