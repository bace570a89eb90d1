// The card of a training job: as a document between server and command line, and as text for people.
#pragma once

#include <string>

#include "base/json.h"
#include "resources/training_jobs/training_job_card.h"

namespace millwright::programs {

Json card_to_json(const resources::TrainingJobCard& card);

// What happened, where, why, and what to try. `card` is card_to_json() with "last_lines".
std::string card_text(const Json& card);

// A table of {"jobs"}.
std::string job_table(const Json& list);

}  // namespace millwright::programs
