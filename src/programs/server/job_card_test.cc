#include "programs/server/job_card.h"

#include <gtest/gtest.h>

namespace millwright::programs {
namespace {

resources::TrainingJobCard card_of_two_hosts() {
    resources::TrainingJobCard card;
    card.job.name = "job";
    card.job.status = card.job.secondary_status = "Failed";
    card.job.failure_reason = "AlgorithmError: bad\x1b[2J shard, exit code: 2";
    card.job.training_start = Timestamp(std::chrono::seconds(100));
    card.job.training_seconds = 7;
    card.job.billable_seconds = 3;
    card.job.transitions = {{"Starting", "Starting the training job", Timestamp(std::chrono::seconds(90)), {}}};
    card.folder = "/data/jobs/1";
    card.hosts = {{"algo-1", "job/algo-1-1", true, 143, 15, false, false},
                  {"algo-2", "job/algo-2-1", true, 2, 0, false, false}};
    card.culprit = 1;
    card.instances = "2 x ml.m5.large";
    card.wanted = "2 vCPU and 8.0 GiB";
    card.granted = "1 vCPU and 4.0 GiB";
    card.disk_bytes = uint64_t{5} << 30;
    card.max_runtime = std::chrono::seconds(60);
    card.interruptions = 2;
    return card;
}

std::string text_of(const resources::TrainingJobCard& card) {
    auto document = card_to_json(card);
    document.set("last_lines", Json::array({"epoch 1", "bad shard\a"}));
    return card_text(document);
}

TEST(JobCard, SaysWhatHappenedWhereAndWhatToTry) {
    EXPECT_EQ(text_of(card_of_two_hosts()),
              "job: Failed\n"
              "\n"
              "  Why     AlgorithmError: bad?[2J shard, exit code: 2\n"
              "  End     algo-1: killed by SIGTERM (Terminated)\n"
              "          algo-2: exit code 2 (the first)\n"
              "  Time    7 s of at most 60 s, billed 3 s, interrupted 2 times\n"
              "  Hosts   2 x ml.m5.large, each 1 vCPU and 4.0 GiB (asked for: 2 vCPU and 8.0 GiB), 5 GiB of disk\n"
              "\n"
              "    00:01:30  Starting     Starting the training job\n"
              "\n"
              "  Last lines of log stream job/algo-2-1\n"
              "    | epoch 1\n"
              "    | bad shard?\n"
              "\n"
              "  Try\n"
              "    give it a CheckpointConfig: without one, each interruption starts it from the beginning\n"
              "    millwright jobs enter job    a shell in its files and environment, as it left them\n"
              "    millwright jobs logs job    all it wrote\n");
}

TEST(JobCard, TheKernelsVerdictDecidesTheAdvice) {
    auto card = card_of_two_hosts();
    card.hosts[1].out_of_memory = true;
    EXPECT_NE(text_of(card).find("algo-2: killed, because it used more memory than it has (the first)"),
              std::string::npos);
    EXPECT_NE(text_of(card).find("give it more memory"), std::string::npos);
    card.hosts[1].out_of_disk = true;
    EXPECT_NE(text_of(card).find("larger VolumeSizeInGB"), std::string::npos);
}

TEST(JobCard, AJobThatWaitsHasLittleToTell) {
    resources::TrainingJobCard card;
    card.job.name = "waits";
    card.job.status = "InProgress";
    card.job.secondary_status = "Pending";
    card.hosts = {{.name = "algo-1", .log_stream = "waits/algo-1-1"}};
    card.instances = "1 x ml.m5.large";
    card.wanted = card.granted = "2 vCPU and 8.0 GiB";
    card.max_runtime = std::chrono::seconds(60);
    EXPECT_EQ(card_text(card_to_json(card)),
              "waits: InProgress / Pending\n"
              "\n"
              "  Time    at most 60 s\n"
              "  Hosts   1 x ml.m5.large, each 2 vCPU and 8.0 GiB\n"
              "\n");
}

TEST(JobCard, TheTableLinesUp) {
    EXPECT_EQ(job_table(*Json::parse(R"({"jobs": []})")), "There are no training jobs.\n");
    EXPECT_EQ(job_table(*Json::parse(
                  R"({"jobs": [{"name": "a", "status": "Failed", "secondary_status": "Failed", "created": 0}]})")),
              "a     Failed                          1970-01-01T00:00:00Z\n");
}

}  // namespace
}  // namespace millwright::programs
