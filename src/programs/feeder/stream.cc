#include "programs/feeder/stream.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace millwright::feeder {

namespace {
constexpr int kPipeBytes = 1 << 20;
}

bool Stream::spend_credit() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - std::exchange(credited_, now);
    credit_ = std::min(kMaxEpochsPerSecond, credit_ + passed.count() * kMaxEpochsPerSecond);
    if (credit_ < 1) return false;
    credit_ -= 1;
    return true;
}

Stream::Offer Stream::offer(int inotify) {
    if (flowing_.size() >= kMaxFlowing) return Offer::None;
    if (!spend_credit()) return Offer::Failed;
    auto made = offer_fifo(folder_.get(), channel() + "_" + std::to_string(epoch_), inotify);
    if (made) {
        waiting_ = std::move(*made);
        return Offer::Made;
    }
    if (!said_) std::fprintf(stderr, "%s: %s\n", made.error().message.c_str(), made.error().detail.c_str());
    said_ = true;
    return made.error().kind == ErrorKind::Conflict ? Offer::Blocked : Offer::Failed;
}

Stream::Flow& Stream::begin() {
    flowing_.push_back({this, std::move(*waiting_), Epoch(source_, rank_, epoch_)});
    waiting_.reset();
    ++epoch_;
    auto& flow = flowing_.back();
    // As much as an unprivileged process may have; with less it only takes more turns.
    fcntl(flow.fifo.write_end.get(), F_SETPIPE_SZ, kPipeBytes);
    return flow;
}

void Stream::end(Flow& flow) {
    remove_fifo(folder_.get(), flow.fifo);
    flowing_.remove_if([&](const Flow& one) { return &one == &flow; });
}

}  // namespace millwright::feeder
