#include <gtest/gtest.h>

#include <set>

#include "base/files.h"
#include "metadata_store/read_only.h"
#include "resources/cost/cost_report.h"

namespace millwright::resources {
namespace {

Timestamp at(const char* text) { return *parse_iso8601(text); }

LedgerEntry entry(int64_t job, const std::string& type, int64_t instances, int64_t seconds) {
    LedgerEntry made;
    made.job = job;
    made.account = "123456789012";
    made.region = "us-east-1";
    made.name = "job-" + std::to_string(job);
    made.owner = "arn:aws:iam::123456789012:user/ann";
    made.groups = {{type, instances}};
    made.started = at("2026-11-22T23:50:00Z");
    made.ended = at("2026-11-23T00:10:00Z");
    made.training_seconds = made.billable_seconds = seconds;
    return made;
}

TEST(Money, RoundsToTheNearestMillionth) {
    EXPECT_EQ(cost_of({230'000}, 3600, 1), Money{230'000});
    EXPECT_EQ(cost_of({230'000}, 100, 1), Money{6'389});  // 6388.88…
    EXPECT_EQ(cost_of({1}, 1800, 1), Money{1});           // a half goes up
    EXPECT_EQ(cost_of({1}, 1799, 1), Money{0});
    EXPECT_EQ(cost_of({0}, 1'000'000, 64), Money{0});
}
TEST(Money, TheDearestJobFits) {
    // 28 days of 64 instances at a million dollars an hour.
    EXPECT_EQ(cost_of({kDearestMicroDollars}, 28 * 86'400, 64), Money{kDearestMicroDollars * 28 * 24 * 64});
}
TEST(Money, IsShownWithAllItsDigits) {
    EXPECT_EQ(to_text(Money{1}), "0.000001");
    EXPECT_EQ(to_text(Money{12'345'678}), "12.345678");
    EXPECT_EQ(to_text(Money{-500'000}), "-0.500000");
}

TEST(ListPrices, EachRowIsDatedNamesItsSourceAndOccursOnce) {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const auto& price : list_prices()) {
        EXPECT_TRUE(seen.insert({price.region, price.instance_type}).second) << price.region << price.instance_type;
        EXPECT_GT(price.per_hour.micro_dollars, 0);
        EXPECT_TRUE(price.instance_type.starts_with("ml.")) << price.instance_type;
        EXPECT_TRUE(parse_iso8601(std::string(price.as_of) + "T00:00:00Z")) << price.as_of;
        EXPECT_FALSE(price.source.empty());
    }
}

TEST(Prices, TheRegionAskedForWinsAndAnotherIsNamed) {
    const Prices prices;
    EXPECT_EQ(prices.find("eu-west-1", "ml.m5.xlarge").list, Money{257'000});
    const auto elsewhere = prices.find("eu-north-1", "ml.m5.xlarge");
    EXPECT_EQ(elsewhere.list, Money{230'000});
    EXPECT_EQ(elsewhere.region, "us-east-1");
    EXPECT_EQ(elsewhere.as_of, "2026-09-24");
    EXPECT_FALSE(prices.find("us-east-1", "ml.trn2.48xlarge").list) << "nothing is guessed";
}
TEST(Prices, TheUsersTableWins) {
    OwnPrices own;
    own.by_type[{"*", "ml.m5.xlarge"}] = {.list = Money{300'000}, .spot = std::nullopt, .own = Money{20'000}};
    own.by_type[{"us-east-1", "ml.m5.xlarge"}] = {.list = std::nullopt, .spot = Money{90'000}, .own = std::nullopt};
    own.own_per_hour = Money{50'000};
    own.spot_discount_millionths = 650'000;
    const Prices prices(own);
    const auto here = prices.find("us-east-1", "ml.m5.xlarge");
    EXPECT_EQ(here.list, Money{300'000});
    EXPECT_EQ(here.spot, Money{90'000});
    EXPECT_EQ(here.own, Money{20'000});
    EXPECT_EQ(here.as_of, "your own table");
    EXPECT_EQ(prices.find("us-west-2", "ml.m5.xlarge").spot, Money{105'000}) << "35 % of the list price";
    EXPECT_EQ(prices.find("us-west-2", "ml.c5.xlarge").own, Money{50'000});
}

TEST(CostReport, BillsSecondsTimesInstancesAndNothingElse) {
    const auto report =
        report_cost({entry(1, "ml.m5.xlarge", 1, 100), entry(2, "ml.p3.2xlarge", 2, 100)}, Prices{}, {});
    ASSERT_EQ(report.lines.size(), 2u);
    EXPECT_EQ(report.lines[0].amounts.list, Money{6'389});
    EXPECT_EQ(report.lines[1].amounts.list, Money{212'500});  // 2 * 100 s * 3.825 $/h
    EXPECT_EQ(report.lines[1].training_seconds, 200);
    EXPECT_EQ(report.lines[1].instances, "2 x ml.p3.2xlarge");
    EXPECT_EQ(report.total.amounts.list, Money{218'889});
    EXPECT_EQ(report.total.amounts.savings, Money{0});
    EXPECT_FALSE(report.total.amounts.own);
    const std::vector<std::string> notes = {
        "ml.m5.xlarge: $0.230000/h (2026-09-24, us-east-1)",
        "ml.p3.2xlarge: $3.825000/h (2025-01-22, us-east-2, none known for us-east-1)"};
    EXPECT_EQ(report.prices, notes);
}
TEST(CostReport, SpotSavesTheSecondsThatAreNotBilled) {
    auto spot = entry(1, "ml.m5.xlarge", 1, 1000);
    spot.spot = true;
    spot.billable_seconds = 300;
    auto report = report_cost({spot}, Prices{}, {});
    EXPECT_EQ(report.total.amounts.list, Money{19'167});     // 300 s
    EXPECT_EQ(report.total.amounts.savings, Money{44'722});  // 63'889 - 19'167
    OwnPrices own;
    own.by_type[{"*", "ml.m5.xlarge"}].spot = Money{80'000};
    report = report_cost({spot}, Prices(own), {});
    EXPECT_EQ(report.total.amounts.list, Money{22'222});  // all 1000 s at 0.08 $/h
    EXPECT_EQ(report.total.amounts.savings, Money{41'667});
}
TEST(CostReport, InstanceGroupsAreBilledEach) {
    auto groups = entry(1, "ml.m5.xlarge", 2, 36);
    groups.groups.push_back({"ml.g5.xlarge", 1});
    const auto report = report_cost({groups}, Prices{}, {});
    EXPECT_EQ(report.total.amounts.list, Money{4'600 + 14'080});
    EXPECT_EQ(report.lines[0].instances, "2 x ml.m5.xlarge + 1 x ml.g5.xlarge");
}
TEST(CostReport, SaysWhatItWouldHaveCostOnAnotherType) {
    CostOptions options;
    options.as_instance_type = "ml.p3.2xlarge";
    auto spot = entry(1, "ml.m5.xlarge", 2, 7200);
    spot.spot = true;
    spot.billable_seconds = 1;
    const auto report = report_cost({spot}, Prices{}, options);
    EXPECT_EQ(report.total.amounts.as, Money{15'300'000}) << "two instances for two hours, on demand";
    options.as_instance_type = "ml.trn2.48xlarge";
    EXPECT_FALSE(report_cost({spot}, Prices{}, options).total.amounts.as);
}
TEST(CostReport, WithoutAPriceThereIsNoAmountAndTheJobIsCounted) {
    auto half = entry(3, "ml.m5.xlarge", 1, 100);
    half.groups.push_back({"ml.trn2.48xlarge", 1});
    const auto report =
        report_cost({entry(1, "ml.trn2.48xlarge", 1, 100), entry(2, "ml.m5.xlarge", 1, 100), half}, Prices{}, {});
    EXPECT_FALSE(report.lines[0].amounts.list);
    EXPECT_FALSE(report.lines[2].amounts.list) << "half a job's cost is no cost";
    EXPECT_EQ(report.total.amounts.list, Money{6'389});
    EXPECT_EQ(report.total.unpriced_jobs, 2);
    EXPECT_EQ(report.prices[1], "ml.trn2.48xlarge: no price known; set one in prices.toml");
}
TEST(CostReport, GroupsByUserTagAndDayAndTheTotalIsTheSumOfTheLines) {
    std::vector<LedgerEntry> entries;
    int64_t sum = 0;
    for (int64_t i = 1; i <= 7; ++i) {
        auto made = entry(i, i % 2 == 0 ? "ml.m5.xlarge" : "ml.g5.xlarge", 1, i * 17);
        made.owner = i < 3 ? "arn:ann" : "arn:bob";
        if (i > 1) made.tags = {{"team", i < 5 ? "vision" : "speech"}};
        if (i == 7) made.ended = at("2026-11-24T12:00:00Z");
        sum += cost_of(i % 2 == 0 ? Money{230'000} : Money{1'408'000}, i * 17, 1).micro_dollars;
        entries.push_back(std::move(made));
    }
    const auto keys = [&](CostOptions options) {
        const auto report = report_cost(entries, Prices{}, options);
        Money lines;
        std::vector<std::string> found;
        for (const auto& line : report.lines) {
            lines += *line.amounts.list;
            found.push_back(line.key + "=" + std::to_string(line.jobs));
        }
        EXPECT_EQ(lines, Money{sum});
        EXPECT_EQ(report.total.amounts.list, Money{sum});
        return found;
    };
    using Keys = std::vector<std::string>;
    EXPECT_EQ(keys({.by = CostOptions::By::User}), (Keys{"arn:ann=2", "arn:bob=5"}));
    EXPECT_EQ(keys({.by = CostOptions::By::Tag, .tag = "team"}), (Keys{"=1", "speech=3", "vision=3"}));
    EXPECT_EQ(keys({.by = CostOptions::By::Day}), (Keys{"2026-11-23=6", "2026-11-24=1"}));
}

TEST(CostReport, TextIsAligned) {
    auto made = entry(1, "ml.m5.xlarge", 1, 3600);
    EXPECT_EQ(to_text(report_cost({made}, Prices{}, {}), {}),
              "JOB    INSTANCES         SECONDS  BILLED    LIST $   SAVED $  OWN $\n"
              "job-1  1 x ml.m5.xlarge     3600    3600  0.230000  0.000000      -\n"
              "total  1 job                3600    3600  0.230000  0.000000      -\n"
              "\nPrices per instance hour:\n  ml.m5.xlarge: $0.230000/h (2026-09-24, us-east-1)\n");
}
TEST(CostReport, CsvQuotesWhatNeedsIt) {
    auto made = entry(1, "ml.m5.xlarge", 1, 3600);
    made.tags = {{"note", "a \"b\", c"}};
    EXPECT_EQ(to_csv(report_cost({made}, Prices{}, {.by = CostOptions::By::Tag, .tag = "note"})),
              "key,instances,jobs,unpriced_jobs,training_seconds,billable_seconds,list_usd,spot_savings_usd,own_usd,"
              "as_usd\r\n\"a \"\"b\"\", c\",,1,0,3600,3600,0.230000,0.000000,,\r\n");
}
TEST(CostReport, JsonHasAmountsAsTexts) {
    const auto json = to_json(report_cost({entry(1, "ml.m5.xlarge", 1, 3600)}, Prices{}, {}));
    EXPECT_EQ(json["total"]["list_usd"].string_or(""), "0.230000");
    EXPECT_TRUE(json["lines"][size_t{0}]["own_usd"].is_null());
}

class LedgerTest : public testing::Test {
  protected:
    const std::string folder_ = testing::TempDir() + "ledger_test";
    std::unique_ptr<metadata_store::Database> database_;
    void SetUp() override {
        ASSERT_TRUE(make_directories(folder_));
        auto opened = metadata_store::Database::open(folder_ + "/db");
        ASSERT_TRUE(opened);
        database_ = std::move(*opened);
    }
    void TearDown() override {
        database_.reset();
        ASSERT_TRUE(remove_tree(folder_));
    }
    Result<void> record(const LedgerEntry& entry) {
        return database_->write(
            [&](metadata_store::Transaction& transaction) { return record_in_ledger(transaction, entry); });
    }
    // As another process does it while the server runs.
    std::vector<int64_t> jobs(const LedgerQuery& query) {
        const auto store = metadata_store::open_read_only(folder_ + "/db");
        EXPECT_TRUE(store) << store.error().message << store.error().detail;
        const auto entries = read_ledger(**store, query);
        EXPECT_TRUE(entries) << entries.error().message << entries.error().detail;
        std::vector<int64_t> found;
        for (const auto& entry : *entries) found.push_back(entry.job);
        return found;
    }
};

TEST_F(LedgerTest, WhatIsRecordedIsReadBackOnce) {
    ASSERT_TRUE(prepare_ledger(*database_));
    auto made = entry(7, "ml.m5.xlarge", 2, 60);
    made.groups.push_back({"ml.g5.xlarge", 1});
    made.spot = true;
    made.billable_seconds = 20;
    made.tags = {{"team", "vision"}, {"zoo", ""}};
    ASSERT_TRUE(record(made));
    auto changed = made;
    changed.training_seconds = 1;
    ASSERT_TRUE(record(changed)) << "the same job again";
    const auto entries = database_->read([](metadata_store::Connection& c) { return read_ledger(c, {}); });
    ASSERT_TRUE(entries);
    ASSERT_EQ(entries->size(), 1u);
    const auto& read = entries->front();
    EXPECT_EQ(read.name, "job-7");
    EXPECT_EQ(read.owner, made.owner);
    EXPECT_EQ(read.ended, made.ended);
    EXPECT_EQ(read.training_seconds, 60);
    EXPECT_EQ(read.billable_seconds, 20);
    EXPECT_TRUE(read.spot);
    ASSERT_EQ(read.groups.size(), 2u);
    EXPECT_EQ(read.groups[1].instance_type, "ml.g5.xlarge");
    EXPECT_EQ(read.tags, made.tags);
}
TEST_F(LedgerTest, AnotherProcessReadsItByTimeAndRegionAndCannotWrite) {
    ASSERT_TRUE(prepare_ledger(*database_));
    auto early = entry(1, "ml.m5.xlarge", 1, 60), late = entry(2, "ml.m5.xlarge", 1, 60);
    early.ended = at("2026-11-20T00:00:00Z");
    late.region = "eu-west-1";
    ASSERT_TRUE(record(early) && record(late));
    EXPECT_EQ(jobs({}), (std::vector<int64_t>{1, 2}));
    LedgerQuery query;
    query.from = at("2026-11-20T00:00:01Z");
    EXPECT_EQ(jobs(query), (std::vector<int64_t>{2}));
    query = {};
    query.until = late.ended;
    EXPECT_EQ(jobs(query), (std::vector<int64_t>{1})) << "half open";
    query = {};
    query.region = "eu-west-1";
    EXPECT_EQ(jobs(query), (std::vector<int64_t>{2}));
    const auto store = metadata_store::open_read_only(folder_ + "/db");
    ASSERT_TRUE(store);
    EXPECT_FALSE((*store)->query("DELETE FROM ledger_entry"));
}
TEST_F(LedgerTest, PastDurationsAreThoseOfLikeNamedJobsNewestFirst) {
    ASSERT_TRUE(prepare_ledger(*database_));
    const auto add = [&](int64_t job, const std::string& name, int64_t seconds) {
        auto made = entry(job, "ml.m5.xlarge", 1, seconds);
        made.name = name;
        made.ended = made.ended + std::chrono::seconds(job);
        ASSERT_TRUE(record(made));
    };
    add(1, "digits-1", 10);
    add(2, "digits-2", 20);
    add(3, "digits-3", 30);
    add(4, "digit", 40);
    add(5, "letters-1", 50);
    const auto past = [&](const std::string& prefix) {
        return *database_->read([&](metadata_store::Connection& c) {
            return past_training_seconds(c, "123456789012", "us-east-1", prefix, 2);
        });
    };
    EXPECT_EQ(past("digits-"), (std::vector<int64_t>{30, 20}));
    EXPECT_TRUE(past("nothing").empty());
}
TEST_F(LedgerTest, WithoutTablesNothingWasMetered) {
    const auto entries = database_->read([](metadata_store::Connection& c) { return read_ledger(c, {}); });
    EXPECT_EQ(entries.error().kind, ErrorKind::NotFound);
    EXPECT_EQ(metadata_store::open_read_only(folder_ + "/none").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace millwright::resources
