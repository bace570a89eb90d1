#include "resources/metrics/metrics.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/files.h"

namespace millwright::resources {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Timestamp kNoon{std::chrono::hours(12 + 24 * 20000)};

MetricSample sample(std::string name, seconds at, double value, Dimensions dimensions = {{"Job", "a"}}) {
    MetricSample made;
    made.account = "1";
    made.region = "r";
    made.metric_namespace = "/aws/sagemaker/TrainingJobs";
    made.name = std::move(name);
    made.dimensions = std::move(dimensions);
    made.time = kNoon + at;
    made.value = value;
    return made;
}

class MetricsTest : public ::testing::Test {
  protected:
    MetricsTest() {
        char name[] = "/tmp/metrics_test_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        metrics_ = Metrics::open(*database_, system_clock()).value();
    }
    ~MetricsTest() override {
        metrics_.reset();
        database_.reset();
        std::ignore = remove_tree(folder_);
    }
    void put(const std::vector<MetricSample>& samples) { ASSERT_TRUE(metrics_->put(samples).has_value()); }
    MetricQuery query(std::string name) const {
        const MetricSample like = sample(std::move(name), seconds(0), 0);
        MetricQuery made;
        made.metric = {like.account, like.region, like.metric_namespace, like.name, like.dimensions};
        made.from = kNoon;
        made.until = kNoon + std::chrono::hours(1);
        return made;
    }
    std::string folder_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Metrics> metrics_;
};

TEST_F(MetricsTest, GroupsSamplesByPeriod) {
    put({sample("loss", seconds(1), 4), sample("loss", seconds(59), 2), sample("loss", seconds(60), 1),
         sample("loss", seconds(3600), 9), sample("loss", seconds(-1), 9), sample("other", seconds(2), 7)});
    const auto periods = metrics_->query(query("loss")).value();
    ASSERT_EQ(periods.size(), 2u);
    EXPECT_EQ(periods[0].start, kNoon);
    EXPECT_EQ(periods[0].statistics.samples, 2);
    EXPECT_EQ(periods[0].statistics.sum, 6);
    EXPECT_EQ(periods[0].statistics.minimum, 2);
    EXPECT_EQ(periods[0].statistics.maximum, 4);
    EXPECT_EQ(periods[1].start, kNoon + seconds(60));
    MetricQuery longer = query("loss");
    longer.period = seconds(3600);
    EXPECT_EQ(metrics_->query(longer).value().at(0).statistics.samples, 3);
    EXPECT_TRUE(metrics_->query(query("unknown")).value().empty());
}

TEST_F(MetricsTest, DimensionsAreOneSetWhateverTheirOrder) {
    put({sample("m", seconds(1), 1, {{"B", "2"}, {"A", "1"}}), sample("m", seconds(1), 5, {{"A", "1"}})});
    MetricQuery both = query("m");
    both.metric.dimensions = {{"A", "1"}, {"B", "2"}};
    EXPECT_EQ(metrics_->query(both).value().at(0).statistics.sum, 1);
    both.metric.dimensions = {{"A", "1"}};
    EXPECT_EQ(metrics_->query(both).value().at(0).statistics.sum, 5);
    both.metric.dimensions = {};
    EXPECT_TRUE(metrics_->query(both).value().empty());
}

TEST_F(MetricsTest, UnitsAreKeptApart) {
    auto in_seconds = sample("m", seconds(1), 1), in_bytes = sample("m", seconds(2), 2);
    in_seconds.unit = "Seconds";
    in_bytes.unit = "Bytes";
    put({in_seconds, in_bytes});
    EXPECT_EQ(metrics_->query(query("m")).value().size(), 2u);
    MetricQuery one = query("m");
    one.unit = "Bytes";
    const auto periods = metrics_->query(one).value();
    ASSERT_EQ(periods.size(), 1u);
    EXPECT_EQ(periods[0].statistics.sum, 2);
}

TEST_F(MetricsTest, CountsAndStatisticSetsAddUp) {
    auto many = sample("m", seconds(1), 3);
    many.count = 10;
    auto set = sample("m", seconds(1), 0);
    set.statistics = StatisticSet{5, 50, 1, 40};
    put({many, set});
    const auto found = metrics_->query(query("m")).value().at(0).statistics;
    EXPECT_EQ(found.samples, 15);
    EXPECT_EQ(found.sum, 80);
    EXPECT_EQ(found.minimum, 1);
    EXPECT_EQ(found.maximum, 40);
}

TEST_F(MetricsTest, PercentilesUseSingleValuesOnly) {
    std::vector<MetricSample> samples;
    for (int i = 1; i <= 5; ++i) samples.push_back(sample("m", seconds(i), i * 10));
    auto set = sample("m", seconds(70), 0);
    set.statistics = StatisticSet{5, 50, 1, 40};
    samples.push_back(set);
    put(samples);
    MetricQuery wanted = query("m");
    wanted.percentiles = {0, 50, 90, 100};
    const auto periods = metrics_->query(wanted).value();
    ASSERT_EQ(periods.size(), 2u);
    using Values = std::vector<std::optional<double>>;
    EXPECT_EQ(periods[0].percentiles, (Values{10, 30, 46, 50}));
    EXPECT_EQ(periods[1].percentiles, (Values(4)));
}

TEST_F(MetricsTest, AFailedTransactionStoresNothing) {
    const auto outcome = database_->write([&](metadata_store::Transaction& transaction) -> Result<void> {
        TRY(metrics_->put_in(transaction, {sample("m", seconds(1), 1)}));
        return invalid_input("no");
    });
    EXPECT_FALSE(outcome.has_value());
    EXPECT_TRUE(metrics_->query(query("m")).value().empty());
    MetricListQuery all;
    all.account = "1";
    all.region = "r";
    EXPECT_TRUE(metrics_->list(all).value().metrics.empty());
}

TEST_F(MetricsTest, ListsByNameDimensionAndActivityInPages) {
    for (int i = 0; i < 7; ++i)
        put({sample("m" + std::to_string(i % 2), seconds(i), 1, {{"Host", std::to_string(i)}, {"Job", "j"}})});
    MetricListQuery all;
    all.account = "1";
    all.region = "r";
    const auto count = [&](MetricListQuery wanted) {
        size_t found = 0;
        for (wanted.limit = 3;;) {
            const auto page = metrics_->list(wanted).value();
            EXPECT_LE(page.metrics.size(), 3u);
            found += page.metrics.size();
            if (!page.more) return found;
            wanted.after = page.last;
        }
    };
    EXPECT_EQ(count(all), 7u);
    auto some = all;
    some.name = "m0";
    EXPECT_EQ(count(some), 4u);
    some.dimensions = {{"Host", "2"}};
    EXPECT_EQ(count(some), 1u);
    some.dimensions = {{"Host", std::nullopt}, {"Job", "j"}};
    EXPECT_EQ(count(some), 4u);
    some.dimensions = {{"Absent", std::nullopt}};
    EXPECT_EQ(count(some), 0u);
    some = all;
    some.active_since = kNoon + seconds(5);
    EXPECT_EQ(count(some), 2u);
    some = all;
    some.metric_namespace = "elsewhere";
    EXPECT_EQ(count(some), 0u);
    some = all;
    some.account = "2";
    EXPECT_EQ(count(some), 0u);
    EXPECT_EQ(metrics_->list(all).value().metrics.at(0).dimensions, (Dimensions{{"Host", "0"}, {"Job", "j"}}));
}

}  // namespace
}  // namespace millwright::resources
