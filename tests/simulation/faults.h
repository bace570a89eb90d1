// Faults that a test plants into the engine, to see that the simulation finds them.
#pragma once

#include <memory>
#include <string_view>

#include "executors/executor.h"
#include "jobs/supervisor.h"
#include "metadata_store/database.h"
#include "simulation/scheduler.h"

namespace millwright::simulation {

enum class Fault {
    None,
    SkippedCommit,      // one write in thirty is acknowledged and not made
    NothingSynced,      // WithNext where Now is needed
    LostNotifications,  // a condition variable that is signalled wakes nobody, one time in fifty
    DoubleStart,        // a start that has succeeded is made again under another id, one time in twenty
    MissedAdoption,     // a restarted server forgets one living run in four
    LostEnd,            // the supervisor is not told of the end of a run, one time in twenty
    FalseLoss,          // a share that is given back stays taken
};

constexpr Fault kAllFaults[] = {Fault::SkippedCommit, Fault::NothingSynced,  Fault::LostNotifications,
                                Fault::DoubleStart,   Fault::MissedAdoption, Fault::LostEnd,
                                Fault::FalseLoss};
std::string_view name_of(Fault fault);

// The same object, or one before it that misbehaves.
std::unique_ptr<metadata_store::Database> with_fault(Fault fault, Dice& dice,
                                                     std::unique_ptr<metadata_store::Database> database);
std::unique_ptr<executors::Executor> with_fault(Fault fault, Dice& dice, std::unique_ptr<executors::Executor> executor);
std::unique_ptr<jobs::Supervisor> with_fault(Fault fault, Dice& dice, std::unique_ptr<jobs::Supervisor> supervisor);

}  // namespace millwright::simulation
