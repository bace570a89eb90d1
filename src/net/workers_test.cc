#include "net/workers.h"

#include <gtest/gtest.h>

#include <map>

namespace millwright::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Work that is taken as the server takes its events, and a thread that looks after the workers like the front.
class WorkersTest : public ::testing::Test {
  protected:
    using Task = std::function<void()>;

    void start(int base, int most) {
        workers_ = std::make_unique<Workers>(
            base, most, [this] { run(); }, [this] { ++calls_; });
        workers_->start();
    }
    void TearDown() override {
        {
            const MutexLock lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        if (workers_) workers_->stop();
    }
    void give(Task task) {
        {
            const MutexLock lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        changed_.notify_one();
    }
    bool look() {
        return workers_->look_after([this] {
            const MutexLock lock(mutex_);
            return !tasks_.empty();
        });
    }
    template <typename Question>
    static bool eventually(const Question& question) {
        const auto end = steady_clock::now() + std::chrono::seconds(20);
        while (steady_clock::now() < end) {
            if (question()) return true;
            std::this_thread::sleep_for(milliseconds(1));
        }
        return false;
    }
    int listening() {
        const MutexLock lock(mutex_);
        return listening_;
    }
    size_t threads() {
        const MutexLock lock(mutex_);
        return served_by_.size();
    }
    void run() {
        while (workers_->await_turn()) {
            workers_->begin_listening();
            Task task;
            {
                const MutexLock lock(mutex_);
                ++listening_;
                while (tasks_.empty() && !ending_) changed_.wait(mutex_);
                --listening_;
                if (!tasks_.empty()) {
                    task = std::move(tasks_.front());
                    tasks_.pop_front();
                    ++served_by_[std::this_thread::get_id()];
                }
            }
            workers_->end_listening(task != nullptr);
            if (!task) return;
            task();
            ++done_;
        }
    }

    Mutex mutex_;
    Condition changed_;
    std::list<Task> tasks_;
    std::map<std::thread::id, int> served_by_;
    bool ending_ = false;
    int listening_ = 0;
    std::atomic<int> done_ = 0, calls_ = 0;
    std::unique_ptr<Workers> workers_;
};

const int kAwake = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));

TEST_F(WorkersTest, FewListenAndTheOthersRest) {
    start(64 + kAwake, 1024);
    EXPECT_TRUE(eventually([&] { return listening() == kAwake; }));
    // Nobody blocks, so nobody else is needed; threads that have just been started may take a place first.
    EXPECT_TRUE(eventually([&] {
        {
            const MutexLock lock(mutex_);
            served_by_.clear();
        }
        const int before = done_;
        for (int i = 0; i < 500; ++i) give([] {});
        return eventually([&] { return done_ == before + 500; }) && threads() <= static_cast<size_t>(kAwake);
    }));
    EXPECT_TRUE(eventually([&] { return listening() == kAwake; }));
}

TEST_F(WorkersTest, ForOneThatBlocksAnotherIsAwake) {
    start(3 * kAwake, 1024);
    std::atomic<bool> free = false;
    std::atomic<int> blocked = 0;
    for (int i = 0; i < 2 * kAwake; ++i)
        give([&] {
            const Blocking blocking;
            const Blocking inner;  // counts once
            ++blocked;
            while (!free) std::this_thread::sleep_for(milliseconds(1));
        });
    EXPECT_TRUE(eventually([&] { return blocked == 2 * kAwake; })) << blocked << " without a look at them";
    give([] {});
    EXPECT_TRUE(eventually([&] { return done_ == 1; }));
    free = true;
    EXPECT_TRUE(eventually([&] { return done_ == 2 * kAwake + 1; }));
    EXPECT_TRUE(eventually([&] { return listening() == kAwake; })) << "and then they rest again";
}

