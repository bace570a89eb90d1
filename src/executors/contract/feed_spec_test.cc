#include "executors/contract/feed_spec.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "executors/contract/shuffle.h"

namespace millwright::executors {
namespace {

FeedSpec full_spec() {
    FeedChannel plain;
    plain.name = "train";
    plain.objects = plain.records = 20;
    plain.sharded = true;
    plain.hosts = {"algo-1", "algo-2"};
    FeedChannel augmented = plain;
    augmented.name = "pairs";
    augmented.items_per_record = 2;
    augmented.gunzip = augmented.wrap_in_recordio = true;
    augmented.shuffle_seed = 9;
    return {"/data/jobs/0a", {plain, augmented}};
}

TEST(FeedSpec, ReadsBackWhatWasWritten) {
    const auto text = encode_feed_spec(full_spec());
    const auto back = decode_feed_spec(text);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(encode_feed_spec(*back), text);
    EXPECT_EQ(back->channels[1].shuffle_seed, 9u);
    EXPECT_EQ(back->channels[1].hosts.size(), 2u);
    EXPECT_FALSE(back->channels[0].gunzip);
}

TEST(FeedSpec, RefusesEveryTruncation) {
    const auto text = encode_feed_spec(full_spec());
    for (size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(decode_feed_spec(text.substr(0, size))) << size;
}

TEST(Shuffle, IsAPermutationOfEverySize) {
    for (const uint64_t count : {1u, 2u, 3u, 7u, 64u, 65u, 1000u, 4097u}) {
        std::set<uint64_t> seen;
        for (uint64_t i = 0; i < count; ++i) seen.insert(shuffled_position(i, count, 42, 3));
        EXPECT_EQ(seen.size(), count);
        EXPECT_EQ(*seen.rbegin(), count - 1);
    }
}

TEST(Shuffle, ReachesEveryOrderAboutAsOften) {
    std::map<std::string, int> orders;
    for (uint64_t seed = 0; seed < 6000; ++seed) {
        std::string order;
        for (uint64_t i = 0; i < 3; ++i) order += static_cast<char>('0' + shuffled_position(i, 3, seed, 0));
        ++orders[order];
    }
    ASSERT_EQ(orders.size(), 6u);
    for (const auto& [order, times] : orders) EXPECT_NEAR(times, 1000, 200) << order;
}

std::vector<uint64_t> records_of(const FeedChannel& channel, size_t rank, uint64_t epoch) {
    std::vector<uint64_t> records;
    for (uint64_t i = 0;; ++i) {
        const auto record = record_of_epoch(channel, rank, epoch, i);
        if (!record) return records;
        records.push_back(*record);
    }
}

TEST(Epochs, ShardsTakeEveryNthRecord) {
    auto channel = full_spec().channels[0];
    EXPECT_EQ(records_of(channel, 1, 0), (std::vector<uint64_t>{1, 3, 5, 7, 9, 11, 13, 15, 17, 19}));
    channel.records = 1;
    EXPECT_EQ(records_of(channel, 1, 5), std::vector<uint64_t>{});
    channel.sharded = false;
    EXPECT_EQ(records_of(channel, 1, 5), std::vector<uint64_t>{0});
}

TEST(Epochs, ShuffledShardsCoverEverythingAndMoveBetweenHosts) {
    const auto channel = full_spec().channels[1];
    for (const uint64_t epoch : {0u, 1u}) {
        auto all = records_of(channel, 0, epoch);
        const auto other = records_of(channel, 1, epoch);
        all.insert(all.end(), other.begin(), other.end());
        EXPECT_EQ(std::set<uint64_t>(all.begin(), all.end()).size(), 20u);
    }
    const auto first = records_of(channel, 0, 0), second = records_of(channel, 0, 1);
    EXPECT_NE(std::set<uint64_t>(first.begin(), first.end()), std::set<uint64_t>(second.begin(), second.end()));
}

}  // namespace
}  // namespace millwright::executors
