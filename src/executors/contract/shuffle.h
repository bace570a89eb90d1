// The order that ShuffleConfig gives the objects of a channel. Every host and every program computes the same one
// without talking to the others, and without keeping it in memory.
#pragma once

#include <cstdint>

namespace millwright::executors {

// Where position `index` of the shuffled order is in the original one: for a fixed (count, seed, epoch) a permutation
// of 0 … count - 1. REQUIRES: index < count <= 2^62.
uint64_t shuffled_position(uint64_t index, uint64_t count, uint64_t seed, uint64_t epoch);

}  // namespace millwright::executors
