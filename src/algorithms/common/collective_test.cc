#include "algorithms/common/collective.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

namespace millwright::algorithms {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

uint16_t free_port() {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    CHECK(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    return ntohs(address.sin_port);
}

// 127.0.0.1, 127.0.0.2, … are all this machine; as names they sort by their last number.
std::vector<std::string> loopback_hosts(size_t count) {
    std::vector<std::string> hosts;
    for (size_t i = 1; i <= count; ++i) hosts.push_back("127.0.0." + std::to_string(i));
    return hosts;
}

CollectiveOptions quick(uint16_t port) {
    return {.port = port, .connect_timeout = std::chrono::seconds(20), .call_timeout = std::chrono::seconds(20)};
}

// Runs `work` as every host at once.
void as_hosts(size_t count, const std::function<void(Collective&)>& work) {
    const uint16_t port = free_port();
    std::vector<std::jthread> threads;
    for (size_t rank = 0; rank < count; ++rank)
        threads.emplace_back([&, rank] {
            const auto hosts = loopback_hosts(count);
            auto collective = Collective::connect({hosts.rbegin(), hosts.rend()}, hosts[rank], quick(port));
            ASSERT_TRUE(collective) << collective.error().message;
            EXPECT_EQ(collective->rank(), rank);
            EXPECT_EQ(collective->size(), count);
            work(*collective);
        });
}

TEST(Collective, OneHostNeedsNoNetwork) {
    auto collective = Collective::connect({"algo-1"}, "algo-1");
    ASSERT_TRUE(collective);
    std::vector<double> values = {1, 2};
    ASSERT_TRUE(collective->allreduce_sum(std::span<double>(values)));
    EXPECT_THAT(values, ElementsAre(1, 2));
    EXPECT_THAT(*collective->gather("x"), ElementsAre("x"));
}

TEST(Collective, SumsAreTheSameOnEveryHost) {
    as_hosts(4, [](Collective& collective) {
        std::vector<double> values(100000, 0.1 * static_cast<double>(collective.rank() + 1));
        ASSERT_TRUE(collective.allreduce_sum(std::span<double>(values)));
        EXPECT_THAT(values, Each(0.1 + 0.2 + 0.1 * 3 + 0.4));
        std::vector<float> floats = {static_cast<float>(collective.rank())};
        ASSERT_TRUE(collective.allreduce_sum(std::span<float>(floats)));
        EXPECT_THAT(floats, ElementsAre(6));
        std::vector<double> largest = {static_cast<double>(collective.rank())};
        ASSERT_TRUE(collective.allreduce_max(std::span<double>(largest)));
        EXPECT_THAT(largest, ElementsAre(3));
    });
}

TEST(Collective, BroadcastAndGatherMoveBytes) {
    as_hosts(3, [](Collective& collective) {
        std::string bytes = collective.rank() == 0 ? std::string(1 << 20, 'a') : "";
        ASSERT_TRUE(collective.broadcast(bytes));
        EXPECT_EQ(bytes, std::string(1 << 20, 'a'));
        auto all = collective.gather(std::string(collective.rank(), 'x'));
        ASSERT_TRUE(all);
        if (collective.rank() == 0) {
            EXPECT_THAT(*all, ElementsAre("", "x", "xx"));
        } else {
            EXPECT_THAT(*all, IsEmpty());
        }
    });
}

TEST(Collective, HostsThatDisagreeGetAnError) {
    as_hosts(2, [](Collective& collective) {
        std::vector<double> values(collective.rank() == 0 ? 3 : 4);
        EXPECT_FALSE(collective.allreduce_sum(std::span<double>(values)));
    });
}

TEST(Collective, AllFailWithTheErrorOfTheFirstFailingHost) {
    as_hosts(3, [](Collective& collective) {
        EXPECT_TRUE(collective.agree({}));
        auto outcome =
            collective.agree(collective.rank() == 1 ? Result<void>(invalid_input("line 3: bad")) : Result<void>());
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().kind, ErrorKind::InvalidInput);
        EXPECT_EQ(outcome.error().message, "line 3: bad");
    });
}

TEST(Collective, ALostHostIsNoticed) {
    as_hosts(2, [](Collective& collective) {
        if (collective.rank() == 1) {
            collective = Collective();
            return;
        }
        std::vector<double> values(3);
        auto outcome = collective.allreduce_sum(std::span<double>(values));
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().kind, ErrorKind::Unavailable);
        EXPECT_THAT(outcome.error().message, HasSubstr("127.0.0.2"));
    });
}

TEST(Collective, AHostThatNeverComesIsNamed) {
    auto options = quick(free_port());
    options.connect_timeout = std::chrono::milliseconds(100);
    auto collective = Collective::connect(loopback_hosts(3), "127.0.0.1", options);
    ASSERT_FALSE(collective);
    EXPECT_EQ(collective.error().message, "these hosts did not come up in time: 127.0.0.2, 127.0.0.3");
    EXPECT_FALSE(Collective::connect(loopback_hosts(2), "127.0.0.2", options));
    EXPECT_FALSE(Collective::connect(loopback_hosts(2), "algo-9", options));
}

TEST(Collective, StrangersAtTheDoorAreIgnored) {
    const uint16_t port = free_port();
    std::jthread stranger([port] {
        for (int i = 0; i < 100; ++i) {
            const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = htons(port);
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
                (void)!write(socket.get(), "GET / HTTP/1.1\r\n\r\n", 18);
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    });
    std::jthread first([port] { EXPECT_TRUE(Collective::connect(loopback_hosts(2), "127.0.0.1", quick(port))); });
    stranger.join();
    EXPECT_TRUE(Collective::connect(loopback_hosts(2), "127.0.0.2", quick(port)));
}

}  // namespace
}  // namespace millwright::algorithms
