#include "executors/contract/failure.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event_file.h"
#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

class FailureTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "failureXXXXXX";
        folder_ = mkdtemp(pattern.data());
        for (const char* host : {"/algo-1/ml/output", "/algo-2/ml/output"})
            ASSERT_TRUE(make_directories(folder_ + host));
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

    FailedRun run() const {
        constexpr uint64_t kMemory = uint64_t{512} << 20;
        return {folder_, {}, {}, {}, {kMemory, kMemory}, 0};
    }
    std::string reason(std::vector<HostOutcome> hosts) {
        RunOutcome outcome;
        outcome.hosts = std::move(hosts);
        return training_failure_reason(run(), outcome);
    }
    void write(const std::string& host, std::string_view text) {
        ASSERT_TRUE(write_file(folder_ + "/" + host + "/ml/output/failure", text));
    }
    static HostOutcome exited(int code) { return {.exit_code = code, .signal = 0, .out_of_memory = false}; }
    std::string folder_;
};

TEST_F(FailureTest, SaysTheTextOfTheFailureFileAndTheExitCode) {
    write("algo-1", "ValueError: no rows\n");
    EXPECT_EQ(reason({exited(1)}), "AlgorithmError: ValueError: no rows, exit code: 1");
}

TEST_F(FailureTest, KeepsTextThatNamesItsKind) {
    write("algo-1", "ClientError: Extraneous hyperparameter found: x");
    EXPECT_EQ(reason({exited(1)}), "ClientError: Extraneous hyperparameter found: x");
}

TEST_F(FailureTest, IsCutTo1024CharactersOfValidText) {
    std::string text;
    for (int i = 0; i < 1500; ++i) text += "\xC3\xA9";
    write("algo-1", text + "\xFF");
    const auto cut = reason({exited(3)});
    EXPECT_TRUE(is_valid_utf8(cut));
    EXPECT_EQ(utf8_length(cut), 1024u);
    EXPECT_TRUE(cut.ends_with(", exit code: 3"));
    write("algo-1", "ClientError: " + std::string(3000, 'x'));
    EXPECT_EQ(reason({exited(1)}).size(), 1024u);
}

TEST_F(FailureTest, WithoutAFileGivesTheCodeTheSignalOrTheMemory) {
    EXPECT_EQ(reason({exited(7)}), "AlgorithmError: , exit code: 7");
    EXPECT_EQ(reason({{.exit_code = 139, .signal = 11, .out_of_memory = false}}),
              "AlgorithmError: the process was killed by signal SIGSEGV (Segmentation fault), exit code: 139");
    const auto memory = reason({{.exit_code = 137, .signal = 9, .out_of_memory = true}});
    EXPECT_NE(memory.find("512 MiB of memory"), std::string::npos) << memory;
    EXPECT_TRUE(memory.ends_with(", exit code: 137"));
}

TEST_F(FailureTest, QuotesTheLogAndSaysWhereItIs) {
    std::string log;
    for (const char* line : {"epoch 1", "Traceback (most recent call last):", "KeyError: 'label'"})
        append_event(log, 1, line);
    ASSERT_TRUE(write_file(folder_ + "/log-2", log));
    RunOutcome outcome;
    outcome.hosts = {exited(143), exited(1)};
    outcome.first_failure = 1;
    auto failed = run();
    failed.log_files = {folder_ + "/log-1", folder_ + "/log-2"};
    failed.log_streams = {"job/algo-1-17", "job/algo-2-17"};
    EXPECT_EQ(
        training_failure_reason(failed, outcome),
        "AlgorithmError: Traceback (most recent call last):\nKeyError: 'label', exit code: 1 (algo-2 failed first, "
        "line 2 of log stream job/algo-2-17)");
    write("algo-2", std::string(2000, 'x'));
    const auto cut = training_failure_reason(failed, outcome);
    EXPECT_EQ(cut.size(), kMaxFailureReason);
    EXPECT_TRUE(cut.ends_with("xxx, exit code: 1 (algo-2 failed first, line 2 of log stream job/algo-2-17)")) << cut;
}

