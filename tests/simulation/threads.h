// Threads, locks and time of the C library, as the scheduler has them. See threads.cc.
#pragma once

namespace millwright::simulation {

// Referenced by the simulation, so that the linker takes threads.cc.
void link_threads();
// Something was written: those that poll look again.
void something_may_be_readable();

}  // namespace millwright::simulation
