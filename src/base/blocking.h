// A thread that answers requests says when it waits for something that is not the processor (a commit, a disk, a peer),
// so that its pool can let another thread work meanwhile.
#pragma once

namespace millwright {

// While one lives, the calling thread waits. On threads of no pool it does nothing; may be nested. Costs some ten
// nanoseconds, and waking another thread where all others wait, too.
class Blocking {
  public:
    Blocking();
    ~Blocking();
    Blocking(const Blocking&) = delete;
    Blocking& operator=(const Blocking&) = delete;

    // What a pool has to do then; called on the waiting thread. Takes no lock that is held around a wait.
    class Pool {
      public:
        virtual ~Pool() = default;
        virtual void block() = 0;
        virtual void unblock() = 0;
    };
    // The pool to which the calling thread belongs from now on; null for none.
    static void set_pool(Pool* pool);
};

}  // namespace millwright
