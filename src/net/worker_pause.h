// A worker that waits for somebody else (a slow client, a model, an event) lets another worker take its place, so that
// those who wait never keep those who could work from their pool.
#pragma once

#include "base/blocking.h"

namespace millwright::net {

// While one lives, the calling thread counts as waiting, and as Blocking. Outside of a server's worker it does nothing.
// Cheap, but no more than a lock and perhaps a new thread: for waits of milliseconds, not microseconds.
class WorkerPause {
  public:
    WorkerPause();
    ~WorkerPause();
    WorkerPause(const WorkerPause&) = delete;
    WorkerPause& operator=(const WorkerPause&) = delete;

    // What a pool of workers has to do then.
    class Pool {
      public:
        virtual ~Pool() = default;
        virtual void pause() = 0;
        virtual void resume() = 0;
    };
    // The pool to which the calling thread belongs from now on; null for none.
    static void set_pool(Pool* pool);

  private:
    const Blocking blocking_;
};

}  // namespace millwright::net
