// Fixed work on a fixed number of threads.
#pragma once

#include <functional>

namespace millwright::algorithms {

// Calls work(0) … work(threads - 1), each on its own thread (the last on this one), and waits for all of them.
// The first exception, if any (memory is all that throws), is thrown again here.
void run_on_threads(unsigned threads, const std::function<void(unsigned thread)>& work);

// Processors this process may use, at least 1.
unsigned processor_count();

}  // namespace millwright::algorithms
