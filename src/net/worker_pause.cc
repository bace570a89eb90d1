#include "net/worker_pause.h"

namespace millwright::net {
namespace {

thread_local WorkerPause::Pool* own_pool = nullptr;
thread_local int depth = 0;

}  // namespace

WorkerPause::WorkerPause() {
    if (own_pool != nullptr && depth++ == 0) own_pool->pause();
}

WorkerPause::~WorkerPause() {
    if (own_pool != nullptr && --depth == 0) own_pool->resume();
}

void WorkerPause::set_pool(Pool* pool) { own_pool = pool; }

}  // namespace millwright::net
