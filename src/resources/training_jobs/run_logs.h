// The log streams of a training job, one per host, which all its segments share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "resources/logs/logs.h"
#include "resources/training_jobs/training_jobs.h"

namespace millwright::resources {

inline constexpr const char* kTrainingLogGroup = "/aws/sagemaker/TrainingJobs";

// "<job>/algo-1-<seconds since 1970 of the creation>"
std::string training_log_stream(const TrainingJob& job, int host);

// The files behind the streams, in order of the hosts. Idempotent.
Result<std::vector<std::string>> open_job_logs(Logs& logs, const TrainingJob& job, int hosts);

// In front of what the run itself writes: what its users should know. Nothing when the note is empty. REQUIRES: no
// launcher writes to the files yet.
void note_in_logs(const std::vector<std::string>& files, const std::string& note, Timestamp now);

// Where the run's part of its logs begins, behind what earlier segments and we have written; kept in its folder.
Result<void> note_log_begins(const std::string& folder, const std::vector<std::string>& files);
std::vector<uint64_t> log_begins(const std::string& folder);  // empty: unknown

}  // namespace millwright::resources
