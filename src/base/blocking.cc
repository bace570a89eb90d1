#include "base/blocking.h"

namespace millwright {
namespace {

thread_local Blocking::Pool* own_pool = nullptr;
thread_local int depth = 0;

}  // namespace

Blocking::Blocking() {
    if (own_pool != nullptr && depth++ == 0) own_pool->block();
}

Blocking::~Blocking() {
    if (own_pool != nullptr && --depth == 0) own_pool->unblock();
}

void Blocking::set_pool(Pool* pool) { own_pool = pool; }

}  // namespace millwright
