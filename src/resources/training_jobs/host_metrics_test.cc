#include "resources/training_jobs/host_metrics.h"

#include "resources/training_jobs/training_jobs_fixture.h"

namespace millwright::resources {
namespace {

using executors::HostUsage;
using std::chrono::milliseconds;

constexpr uint64_t kGiB = uint64_t{1} << 30;

std::map<std::string, double> values(const std::vector<MetricSample>& samples) {
    std::map<std::string, double> found;
    for (const auto& sample : samples) found[sample.name] = sample.value;
    return found;
}

TEST(HostSamples, ArePercentOfWhatTheHostHas) {
    const HostUsage before{.cpu = milliseconds(1000)};
    const HostUsage now{.cpu = milliseconds(6000),
                        .memory_bytes = kGiB,
                        .memory_limit_bytes = 4 * kGiB,
                        .disk_bytes = kGiB,
                        .disk_limit_bytes = 2 * kGiB};
    const MeasuredRun run{"run", "123", "us-west-2", "job", false};
    const auto samples = host_samples(run, 1, before, now, milliseconds(2000), Timestamp{});
    const std::map<std::string, double> expected = {
        {"CPUUtilization", 250}, {"MemoryUtilization", 25}, {"DiskUtilization", 50}};
    EXPECT_EQ(values(samples), expected) << "two and a half processors";
    EXPECT_EQ(samples[0].metric_namespace, "/aws/sagemaker/TrainingJobs");
    EXPECT_EQ(samples[0].dimensions, (Dimensions{{"Host", "job/algo-2"}}));
    EXPECT_EQ(samples[0].unit, "Percent");
}
TEST(HostSamples, WhatTheMachineCannotTellIsLeftOut) {
    const MeasuredRun run{"run", "123", "us-west-2", "job", false};
    EXPECT_TRUE(host_samples(run, 0, {}, {}, milliseconds(1000), Timestamp{}).empty());
    const HostUsage before{.cpu = milliseconds(500)};
    EXPECT_EQ(values(host_samples(run, 0, before, HostUsage{.cpu = milliseconds(400)}, milliseconds(1000), {})),
              (std::map<std::string, double>{{"CPUUtilization", 0}}));
}
TEST(HostSamples, GpusAreSummed) {
    const MeasuredRun run{"run", "123", "us-west-2", "job", true};
    EXPECT_EQ(values(gpu_samples(run, 0, {.utilization = 150, .memory_utilization = 20}, {})),
              (std::map<std::string, double>{{"GPUUtilization", 150}, {"GPUMemoryUtilization", 20}}));
}

class HostMetricsTest : public TrainingJobsTest {
  protected:
    void SetUp() override {
        settings_.host_metrics_interval = milliseconds(20);
        TrainingJobsTest::SetUp();
    }
    double count(const std::string& name, const std::string& host) {
        MetricQuery query;
        query.metric = {account(), kRegion, "/aws/sagemaker/TrainingJobs", name, {{"Host", host}}};
        query.until = clock_.now() + std::chrono::hours(1);
        query.period = std::chrono::hours(1'000'000);
        double samples = 0;
        for (const auto& period : take(metrics_->query(query))) samples += period.statistics.samples;
        return samples;
    }
};

TEST_F(HostMetricsTest, EveryHostIsMeasuredWhileTheJobRunsAlsoAfterARestart) {
    auto document = request("job-1");
    document.set("ResourceConfig", Json::object({{"InstanceType", "ml.m5.large"}, {"InstanceCount", 2}}));
    take(create(document));
    const auto spec = executor_.wait_for_start(0);
    const HostUsage usage{.cpu = milliseconds(50), .memory_bytes = 1, .memory_limit_bytes = 2};
    executor_.set_usage(spec.id, {usage, usage});
    executor_.report_started(spec.id, clock_.now());
    EXPECT_TRUE(soon([&] { return count("MemoryUtilization", "job-1/algo-2") >= 3; }));
    EXPECT_GE(count("CPUUtilization", "job-1/algo-1"), 2);
    EXPECT_EQ(count("DiskUtilization", "job-1/algo-1"), 0) << "the machine cannot tell";
    EXPECT_EQ(count("GPUUtilization", "job-1/algo-1"), 0);
    reopen();
    const auto before = count("MemoryUtilization", "job-1/algo-1");
    EXPECT_TRUE(soon([&] { return count("MemoryUtilization", "job-1/algo-1") > before; })) << "adopted";
    executor_.end(spec.id, executors::exited(2, 0));
    wait_for_end("job-1");
    // What was measured before the end may be stored after it.
    double before_pause = -1, after = 0;
    for (int i = 0; i < 100 && after != before_pause; ++i) {
        before_pause = count("MemoryUtilization", "job-1/algo-1");
        std::this_thread::sleep_for(milliseconds(100));
        after = count("MemoryUtilization", "job-1/algo-1");
    }
    EXPECT_EQ(after, before_pause) << "a run that has ended is left alone";
}

}  // namespace
}  // namespace millwright::resources
