#include "resources/training_jobs/script_environment.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

std::string requirements(std::vector<std::string> entrypoint, std::vector<std::string> arguments) {
    TrainingCommand command;
    command.entrypoint = std::move(entrypoint);
    command.arguments = std::move(arguments);
    return remote_function_requirements(command);
}

const std::vector<std::string> kRemote = {"/bin/bash",
                                          "/opt/ml/input/data/sagemaker_remote_function_bootstrap/job_driver.sh"};

TEST(RemoteFunctions, BringTheSdkOfTheClientIntoTheirEnvironment) {
    EXPECT_EQ(requirements(kRemote, {"--x", "1", "--client_sagemaker_pysdk_version", "2.257.7"}),
              "sagemaker==2.257.7\n");
    EXPECT_EQ(requirements(kRemote, {"--client_sagemaker_pysdk_version", "3.27.0"}), "sagemaker-core==2.27.*\n");
    EXPECT_EQ(requirements({"/bin/bash"}, {"-c", "--client_sagemaker_pysdk_version", "2.257.7"}), "");
    EXPECT_EQ(requirements(kRemote, {"--client_sagemaker_pysdk_version"}), "");
    EXPECT_EQ(requirements(kRemote, {"--client_sagemaker_pysdk_version", "2.1 --index-url x"}), "");
    EXPECT_EQ(requirements(kRemote, {"--client_sagemaker_pysdk_version", "1.72.1"}), "");
}

}  // namespace
}  // namespace millwright::resources
