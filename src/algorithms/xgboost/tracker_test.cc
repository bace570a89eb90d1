// The protocol with real workers is exercised by the two-host jobs in train_test.cc; here are strangers and
// the end.
#include "algorithms/xgboost/tracker.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "base/files.h"

namespace millwright::algorithms::xgboost {
namespace {

Fd connect_to(uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

bool finishes(const Tracker& tracker) {
    for (int i = 0; i < 200 && !tracker.finished(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return tracker.finished();
}

std::string number(int32_t value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
std::string text(const std::string& value) { return number(static_cast<int32_t>(value.size())) + value; }

std::string hello(const std::string& task, const std::string& command) {
    return number(0xff99) + number(-1) + number(-1) + text(task) + text(command);
}

TEST(Tracker, StrangersAreSentAway) {
    auto tracker = Tracker::start({"localhost", "127.0.0.1"}).value();
    for (const std::string& bytes :
         {std::string("GET / HTTP/1.1\r\n\r\n"), number(0xff99) + number(0) + number(0) + number(1 << 30)}) {
        const Fd fd = connect_to(tracker->port());
        ASSERT_TRUE(fd);
        ASSERT_TRUE(write_all(fd.get(), bytes));
    }
    EXPECT_FALSE(tracker->finished());
    EXPECT_EQ(tracker->problem(), "");
}

TEST(Tracker, IsDoneWhenAllHaveSaidGoodbye) {
    auto tracker = Tracker::start({"localhost", "127.0.0.1"}).value();
    for (const char* task : {"0", "1"}) {
        const Fd fd = connect_to(tracker->port());
        ASSERT_TRUE(write_all(fd.get(), hello(task, "shutdown")));
        char magic[4];
        ASSERT_EQ(recv(fd.get(), magic, sizeof magic, MSG_WAITALL), 4);
    }
    EXPECT_TRUE(finishes(*tracker));
    EXPECT_EQ(tracker->problem(), "");
}

TEST(Tracker, AnUnknownTaskIsAProblem) {
    auto tracker = Tracker::start({"localhost", "127.0.0.1"}).value();
    const Fd fd = connect_to(tracker->port());
    ASSERT_TRUE(write_all(fd.get(), hello("7", "start")));
    EXPECT_TRUE(finishes(*tracker));
    EXPECT_EQ(tracker->problem(), "tracker: unknown task 7");
}

TEST(Tracker, StopsWhileWaiting) {
    auto tracker = Tracker::start({"localhost", "127.0.0.1"}).value();
    const Fd fd = connect_to(tracker->port());
    ASSERT_TRUE(write_all(fd.get(), number(0xff99)));  // and silence
    const auto start = std::chrono::steady_clock::now();
    tracker.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
