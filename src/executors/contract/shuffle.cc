#include "executors/contract/shuffle.h"

#include <bit>

namespace millwright::executors {
namespace {

constexpr int kRounds = 8;

// The finalizer of splitmix64.
uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

// A Feistel network is a permutation whatever its round function is.
uint64_t permute(uint64_t value, int half_bits, uint64_t key) {
    const uint64_t mask = (uint64_t{1} << half_bits) - 1;
    uint64_t left = value >> half_bits;
    uint64_t right = value & mask;
    for (int round = 0; round < kRounds; ++round) {
        const uint64_t next = left ^ (mix(right + key + static_cast<uint64_t>(round) * 0x9E3779B97F4A7C15u) & mask);
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

}  // namespace

uint64_t shuffled_position(uint64_t index, uint64_t count, uint64_t seed, uint64_t epoch) {
    if (count < 2) return index;
    // At least six bits: with fewer the network does not reach every permutation.
    const int bits = static_cast<int>(std::bit_width(count - 1));
    const int half_bits = bits <= 6 ? 3 : (bits + 1) / 2;
    const uint64_t key = mix(mix(seed + 0x9E3779B97F4A7C15u) + epoch);
    // The network permutes a power of four; values outside are sent on until one is inside.
    do index = permute(index, half_bits, key);
    while (index >= count);
    return index;
}

}  // namespace millwright::executors