TEST_F(WorkersTest, WhoIsStuckWithoutSayingSoIsFoundByALook) {
    start(3 * kAwake, 1024);
    std::atomic<bool> free = false;
    std::atomic<int> stuck = 0;
    for (int i = 0; i < 2 * kAwake; ++i)
        give([&] {
            ++stuck;
            while (!free) std::this_thread::sleep_for(milliseconds(1));
        });
    EXPECT_TRUE(eventually([&] { return calls_ > 0; })) << "nobody listens";
    EXPECT_TRUE(eventually([&] { return stuck == kAwake; }));
    std::this_thread::sleep_for(milliseconds(50));
    EXPECT_EQ(stuck, kAwake);
    EXPECT_TRUE(eventually([&] { return look() && stuck == 2 * kAwake; }));
    free = true;
    EXPECT_TRUE(eventually([&] { return done_ == 2 * kAwake; }));
    // Those that were added go, and then nobody looks any more.
    EXPECT_TRUE(eventually([&] { return !look(); }));
    for (int i = 0; i < 100; ++i) give([] {});
    EXPECT_TRUE(eventually([&] { return done_ == 2 * kAwake + 100 && listening() == kAwake; }));
}

TEST_F(WorkersTest, WhoPausesIsReplacedBeyondTheBaseAndTheSurplusEnds) {
    start(2, 6);
    std::atomic<bool> free = false;
    std::atomic<int> paused = 0;
    for (int i = 0; i < 5; ++i)
        give([&] {
            const Blocking pause(Blocking::Wait::Long);
            ++paused;
            while (!free) std::this_thread::sleep_for(milliseconds(1));
        });
    EXPECT_TRUE(eventually([&] { return paused == 5; }));
    give([] {});
    EXPECT_TRUE(eventually([&] { return done_ == 1; }));
    free = true;
    EXPECT_TRUE(eventually([&] { return done_ == 6; }));
    EXPECT_TRUE(eventually([&] { return listening() == 2; }));
    std::this_thread::sleep_for(milliseconds(2500));
    workers_->join_retired();
    for (int i = 0; i < 100; ++i) give([] {});
    EXPECT_TRUE(eventually([&] { return done_ == 106; }));
}

TEST_F(WorkersTest, EndsWhileOthersBlockAndRest) {
    start(3 * kAwake, 1024);
    const auto blocked = std::make_shared<std::atomic<int>>(0);
    for (int i = 0; i < kAwake; ++i)
        give([blocked] {
            const Blocking blocking;
            ++*blocked;
            // Until each is with a worker of its own.
            EXPECT_TRUE(eventually([&] { return *blocked == kAwake; }));
            std::this_thread::sleep_for(milliseconds(50));
        });
    EXPECT_TRUE(eventually([&] { return threads() == static_cast<size_t>(kAwake); }));
}

// All kinds of work from many threads; nothing may be left behind.
TEST_F(WorkersTest, TakesEverythingThatIsGiven) {
    start(32, 64);
    std::atomic<bool> looking = true;
    std::jthread front([&] {
        while (looking) {
            look();
            std::this_thread::sleep_for(milliseconds(5));
        }
    });
    {
        std::vector<std::jthread> givers;
        for (int giver = 0; giver < 4; ++giver)
            givers.emplace_back([&, giver] {
                for (int i = 0; i < 500; ++i) {
                    const int kind = (i + giver) % 5;
                    give([kind] {
                        if (kind == 0) {
                            const Blocking blocking;
                            std::this_thread::sleep_for(std::chrono::microseconds(300));
                        } else if (kind == 1) {
                            const Blocking pause(Blocking::Wait::Long);
                            std::this_thread::sleep_for(milliseconds(1));
                        } else if (kind == 2) {
                            std::this_thread::sleep_for(milliseconds(1));
                        }
                    });
                    if (i % 50 == 0) std::this_thread::sleep_for(milliseconds(3));
                }
            });
    }
    EXPECT_TRUE(eventually([&] { return done_ == 2000; })) << done_;
    looking = false;
}

}  // namespace
}  // namespace millwright::net
