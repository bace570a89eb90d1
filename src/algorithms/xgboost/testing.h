// For the tests of this module: a job folder to train in, and the golden cases.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "algorithms/common/training_environment.h"
#include "base/files.h"
#include "base/json.h"

namespace millwright::algorithms::xgboost {

inline std::string golden_path(const std::string& name) {
    return std::string(MILLWRIGHT_GOLDEN_DIR) + "/xgboost/" + name;
}

inline Json golden_cases() { return Json::parse(read_file(golden_path("cases.json")).value()).value(); }

// A folder like /opt/ml, removed at the end.
class JobFolder {
  public:
    JobFolder() {
        std::string pattern = testing::TempDir() + "millwright_xgboost_XXXXXX";
        base_ = mkdtemp(pattern.data());
        for (const char* folder : {"/input/config", "/input/data", "/model", "/output/data"})
            std::filesystem::create_directories(base_ + folder);
        environment.base = base_;
        environment.model_dir = base_ + "/model";
        environment.output_data_dir = base_ + "/output/data";
        environment.failure_path = base_ + "/output/failure";
        environment.hosts = {"algo-1"};
        environment.current_host = "algo-1";
        environment.algorithm = "xgboost";
        environment.algorithm_version = "1.7-1";
    }
    JobFolder(const JobFolder&) = delete;
    JobFolder& operator=(const JobFolder&) = delete;
    ~JobFolder() { std::filesystem::remove_all(base_); }

    // A channel with the given files (name -> content).
    void add_channel(const std::string& name, const std::string& content_type,
                     const std::map<std::string, std::string>& files) {
        Channel channel;
        channel.name = name;
        channel.path = base_ + "/input/data/" + name;
        channel.content_type = content_type;
        std::filesystem::create_directories(channel.path);
        for (const auto& [file, content] : files) {
            std::filesystem::create_directories(std::filesystem::path(channel.path + "/" + file).parent_path());
            CHECK(write_file(channel.path + "/" + file, content).has_value());
        }
        environment.channels.push_back(channel);
    }

    // Both channels of a golden data set.
    void add_golden(const std::string& data, const std::string& form) {
        for (const char* channel : {"train", "validation"}) {
            const std::string file = data + "_" + channel + "." + form;
            add_channel(channel, "text/" + form, {{file, read_file(golden_path(file)).value()}});
        }
    }

    const std::string& path() const { return base_; }
    std::string model() const { return base_ + "/model/xgboost-model"; }

    TrainingEnvironment environment{};

  private:
    std::string base_;
};

}  // namespace millwright::algorithms::xgboost
