// A thread that answers requests says when it waits for something that is not the processor (a commit, a disk, a peer),
// so that its pool can let another thread work meanwhile.
#pragma once

namespace millwright {

// While one lives, the calling thread waits. On threads of no pool it does nothing; may be nested. Costs some ten
// nanoseconds, and waking another thread where all others wait, too.
class Blocking {
  public:
    // Long: for a slow client, a model, an event. Then another thread takes its place, so that those who wait never
    // keep those who could work from their pool. Costs a lock and perhaps a new thread: for milliseconds, not
    // microseconds.
    enum class Wait { Short, Long };

    explicit Blocking(Wait wait = Wait::Short);
    ~Blocking();
    Blocking(const Blocking&) = delete;
    Blocking& operator=(const Blocking&) = delete;

    // What a pool has to do then; called on the waiting thread. A long wait blocks and pauses.
    class Pool {
      public:
        virtual ~Pool() = default;
        // Takes no lock that is held around a wait.
        virtual void block() = 0;
        virtual void unblock() = 0;
        virtual void pause() = 0;
        virtual void resume() = 0;
    };
    // The pool to which the calling thread belongs from now on; null for none.
    static void set_pool(Pool* pool);

  private:
    const bool pauses_;
};

}  // namespace millwright
