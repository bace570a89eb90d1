#include "resources/training_jobs/run_logs.h"

#include <fcntl.h>

#include "base/event_file.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "executors/contract/training_contract.h"

namespace millwright::resources {
namespace {

constexpr const char* kLogBegins = "log-begins.json";  // in the folder of the run

}  // namespace

std::string training_log_stream(const TrainingJob& job, int host) {
    const auto epoch = static_cast<int64_t>(to_epoch_seconds(job.created));
    return job.name + "/" + executors::algo_name(host) + "-" + std::to_string(epoch);
}

Result<std::vector<std::string>> open_job_logs(Logs& logs, const TrainingJob& job, int hosts) {
    std::vector<std::string> files;
    for (int host = 0; host < hosts; ++host) {
        const StreamName name{job.account, job.region, kTrainingLogGroup, training_log_stream(job, host)};
        files.push_back(TRY(logs.open_job_stream(name)));
    }
    return files;
}

void note_in_logs(const std::vector<std::string>& files, const std::string& note, Timestamp now) {
    if (note.empty()) return;
    std::string event;
    append_event(event, to_epoch_milliseconds(now), note);
    for (const auto& file : files) {
        const auto log = open_file(file, O_WRONLY | O_APPEND | O_CREAT, 0600);
        const auto written = log ? write_all(log->get(), event) : Result<void>(log.error());
        if (!written) log::warning("writing to " + file, written.error());
    }
}

Result<void> note_log_begins(const std::string& folder, const std::vector<std::string>& files) {
    auto begins = Json::array();
    for (const auto& file : files) begins.push_back(TRY(end_of_events(file)));
    return write_file(folder + "/" + kLogBegins, begins.dump());
}

std::vector<uint64_t> log_begins(const std::string& folder) {
    std::vector<uint64_t> begins;
    const auto text = read_file(folder + "/" + kLogBegins);
    const auto document = text ? Json::parse(*text) : Result<Json>(Json());
    if (!document) return begins;
    for (const auto& begin : document->items()) begins.push_back(static_cast<uint64_t>(begin.int_or(0)));
    return begins;
}

}  // namespace millwright::resources
