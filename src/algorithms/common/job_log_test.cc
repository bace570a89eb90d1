#include "algorithms/common/job_log.h"

#include <gtest/gtest.h>

#include <regex>

namespace millwright::algorithms {
namespace {

// Lines that `write` prints through a log.
template <typename F>
std::string printed(F write) {
    char* bytes = nullptr;
    size_t size = 0;
    std::FILE* file = open_memstream(&bytes, &size);
    {
        JobLog log("PCA", "algo-1", file);
        write(log);
    }
    std::fclose(file);
    std::string out(bytes, size);
    std::free(bytes);
    return out;
}

TEST(JobLog, MessagesCarryTimeLevelAndThread) {
    const std::string line = printed([](JobLog& log) { log.info("Using default worker."); });
    EXPECT_TRUE(
        std::regex_match(line, std::regex(R"(\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d INFO \d+\] Using default worker\.\n)")))
        << line;
}

TEST(JobLog, EveryLineOfAMessageIsALogLine) {
    const std::string lines = printed([](JobLog& log) { log.error("a\nb"); });
    EXPECT_TRUE(std::regex_match(lines, std::regex(R"(\[[^\]]* ERROR \d+\] a\n\[[^\]]* ERROR \d+\] b\n)"))) << lines;
}

TEST(JobLog, MetricFormsAreThoseThatDefinitionsMatch) {
    EXPECT_EQ(printed([](JobLog& log) { log.quality_metric("train", "msd", QualityKind::Loss, 0.064, 3); }),
              "#quality_metric: host=algo-1, epoch=3, train msd <loss>=0.064\n");
    EXPECT_EQ(printed([](JobLog& log) { log.quality_metric("validation", "f1", QualityKind::Score, 1, 0, 2); }),
              "#quality_metric: host=algo-1, epoch=0, batch=2 validation f1 <score>=1.0\n");
    EXPECT_EQ(printed([](JobLog& log) { log.progress_metric(10); }),
              "#progress_metric: host=algo-1, completed 10.0 % of epochs\n");
    EXPECT_EQ(printed([](JobLog& log) { log.throughput_metric(10804.1); }),
              "#throughput_metric: host=algo-1, train throughput=10804.1 records/second\n");
    EXPECT_EQ(printed([](JobLog& log) { log.score("test", "mse", 0.0133); }),
              "#test_score (algo-1) : ('mse', 0.0133)\n");
}

TEST(JobLog, StructuredMetricsAreJson) {
    MetricSummary update;
    update.add(2);
    update.add(1);
    const std::string line = printed([&](JobLog& log) {
        log.metrics({.start_time = 1.5,
                     .end_time = 2.5,
                     .epoch = 0,
                     .meta = "training_data_iter",
                     .metrics = {{"update.time", update}}});
    });
    ASSERT_TRUE(line.starts_with("#metrics ")) << line;
    const auto parsed = Json::parse(line.substr(9, line.size() - 10));
    ASSERT_TRUE(parsed) << line;
    EXPECT_EQ((*parsed)["Metrics"]["update.time"]["sum"].as_double(), 3);
    EXPECT_EQ((*parsed)["Metrics"]["update.time"]["min"].as_double(), 1);
    EXPECT_EQ((*parsed)["Metrics"]["update.time"]["count"].as_int(), 2);
    EXPECT_EQ((*parsed)["Dimensions"]["Algorithm"].as_string(), "PCA");
    EXPECT_EQ((*parsed)["Dimensions"]["epoch"].as_int(), 0);
}

TEST(PythonFloat, PrintsAsPythonDoes) {
    EXPECT_EQ(python_float(1), "1.0");
    EXPECT_EQ(python_float(0.1), "0.1");
    EXPECT_EQ(python_float(-0.30000000000000004), "-0.30000000000000004");
    EXPECT_EQ(python_float(1e-5), "1e-05");
    EXPECT_EQ(python_float(0.0001), "0.0001");
    EXPECT_EQ(python_float(123456789012345680.0), "1.2345678901234568e+17");
    EXPECT_EQ(python_float(1e15), "1000000000000000.0");
    EXPECT_EQ(python_float(1e16), "1e+16");
    EXPECT_EQ(python_float(0), "0.0");
    EXPECT_EQ(python_float(1.0 / 0.0), "inf");
}

}  // namespace
}  // namespace millwright::algorithms
