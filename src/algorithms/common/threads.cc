#include "algorithms/common/threads.h"

#include <sched.h>

#include <exception>
#include <thread>
#include <vector>

namespace millwright::algorithms {

void run_on_threads(unsigned threads, const std::function<void(unsigned)>& work) {
    if (threads <= 1) return work(0);
    std::vector<std::exception_ptr> failures(threads);
    const auto guarded = [&](unsigned thread) {
        try {
            work(thread);
        } catch (...) {
            failures[thread] = std::current_exception();
        }
    };
    {
        std::vector<std::jthread> others;
        for (unsigned thread = 0; thread + 1 < threads; ++thread) others.emplace_back(guarded, thread);
        guarded(threads - 1);
    }
    for (const auto& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

unsigned processor_count() {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return std::max(1u, std::thread::hardware_concurrency());
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
}

}  // namespace millwright::algorithms