TEST_F(FailureTest, TheKernelsWordComesFirst) {
    write("algo-1", "MemoryError");
    HostOutcome end{.exit_code = 137, .signal = 9, .out_of_memory = true};
    EXPECT_EQ(reason({end}),
              "AlgorithmError: Please use an instance type with more memory: the process used more than the 512 MiB of "
              "memory it has. MemoryError, exit code: 137");
    end = {.exit_code = 1, .signal = 0, .out_of_memory = false, .out_of_disk = true};
    EXPECT_TRUE(reason({end}).starts_with("AlgorithmError: The disk of this machine is full. MemoryError"));
    RunOutcome outcome;
    outcome.hosts = {end};
    auto failed = run();
    failed.disk_limit = uint64_t{5} << 30;
    EXPECT_NE(training_failure_reason(failed, outcome).find("5120 MiB of disk it has (VolumeSizeInGB)"),
              std::string::npos);
    outcome.message = "algo-1 went on writing with only 90 MiB left on the disk of the server";
    EXPECT_NE(training_failure_reason(failed, outcome).find("The disk of this machine is full"), std::string::npos);
}

TEST_F(FailureTest, NamesTheSignalOfAShellsChild) {
    EXPECT_EQ(reason({exited(137)}),
              "AlgorithmError: a process of it was killed by signal SIGKILL (Killed), exit code: 137");
    EXPECT_EQ(reason({exited(127)}), "AlgorithmError: the command was not found, exit code: 127");
}

TEST_F(FailureTest, BlamesTheHostThatFailedNotTheOneThatWasStopped) {
    EXPECT_EQ(reason({{.exit_code = 143, .signal = 15, .out_of_memory = false}, exited(2)}),
              "AlgorithmError: , exit code: 2");
    write("algo-2", "bad shard");
    EXPECT_EQ(reason({{.exit_code = 137, .signal = 9, .out_of_memory = false}, exited(2)}),
              "AlgorithmError: bad shard, exit code: 2");
}

TEST_F(FailureTest, BelievesTheLauncherAboutWhoFailedFirst) {
    write("algo-1", "lost my peer");
    write("algo-2", "bad shard");
    RunOutcome outcome;
    outcome.hosts = {exited(1), exited(2)};
    outcome.first_failure = 1;
    EXPECT_EQ(training_failure_reason(run(), outcome), "AlgorithmError: bad shard, exit code: 2");
}

TEST_F(FailureTest, FollowsNoLinkAndWaitsForNoPipe) {
    ASSERT_TRUE(write_file(folder_ + "/secret", "the server's secret"));
    const auto file = folder_ + "/algo-1/ml/output/failure";
    ASSERT_EQ(symlink((folder_ + "/secret").c_str(), file.c_str()), 0);
    EXPECT_EQ(reason({exited(1)}), "AlgorithmError: , exit code: 1");
    ASSERT_EQ(unlink(file.c_str()), 0);
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    EXPECT_EQ(reason({exited(1)}), "AlgorithmError: , exit code: 1");
    ASSERT_TRUE(remove_tree(folder_ + "/algo-1/ml/output"));
    ASSERT_TRUE(make_directories(folder_ + "/elsewhere"));
    ASSERT_TRUE(write_file(folder_ + "/elsewhere/failure", "the server's secret"));
    ASSERT_EQ(symlink((folder_ + "/elsewhere").c_str(), (folder_ + "/algo-1/ml/output").c_str()), 0);
    EXPECT_EQ(reason({exited(1)}), "AlgorithmError: , exit code: 1");
}

TEST_F(FailureTest, LostAndUnlaunchableRunsAreOurFault) {
    RunOutcome lost;
    lost.cause = RunOutcome::Cause::Lost;
    lost.message = "the machine restarted";
    EXPECT_EQ(training_failure_reason(run(), lost), "InternalServerError: the machine restarted");
}

}  // namespace
}  // namespace millwright::executors
