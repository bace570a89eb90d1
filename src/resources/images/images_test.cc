#include "resources/images/images.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

std::string resolved(std::string_view image) {
    const auto found = find_built_in_image(image);
    return found ? found->algorithm + " " + found->version : "nothing";
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

}  // namespace
}  // namespace millwright::resources
