// Sums and exchanges between the hosts of one training job (algo-1 … algo-N), over TCP.
//
// A star around the first host in sorted order: every other host keeps one connection to it. Sums are added in host
// order, so the result is the same on every run and on every host. With one host nothing is opened and every call
// returns at once.
//
// All hosts must make the same calls in the same order with the same sizes; a mismatch is an error on all of them, and
// so is the loss of a host. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::algorithms {

struct CollectiveOptions {
    uint16_t port = 41177;
    // Time for all hosts to come up and find each other: name service may need minutes.
    std::chrono::milliseconds connect_timeout = std::chrono::minutes(15);
    // Longest silence of a peer inside one call; peers may be training meanwhile.
    std::chrono::milliseconds call_timeout = std::chrono::hours(1);
};

class Collective {
  public:
    // A job of one host.
    Collective() = default;
    Collective(Collective&&) noexcept = default;
    Collective& operator=(Collective&&) noexcept = default;
    // Waits until all hosts are connected. `hosts` as in resourceconfig.json; the first in sorted order (numbers by
    // value: algo-2 before algo-10) is rank 0.
    static Result<Collective> connect(std::vector<std::string> hosts, const std::string& current_host,
                                      const CollectiveOptions& options = {});

    size_t rank() const { return rank_; }
    size_t size() const { return size_; }

    Result<void> allreduce_sum(std::span<double> values);
    Result<void> allreduce_sum(std::span<float> values);
    Result<void> allreduce_max(std::span<double> values);
    // Copies the bytes of rank 0 to all; sizes may differ before the call.
    Result<void> broadcast(std::string& bytes);
    // Rank 0 gets the bytes of every host in rank order, others an empty list.
    Result<std::vector<std::string>> gather(std::string_view bytes);
    Result<void> barrier();
    // Where hosts do something that may fail on some of them only: all fail with the error of the first failing host
    // (by rank), or all go on. Makes a bad file on one host the reason everywhere, not a lost connection.
    Result<void> agree(const Result<void>& outcome);

  private:
    template <typename T, typename Combine>
    Result<void> allreduce(std::span<T> values, uint8_t operation, Combine combine);
    Result<void> send_message(size_t peer, uint8_t operation, std::string_view bytes);
    Result<uint64_t> receive_header(size_t peer, uint8_t operation);
    Result<std::string> receive_message(size_t peer, uint8_t operation);
    Result<void> transfer(size_t peer, uint8_t operation, std::span<char> bytes);
    std::string peer_name(size_t peer) const;

    size_t rank_ = 0;
    size_t size_ = 1;
    std::chrono::milliseconds call_timeout_{};
    std::vector<std::string> hosts_;
    std::vector<Fd> peers_;  // rank 0: by rank (its own is empty); others: [0] only
};

}  // namespace millwright::algorithms
