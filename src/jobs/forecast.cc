#include "jobs/forecast.h"

#include <algorithm>

namespace millwright::jobs {
namespace {

using std::chrono::milliseconds;
using Duration = std::optional<milliseconds> Expected::*;

// One play of the queue in which everything takes as long as `duration` says.
class Play {
  public:
    Play(const Machine& machine, const FairQueue& queue, Duration duration)
        : machine_(machine), capacity_(machine), queue_(queue), duration_(duration) {}

    void add_running(const RunningShare& run) {
        capacity_.take(run.demand);
        end_later({run.owner, run.demand}, run.left);
    }

    std::map<uint64_t, milliseconds> starts(const std::map<uint64_t, WaitingShare>& waiting, size_t limit) {
        std::map<uint64_t, milliseconds> found;
        while (found.size() < limit) {
            const auto head = queue_.head();
            if (!head) break;
            const auto& wish = waiting.at(*head);
            if (!capacity_.fits(wish.demand)) {
                if (!end_next()) break;
                continue;
            }
            found[*head] = now_;
            queue_.remove(wish.owner, *head);
            queue_.started(wish.owner, dominant_share(machine_, wish.demand));
            capacity_.take(wish.demand);
            end_later({wish.owner, wish.demand}, wish.lasts);
        }
        return found;
    }

  private:
    struct Holder {
        std::string owner;
        Demand demand;
    };

    void end_later(Holder holder, const Expected& lasts) {
        if (const auto& after = lasts.*duration_) ends_.emplace(now_ + *after, std::move(holder));
    }
    // False: whatever still runs ends nobody knows when.
    bool end_next() {
        if (ends_.empty()) return false;
        const auto next = ends_.begin();
        now_ = std::max(now_, next->first);
        capacity_.give_back(next->second.demand);
        queue_.ended(next->second.owner, dominant_share(machine_, next->second.demand));
        ends_.erase(next);
        return true;
    }

    const Machine machine_;
    Capacity capacity_;
    FairQueue queue_;
    const Duration duration_;
    milliseconds now_{0};
    std::multimap<milliseconds, Holder> ends_;
};

std::string minute_text(Timestamp time) {
    constexpr int64_t kMinute = 60'000;
    const auto minutes = (to_epoch_milliseconds(time) + kMinute - 1) / kMinute;
    auto text = format_iso8601(from_epoch_milliseconds(minutes * kMinute)).substr(0, 16);
    text[10] = ' ';
    return text + " UTC";
}

}  // namespace

double dominant_share(const Machine& machine, const Demand& demand) {
    return std::max(demand.cpus / machine.cpus,
                    static_cast<double>(demand.memory_bytes) / static_cast<double>(machine.memory_bytes));
}

Expected left_of(const Expected& expected, milliseconds elapsed) {
    Expected left;
    if (expected.most) left.most = std::max(milliseconds(0), *expected.most - elapsed);
    if (!expected.usual) return left;
    left.usual = *expected.usual > elapsed ? *expected.usual - elapsed : elapsed / 4;
    if (left.most) left.usual = std::min(*left.usual, *left.most);
    return left;
}

std::map<uint64_t, ExpectedStart> forecast(const Machine& machine, const std::vector<RunningShare>& running,
                                           const FairQueue& queue, const std::map<uint64_t, WaitingShare>& waiting,
                                           size_t limit) {
    std::map<uint64_t, ExpectedStart> starts;
    const auto play = [&](Duration duration, std::optional<milliseconds> ExpectedStart::*member) {
        Play game(machine, queue, duration);
        for (const auto& run : running) game.add_running(run);
        for (const auto& [item, start] : game.starts(waiting, limit)) starts[item].*member = start;
    };
    play(&Expected::usual, &ExpectedStart::usual);
    play(&Expected::most, &ExpectedStart::most);
    return starts;
}

std::string to_text(const ExpectedStart& start, Timestamp now) {
    std::string text;
    if (start.usual) text = "expected to start about " + minute_text(now + *start.usual);
    if (start.most) {
        text += text.empty() ? "expected to start" : ",";
        text += " at most by " + minute_text(now + *start.most);
    }
    return text;
}

}  // namespace millwright::jobs
