// One channel on one host: the FIFO that waits for its reader, and the epochs that flow.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "base/files.h"
#include "base/result.h"
#include "programs/feeder/channel_source.h"
#include "programs/feeder/epoch.h"
#include "programs/feeder/fifo.h"

namespace millwright::feeder {

// Epochs of one stream that flow at the same time: a reader may open the next before it has finished the last.
inline constexpr size_t kMaxFlowing = 4;
// The feeder's time is not the job's: one that only opens and closes must not get much of it.
inline constexpr double kMaxEpochsPerSecond = 1000;

class Stream {
  public:
    struct Flow {
        Stream* stream = nullptr;
        Fifo fifo;
        Epoch epoch;
    };
    enum class Offer {
        None,     // not now: too many flow
        Made,     // waiting() is new
        Failed,   // may work later; also when epochs are opened at a pace that only hostile readers have
        Blocked,  // something else is in the place: never
    };

    Stream(const ChannelSource& source, size_t rank, Fd folder)
        : source_(source), rank_(rank), folder_(std::move(folder)) {}

    // REQUIRES: waiting() is empty.
    Offer offer(int inotify);
    std::optional<Fifo>& waiting() { return waiting_; }
    // The FIFO that waited has been opened.
    Flow& begin();
    void end(Flow& flow);
    const std::string& channel() const { return source_.channel().name; }

  private:
    bool spend_credit();

    const ChannelSource& source_;
    const size_t rank_;
    const Fd folder_;
    uint64_t epoch_ = 0;  // of waiting_, or of what is offered next
    std::optional<Fifo> waiting_;
    std::list<Flow> flowing_;
    bool said_ = false;
    double credit_ = kMaxEpochsPerSecond;  // epochs that may be offered now
    std::chrono::steady_clock::time_point credited_ = std::chrono::steady_clock::now();
};

}  // namespace millwright::feeder
