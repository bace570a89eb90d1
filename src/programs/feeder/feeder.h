// The Pipe channels of a run: one stream per channel and host, a few threads with an event loop each.
//
// A stream offers the FIFO of its next epoch. As soon as somebody opens it the epoch begins to flow and the FIFO of the
// one after it is offered. An epoch ends when all of it is in the pipe, or when its reader has gone.
#pragma once

#include "base/result.h"
#include "executors/contract/feed_spec.h"

namespace millwright::feeder {

// Does not return while all is well: the process ends by a signal.
Result<void> feed(const executors::FeedSpec& spec);

}  // namespace millwright::feeder
