// Hashing beside receiving and writing: MD5, which the ETag needs, is slower than the network and the disk cache, and
// the bytes of one stream can be hashed one after the other only. So the pieces of a large stream are hashed on a
// thread of their own while the caller receives and writes the next ones.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "object_store/checksums.h"

namespace millwright::object_store {

// One stream; used by one thread.
class StreamHasher {
  public:
    static constexpr size_t kBufferBytes = size_t{256} << 10;

    explicit StreamHasher(Hasher hasher) : hasher_(std::move(hasher)) {}
    ~StreamHasher();

    // Room for the next piece, once its earlier bytes are hashed.
    std::span<char> next_buffer();
    // The first `size` bytes of next_buffer(): they may be read until next_buffer() has been called kBuffers times
    // more. The second piece begins a thread, unless there are as many as the machine has processors.
    std::string_view submit(size_t size);
    Hasher::Sums finish();  // after the last piece

  private:
    static constexpr size_t kBuffers = 4;
    void hash_all();

    Hasher hasher_;
    std::array<std::unique_ptr<char[]>, kBuffers> buffers_;
    uint64_t submitted_count_ = 0;  // of the caller
    bool asked_ = false, has_lane_ = false;
    Mutex mutex_;
    Condition changed_;
    std::array<size_t, kBuffers> sizes_ GUARDED_BY(mutex_){};
    uint64_t submitted_ GUARDED_BY(mutex_) = 0, hashed_ GUARDED_BY(mutex_) = 0;
    bool ended_ GUARDED_BY(mutex_) = false;
    std::jthread thread_;
};

}  // namespace millwright::object_store
