#include "resources/images/images.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace millwright::resources {
namespace {

std::string resolved(std::string_view image) {
    const auto found = find_built_in_image(image);
    return found ? found->algorithm + " " + found->version : "nothing";
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

// In the form of testdata/framework_images.txt.
std::string framework(std::string_view uri) {
    const auto found = find_framework_image(uri);
    if (!found) return "nothing";
    return found->framework + " " + or_dash(found->version) + " " + or_dash(found->python) +
           (found->gpu ? " gpu" : " cpu") + (found->training ? " training" : " inference");
}

TEST(Images, RepositoryAndTagDecideWhateverTheAccountAndRegion) {
    EXPECT_EQ(resolved("174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1"), "pca 1");
    EXPECT_EQ(resolved("382416733822.dkr.ecr.us-east-1.amazonaws.com/pca:latest"), "pca 1");
    EXPECT_EQ(resolved("246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"), "xgboost 1.7-1");
    EXPECT_EQ(resolved("246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:0.90-1-cpu-py3"),
              "xgboost 0.90-1");
    EXPECT_EQ(resolved("433757028032.dkr.ecr.us-west-2.amazonaws.com/xgboost:1"), "xgboost 1");
    EXPECT_EQ(resolved("localhost:5000/xgboost:1"), "xgboost 1");
    EXPECT_EQ(resolved("pca"), "pca 1");
}

TEST(Images, EverythingElseIsNotBuiltIn) {
    for (const char* image :
         {"", "pca:2", "sagemaker-xgboost:1.7", "sagemaker-xgboost:latest", "kmeans:1", "my/pca:1-gpu", "pca@sha256:00",
          "sagemaker-xgboost:1.7-1-gpu-py3", "pytorch-inference:2.0-cpu"})
        EXPECT_EQ(resolved(image), "nothing") << image;
    EXPECT_NE(unsupported_image_message("kmeans:1").find("kmeans:1"), std::string::npos);
    EXPECT_NE(unsupported_image_message("kmeans:1").find("sagemaker-xgboost:1.7-1"), std::string::npos);
}

TEST(Images, EveryFrameworkImageThatTheSdksAskForIsUnderstood) {
    std::ifstream file(MILLWRIGHT_IMAGES_TESTDATA "/framework_images.txt");
    int count = 0;
    for (std::string line; std::getline(file, line); ++count) {
        const size_t space = line.find(' ');
        const std::string image = line.substr(0, space);
        EXPECT_EQ(framework("763104351884.dkr.ecr.us-west-2.amazonaws.com/" + image), line.substr(space + 1)) << image;
    }
    EXPECT_GT(count, 800);
}

TEST(Images, TagsOfThePublicRegistryAndShortOnesAreUnderstood) {
    EXPECT_EQ(
        framework("public.ecr.aws/deep-learning-containers/pytorch-training:2.6.0-gpu-py312-cu126-ubuntu22.04-ec2"),
        "pytorch 2.6.0 3.12 gpu training");
    EXPECT_EQ(framework("763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
                        "tensorflow-inference:2.18.0-cpu-py310-ubuntu20.04-sagemaker"),
              "tensorflow 2.18.0 3.10 cpu inference");
    EXPECT_EQ(framework("pytorch-training"), "pytorch - - cpu training");
    EXPECT_EQ(framework("localhost:5000/pytorch-training:latest-gpu"), "pytorch - - gpu training");
    EXPECT_EQ(framework("tensorflow-scriptmode:1.15"), "tensorflow 1.15 - cpu training");
    EXPECT_EQ(framework("sagemaker-base-python:3.10"), "python - 3.10 cpu training");
    EXPECT_EQ(framework("public.ecr.aws/docker/library/python:3.11-slim"), "python - 3.11 cpu training");
    EXPECT_EQ(framework("sagemaker-xgboost:1.7-1-cpu-py3"), "xgboost 1.7-1 3 cpu training");
}

TEST(Images, WhatIsNoFrameworkOrCannotBeKnownIsNothing) {
    for (const char* image :
         {"", ":", "pytorch", "pytorch-training:", "pytorch-training:nightly", "pytorch-training@sha256:00",
          "pytorch-training:2.0.0-cpu-py310@sha256:00", "pytorch-training:..-cpu", "xgboost:1",
          "sagemaker-tensorflow:1.12.0-cpu-py2", "sagemaker-mxnet:1.5.1-inf-py3", "my-pytorch-training:2.0",
          "sagemaker-base-python-x:1.0"})
        EXPECT_EQ(framework(image), "nothing") << image;
    EXPECT_NE(unsupported_image_message("a/sagemaker-tensorflow:1.12.0-cpu-py2").find("script_mode=True"),
              std::string::npos);
    EXPECT_NE(unsupported_image_message("kmeans:1").find("pytorch-training"), std::string::npos);
}

TEST(Images, WhatWasBuiltHereStandsForNothingElse) {
    for (const char* image :
         {"millwright/python:latest", "millwright/xgboost:latest", "localhost/millwright/python:latest",
          "123456789012.dkr.ecr.us-west-2.amazonaws.com/millwright/xgboost:1"}) {
        EXPECT_FALSE(find_framework_image(image).has_value()) << image;
        EXPECT_FALSE(find_built_in_image(image).has_value()) << image;
    }
    EXPECT_TRUE(find_framework_image("my-millwright/python:3.11").has_value());
}

TEST(Images, AFrameworkHasRepositoriesForBothUses) {
    const auto names = repositories_of_framework("pytorch");
    EXPECT_EQ(names, (std::vector<std::string>{"pytorch-training", "pytorch-inference", "sagemaker-pytorch",
                                               "sagemaker-pytorch-serving"}));
}

}  // namespace
}  // namespace millwright::resources
