// Two hosts of one job: two processes on this machine, named 127.0.0.1 and localhost. The test starts this
// same program again for each of them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/testing.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr const char* kBaseVariable = "MILLWRIGHT_TEST_HOST_BASE";
const std::vector<std::string> kHosts = {"127.0.0.1", "localhost"};

// Not a test of its own: what a host does.
TEST(TwoHostsWorker, Trains) {
    const char* base = std::getenv(kBaseVariable);
    if (base == nullptr) GTEST_SKIP() << "started by the TwoHosts tests";
    auto environment = TrainingEnvironment::load_from(base);
    ASSERT_TRUE(environment) << environment.error().message;
    const auto trained = train(*environment);
    ASSERT_TRUE(trained) << trained.error().message << " " << trained.error().detail;
}

class TwoHosts : public testing::Test {
  protected:
    // Rows [begin, end) of a file go to each host; an empty range: no file.
    void start(size_t host, const Json& hyperparameters, const std::map<std::string, std::string>& channels) {
        JobFolder& job = folders_[host];
        Json data = Json::object();
        for (const auto& [name, csv] : channels) {
            const std::map<std::string, std::string> files =
                csv.empty() ? std::map<std::string, std::string>{}
                            : std::map<std::string, std::string>{{"part.csv", csv}};
            job.add_channel(name, "text/csv", files);
            data.set(name, Json::object({{"ContentType", "text/csv"},
                                         {"TrainingInputMode", "File"},
                                         {"S3DistributionType", "ShardedByS3Key"}}));
        }
        const Json resources =
            Json::object({{"current_host", kHosts[host]}, {"hosts", Json::array({kHosts[0], kHosts[1]})}});
        const std::string config = job.path() + "/input/config/";
        ASSERT_TRUE(write_file(config + "hyperparameters.json", hyperparameters.dump()));
        ASSERT_TRUE(write_file(config + "inputdataconfig.json", data.dump()));
        ASSERT_TRUE(write_file(config + "resourceconfig.json", resources.dump()));
        spawn(host);
    }

    void spawn(size_t host) {
        std::vector<std::string> variables = {std::string(kBaseVariable) + "=" + folders_[host].path(),
                                              "OMP_WAIT_POLICY=passive", "OMP_NUM_THREADS=1"};
        std::vector<char*> environment;
        for (std::string& variable : variables) environment.push_back(variable.data());
        environment.push_back(nullptr);
        std::string program = "/proc/self/exe";
        std::string filter = "--gtest_filter=TwoHostsWorker.*";
        char* arguments[] = {program.data(), filter.data(), nullptr};
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 1, log_path(host).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
        ASSERT_EQ(posix_spawn(&processes_[host], program.c_str(), &actions, nullptr, arguments, environment.data()), 0);
        posix_spawn_file_actions_destroy(&actions);
    }

