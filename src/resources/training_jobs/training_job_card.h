// Everything there is to know about one training job, for people: `millwright jobs show`.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "resources/training_jobs/training_jobs.h"

namespace millwright::resources {

struct TrainingHostCard {
    std::string name, log_stream;  // "algo-1"
    bool has_ended = false;        // only then what follows is known
    int exit_code = 0, signal = 0;
    bool out_of_memory = false, out_of_disk = false;
};

struct TrainingJobCard {
    TrainingJob job;
    std::string folder;  // of the present or last run while its files are there; else empty
    bool runs = false;
    bool spot = false;
    int interruptions = 0, retries = 0;
    std::vector<TrainingHostCard> hosts;
    int culprit = -1;             // index of the host whose failure ended the job
    std::string instances;        // "2 x ml.m5.xlarge"
    std::string wanted, granted;  // of each host: "4 vCPU and 16.0 GiB"
    uint64_t disk_bytes = 0;      // what each host may write; 0: no limit
    std::chrono::seconds max_runtime{};
    bool has_checkpoints = false;
    bool is_script = false;  // else a built-in algorithm, or
    std::string image;       // what it is called where it is
};

}  // namespace millwright::resources
