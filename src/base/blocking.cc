#include "base/blocking.h"

namespace millwright {
namespace {

thread_local Blocking::Pool* own_pool = nullptr;
thread_local int blocks = 0, pauses = 0;  // that live

}  // namespace

Blocking::Blocking(Wait wait) : pauses_(wait == Wait::Long) {
    if (own_pool == nullptr) return;
    if (blocks++ == 0) own_pool->block();
    if (pauses_ && pauses++ == 0) own_pool->pause();
}

Blocking::~Blocking() {
    if (own_pool == nullptr) return;
    if (pauses_ && --pauses == 0) own_pool->resume();
    if (--blocks == 0) own_pool->unblock();
}

void Blocking::set_pool(Pool* pool) { own_pool = pool; }

}  // namespace millwright