    // The exit status, or none when it does not end in time (then it is killed).
    std::optional<int> wait(size_t host, std::chrono::seconds limit = std::chrono::seconds(60)) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        int status = 0;
        while (waitpid(processes_[host], &status, WNOHANG) == 0) {
            if (std::chrono::steady_clock::now() > deadline) {
                kill(processes_[host], SIGKILL);
                waitpid(processes_[host], &status, 0);
                return std::nullopt;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        return status;
    }

    std::string log_path(size_t host) const { return folders_[host].path() + "/log"; }
    std::string log(size_t host) const { return read_file(log_path(host)).value_or(""); }

    static std::vector<std::string> evaluation_lines(const std::string& log) {
        std::vector<std::string> out;
        for (const auto line : split(log, '\n')) {
            if (line.starts_with('[') && line.find("]#011") != std::string_view::npos) out.emplace_back(line);
        }
        return out;
    }

    JobFolder folders_[2];
    pid_t processes_[2] = {};
};

std::pair<std::string, std::string> halves(const std::string& text) {
    const size_t cut = text.find('\n', text.size() / 2) + 1;
    return {text.substr(0, cut), text.substr(cut)};
}

double last_value(const std::string& line, const std::string& key) {
    const size_t at = line.find(key + ":");
    return at == std::string::npos ? NAN : strtod(line.c_str() + at + key.size() + 1, nullptr);
}

const Json kHyperparameters = Json::object({{"num_round", "8"},
                                            {"objective", "binary:logistic"},
                                            {"tree_method", "hist"},
                                            {"eval_metric", "logloss,accuracy,f1"},
                                            {"early_stopping_rounds", "20"}});

TEST_F(TwoHosts, TrainWhatOneHostTrains) {
    const std::string train_csv = read_file(golden_path("cancer_train.csv")).value();
    const std::string validation_csv = read_file(golden_path("cancer_validation.csv")).value();
    const auto [train_a, train_b] = halves(train_csv);
    const auto [validation_a, validation_b] = halves(validation_csv);
    start(0, kHyperparameters, {{"train", train_a}, {"validation", validation_a}});
    start(1, kHyperparameters, {{"train", train_b}, {"validation", validation_b}});
    ASSERT_EQ(wait(0), 0) << log(0);
    ASSERT_EQ(wait(1), 0) << log(1);
    EXPECT_TRUE(file_exists(folders_[0].model()));
    EXPECT_FALSE(file_exists(folders_[1].model()));
    const auto lines = evaluation_lines(log(0));
    ASSERT_EQ(lines.size(), 8U) << log(0);
    EXPECT_TRUE(evaluation_lines(log(1)).empty());

    JobFolder alone;
    for (const JsonMember& one : kHyperparameters.members())
        alone.environment.hyperparameters[one.name] = one.value.as_string();
    alone.add_golden("cancer", "csv");
    testing::internal::CaptureStdout();
    ASSERT_TRUE(train(alone.environment));
    const auto expected = evaluation_lines(testing::internal::GetCapturedStdout());
    for (const char* metric : {"train-logloss", "train-accuracy", "train-f1", "validation-logloss",
                               "validation-accuracy", "validation-f1"}) {
        EXPECT_NEAR(last_value(lines.back(), metric), last_value(expected.back(), metric), 0.03) << metric;
    }
}

TEST_F(TwoHosts, OneWithoutDataLeavesAndTheOtherTrainsAlone) {
    const std::string csv = read_file(golden_path("cancer_train.csv")).value();
    const Json hyperparameters = Json::object({{"num_round", "3"}, {"objective", "binary:logistic"}});
    start(0, hyperparameters, {{"train", ""}});
    start(1, hyperparameters, {{"train", csv}});
    ASSERT_EQ(wait(0), 0) << log(0);
    ASSERT_EQ(wait(1), 0) << log(1);
    EXPECT_THAT(log(0), testing::HasSubstr("does not have training data"));
    EXPECT_FALSE(file_exists(folders_[0].model()));
    ASSERT_TRUE(file_exists(folders_[1].model()));
    JobFolder alone;
    alone.environment.hyperparameters = {{"num_round", "3"}, {"objective", "binary:logistic"}};
    alone.add_channel("train", "text/csv", {{"part.csv", csv}});
    testing::internal::CaptureStdout();
    ASSERT_TRUE(train(alone.environment));
    EXPECT_EQ(evaluation_lines(log(1)), evaluation_lines(testing::internal::GetCapturedStdout()));
}

TEST_F(TwoHosts, BothWithoutDataAreTheUsersMistake) {
    const Json hyperparameters = Json::object({{"num_round", "3"}});
    start(0, hyperparameters, {{"train", ""}});
    start(1, hyperparameters, {{"train", ""}});
    EXPECT_NE(wait(0), 0);
    EXPECT_NE(wait(1), 0);
    EXPECT_THAT(log(0), testing::HasSubstr("No data in training channel path on any host"));
}

TEST_F(TwoHosts, TheLossOfOneEndsTheOther) {
    const std::string csv = read_file(golden_path("cancer_train.csv")).value();
    const auto [a, b] = halves(csv);
    const Json hyperparameters =
        Json::object({{"num_round", "1000000"}, {"objective", "binary:logistic"}, {"tree_method", "hist"}});
    start(0, hyperparameters, {{"train", a}});
    start(1, hyperparameters, {{"train", b}});
    for (int i = 0; i < 6000 && evaluation_lines(log(0)).size() < 3; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_GE(evaluation_lines(log(0)).size(), 3U) << log(0);
    kill(processes_[1], SIGKILL);
    EXPECT_TRUE(wait(1).has_value());
    const auto status = wait(0, std::chrono::seconds(30));
    ASSERT_TRUE(status.has_value()) << "the other host went on or hangs";
    EXPECT_NE(*status, 0);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
