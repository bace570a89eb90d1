#include "programs/server/cost_command.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "programs/server/prices_file.h"
#include "resources/cost/ledger.h"

namespace millwright::programs {
namespace {

using resources::Money;

class CostCommandTest : public testing::Test {
  protected:
    Config config_;
    void SetUp() override {
        config_.data_dir = testing::TempDir() + "cost_command_test";
        ASSERT_TRUE(make_directories(config_.data_dir));
    }
    void TearDown() override { ASSERT_TRUE(remove_tree(config_.data_dir)); }
    void fill() {
        auto database = metadata_store::Database::open(config_.data_dir + "/metadata.db");
        ASSERT_TRUE(database && resources::prepare_ledger(**database));
        const auto add = [&](int64_t job, const char* ended) {
            const resources::LedgerEntry entry{.job = job,
                                               .account = "1",
                                               .region = "us-east-1",
                                               .name = "job-" + std::to_string(job),
                                               .owner = "arn:ann",
                                               .groups = {{"ml.m5.xlarge", 1}},
                                               .started = *parse_iso8601(ended),
                                               .ended = *parse_iso8601(ended),
                                               .training_seconds = 3600,
                                               .billable_seconds = 3600,
                                               .tags = {}};
            ASSERT_TRUE((*database)->write([&](metadata_store::Transaction& transaction) {
                return resources::record_in_ledger(transaction, entry);
            }));
        };
        add(1, "2026-11-22T23:59:59Z");
        add(2, "2026-11-23T00:00:00Z");
        add(3, "2026-11-24T00:00:00Z");
    }
    std::string csv(CostArguments arguments) {
        arguments.csv = true;
        const auto text = cost_text(config_, arguments);
        return text ? *text : text.error().message;
    }
    Result<resources::OwnPrices> prices(const std::string& text) {
        EXPECT_TRUE(write_file(config_.data_dir + "/prices.toml", text));
        return load_own_prices(config_.data_dir + "/prices.toml");
    }
};

TEST_F(CostCommandTest, DaysAreWholeAndInUtc) {
    fill();
    const auto jobs = [&](const std::string& since, const std::string& until) {
        CostArguments arguments;
        arguments.since = since;
        arguments.until = until;
        const auto text = csv(arguments);
        std::string found;
        for (const char* job : {"job-1", "job-2", "job-3"}) {
            if (text.find(job) != std::string::npos) found += job[4];
        }
        return found;
    };
    EXPECT_EQ(jobs("", ""), "123");
    EXPECT_EQ(jobs("2026-11-23", ""), "23");
    EXPECT_EQ(jobs("", "2026-11-23"), "12");
    EXPECT_EQ(jobs("2026-11-23", "2026-11-23"), "2");
    EXPECT_EQ(jobs("2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"), "1");
}
TEST_F(CostCommandTest, SaysWhatIsWrongWithItsArguments) {
    EXPECT_NE(csv({}).find("there is no "), std::string::npos) << "no server ever ran here";
    fill();
    CostArguments arguments;
    arguments.by = {"colour"};
    EXPECT_EQ(csv(arguments), "--by takes job, user, day, or tag and a key");
    arguments.by = {"tag"};
    EXPECT_EQ(csv(arguments), "--by takes job, user, day, or tag and a key");
    arguments = {};
    arguments.as = "ml.p3";
    EXPECT_EQ(csv(arguments), "--as needs an instance type such as ml.p3.2xlarge, not 'ml.p3'");
    arguments = {};
    arguments.since = "yesterday";
    EXPECT_EQ(csv(arguments), "--since needs a day (2026-11-23) or a time in ISO 8601");
    arguments = {};
    arguments.json = true;
    EXPECT_EQ(csv(arguments), "--json or --csv, not both");
}
TEST_F(CostCommandTest, TheUsersPricesAreUsed) {
    fill();
    ASSERT_TRUE(prices("own = 0.05\n[us-east-1]\n\"ml.m5.xlarge\" = {list = 1}\n"));
    CostArguments arguments;
    arguments.by = {"user"};
    EXPECT_NE(csv(arguments).find("arn:ann,,3,0,10800,10800,3.000000,0.000000,0.150000,\r\n"), std::string::npos)
        << csv(arguments);
}

TEST_F(CostCommandTest, ReadsEveryKindOfOwnPrice) {
    const auto read = prices(
        "own = 0.1\nspot_discount = 0.7\n[us-east-1]\n\"ml.m5.xlarge\" = {list = 0.25, spot = 0.0701, own = 0}\n"
        "[\"*\".\"ml.c5.xlarge\"]\nown = 2\n");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->own_per_hour, Money{100'000});
    EXPECT_EQ(read->spot_discount_millionths, 700'000);
    const auto& price = read->by_type.at({"us-east-1", "ml.m5.xlarge"});
    EXPECT_EQ(price.list, Money{250'000});
    EXPECT_EQ(price.spot, Money{70'100});
    EXPECT_EQ(price.own, Money{0});
    EXPECT_EQ(read->by_type.at({"*", "ml.c5.xlarge"}).own, Money{2'000'000});
}
TEST_F(CostCommandTest, NamesWhatIsWrongInThePrices) {
    const auto message = [&](const std::string& text) { return prices(text).error().message; };
    EXPECT_EQ(message("own = -1\n"), "prices.toml: own: expected US dollars per hour, at most a million");
    EXPECT_EQ(message("own = \"much\"\n"), "prices.toml: own: expected US dollars per hour, at most a million");
    EXPECT_EQ(message("own = nan\n"), "prices.toml: own: expected US dollars per hour, at most a million");
    EXPECT_EQ(message("own = 1e7\n"), "prices.toml: own: expected US dollars per hour, at most a million");
    EXPECT_EQ(message("spot_discount = 70\n"), "prices.toml: spot_discount: expected a share from 0 to 1");
    EXPECT_EQ(message("[x]\n\"ml.a.b\" = {lisp = 1}\n"), "prices.toml: x.ml.a.b.lisp: expected list, spot or own");
    EXPECT_EQ(message("[x]\nm5 = {list = 1}\n"),
              "prices.toml: x.m5: expected an instance type such as \"ml.m5.xlarge\"");
    EXPECT_EQ(message("price = 3\n"),
              "prices.toml: price: expected a table of instance types (or own, or spot_discount)");
    EXPECT_TRUE(message("[x\n").starts_with("prices.toml, line 1: "));
}

}  // namespace
}  // namespace millwright::programs
