// Image URIs and what stands behind them: a built-in algorithm or a framework, by repository and tag.
// Account and region of the URI do not matter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millwright::resources {

struct BuiltInImage {
    std::string algorithm;  // MILLWRIGHT_ALGORITHM: "pca", "xgboost"
    std::string version;    // MILLWRIGHT_ALGORITHM_VERSION: "1", "1.7-1"
};

// "<account>.dkr.ecr.<region>.amazonaws.com/sagemaker-xgboost:1.7-1" -> {"xgboost", "1.7-1"}. Nothing for
// images, tags and digests that no built-in algorithm stands behind.
std::optional<BuiltInImage> find_built_in_image(std::string_view image);

// The built-in algorithms as an image; its variables (BuiltInImage) say which of them it is.
inline constexpr std::string_view kAlgorithmsImage = "millwright/algorithms:latest";
bool is_algorithms_image(std::string_view image);  // with any tag

// A prebuilt framework image, as the SDKs (v1, v2, v3) and AWS's public registry spell it:
// "…/pytorch-training:2.0.0-cpu-py310", "…/sagemaker-scikit-learn:1.2-1-cpu-py3", "…/sagemaker-chainer:5.0.0-cpu-py3".
struct FrameworkImage {
    std::string framework;  // "pytorch", "tensorflow", "mxnet", "chainer", "scikit-learn", "xgboost", "python"
    std::string version;    // as asked, "2.0.0"; empty: any
    std::string python;     // as asked, "3.10", "3", "2.7"; empty: any
    bool gpu = false;
    bool training = true;  // false: an inference image
};
// sagemaker-xgboost is both a built-in algorithm and a framework; the hyperparameters of a job decide. The version of
// scikit-learn's and XGBoost's images includes the build of the image ("1.2-1"). Nothing for digests, for images of
// other processors, and for sagemaker-tensorflow: that is the legacy mode of TensorFlow 1.x, not script mode.
std::optional<FrameworkImage> find_framework_image(std::string_view image);

// The repositories of a framework, for training and for inference: "pytorch-training", "sagemaker-pytorch", …
std::vector<std::string> repositories_of_framework(std::string_view framework);

// sagemaker-tensorflow: known, and refused unless an image was pushed under the name.
bool is_legacy_tensorflow_image(std::string_view image);

// Why neither function above found something, for the client: names the image and what is possible. Serving: of a
// framework's image, how to get the one that serves it.
enum class ImagePurpose { Training, Serving };
std::string unsupported_image_message(std::string_view image, ImagePurpose purpose = ImagePurpose::Training);

// Behind an executor's message of why a container did not start: what the image lacks, when it is the program that
// stands for `word` ("train", "serve"); else empty.
std::string missing_program_advice(std::string_view message, std::string_view word);

}  // namespace millwright::resources
