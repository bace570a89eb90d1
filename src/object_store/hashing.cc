#include "object_store/hashing.h"

#include <algorithm>
#include <atomic>

#include "base/blocking.h"

namespace millwright::object_store {
namespace {

std::atomic<unsigned> lanes_taken{0};

bool take_lane() {
    static const unsigned lanes = std::max(2u, std::thread::hardware_concurrency());
    if (lanes_taken.fetch_add(1, std::memory_order_relaxed) < lanes) return true;
    lanes_taken.fetch_sub(1, std::memory_order_relaxed);
    return false;
}

}  // namespace

StreamHasher::~StreamHasher() {
    if (!thread_.joinable()) return;
    {
        const MutexLock lock(mutex_);
        ended_ = true;
        hashed_ = submitted_;  // nobody wants the rest
    }
    changed_.notify_all();
    thread_.join();
    lanes_taken.fetch_sub(1, std::memory_order_relaxed);
}

std::span<char> StreamHasher::next_buffer() {
    auto& buffer = buffers_[submitted_count_ % kBuffers];
    if (!buffer) buffer = std::make_unique_for_overwrite<char[]>(kBufferBytes);
    if (has_lane_) {
        const Blocking blocking;
        const MutexLock lock(mutex_);
        while (hashed_ + kBuffers <= submitted_count_) changed_.wait(mutex_);
    }
    return {buffer.get(), kBufferBytes};
}

std::string_view StreamHasher::submit(size_t size) {
    const size_t place = submitted_count_ % kBuffers;
    const std::string_view piece(buffers_[place].get(), size);
    if (submitted_count_++ == 1 && !asked_) {
        asked_ = true;
        has_lane_ = take_lane();
        if (has_lane_) {
            {
                const MutexLock lock(mutex_);
                submitted_ = hashed_ = 1;
            }
            thread_ = std::jthread([this] { hash_all(); });
        }
    }
    if (!has_lane_) {
        hasher_.update(piece);
        return piece;
    }
    {
        const MutexLock lock(mutex_);
        sizes_[place] = size;
        submitted_ = submitted_count_;
    }
    changed_.notify_all();
    return piece;
}

void StreamHasher::hash_all() {
    for (;;) {
        std::string_view piece;
        {
            const MutexLock lock(mutex_);
            while (hashed_ == submitted_ && !ended_) changed_.wait(mutex_);
            if (hashed_ == submitted_) return;
            const size_t place = hashed_ % kBuffers;
            piece = {buffers_[place].get(), sizes_[place]};
        }
        hasher_.update(piece);
        {
            const MutexLock lock(mutex_);
            if (hashed_ < submitted_) ++hashed_;
        }
        changed_.notify_all();
    }
}

Hasher::Sums StreamHasher::finish() {
    if (has_lane_) {
        {
            const MutexLock lock(mutex_);
            ended_ = true;
        }
        changed_.notify_all();
        thread_.join();
        has_lane_ = false;
        lanes_taken.fetch_sub(1, std::memory_order_relaxed);
    }
    return hasher_.finish();
}

}  // namespace millwright::object_store
