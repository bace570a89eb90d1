// How long a training job is going to run, by what jobs before it have taken.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "jobs/forecast.h"
#include "metadata_store/database.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::resources {

// What the names of repeated jobs have in common: "digits-2026-11-23-03-50-00-123" -> "digits", "trial17" -> "trial".
// Empty when less than three characters are left.
std::string like_named_prefix(const std::string& name);
// Of the middle one; of two the longer. None without any.
std::optional<std::chrono::seconds> median(std::vector<int64_t> seconds);

// Usually: the median of the last like-named jobs, else of the last jobs of the account. At most: `most`.
jobs::Expected expected_duration(metadata_store::Database& database, const TrainingJob& job, std::chrono::seconds most);

}  // namespace millwright::resources
