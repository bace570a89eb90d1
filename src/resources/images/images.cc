#include "resources/images/images.h"

#include "base/strings.h"

namespace millwright::resources {
namespace {

struct Alias {
    std::string_view repository, tag, algorithm, version;
};

// Tags as the SDKs make them; "-cpu-py3" is what v1 and old v2 releases add.
constexpr Alias kAliases[] = {
    {"pca", "1", "pca", "1"},
    {"pca", "latest", "pca", "1"},
    {"xgboost", "1", "xgboost", "1"},
    {"xgboost", "latest", "xgboost", "1"},
    {"sagemaker-xgboost", "0.90-1", "xgboost", "0.90-1"},
    {"sagemaker-xgboost", "0.90-2", "xgboost", "0.90-2"},
    {"sagemaker-xgboost", "1.0-1", "xgboost", "1.0-1"},
    {"sagemaker-xgboost", "1.2-1", "xgboost", "1.2-1"},
    {"sagemaker-xgboost", "1.2-2", "xgboost", "1.2-2"},
    {"sagemaker-xgboost", "1.3-1", "xgboost", "1.3-1"},
    {"sagemaker-xgboost", "1.5-1", "xgboost", "1.5-1"},
    {"sagemaker-xgboost", "1.7-1", "xgboost", "1.7-1"},
    {"sagemaker-xgboost", "3.0-5", "xgboost", "3.0-5"},
};

constexpr std::string_view kTagSuffixes[] = {"-cpu-py3", "-cpu"};

}  // namespace

std::optional<BuiltInImage> find_built_in_image(std::string_view image) {
    const std::string_view name = image.substr(image.rfind('/') + 1);
    if (name.find('@') != name.npos) return std::nullopt;
    const size_t colon = name.find(':');
    const std::string_view repository = name.substr(0, colon);
    std::string_view tag = colon == name.npos ? "latest" : name.substr(colon + 1);
    for (const std::string_view suffix : kTagSuffixes) {
        if (!tag.ends_with(suffix)) continue;
        tag.remove_suffix(suffix.size());
        break;
    }
    for (const Alias& alias : kAliases)
        if (alias.repository == repository && alias.tag == tag)
            return BuiltInImage{std::string(alias.algorithm), std::string(alias.version)};
    return std::nullopt;
}

std::string unsupported_image_message(std::string_view image) {
    std::string possible;
    for (const Alias& alias : kAliases) {
        if (alias.tag == "latest") continue;
        if (!possible.empty()) possible += ", ";
        possible += std::string(alias.repository) + ":" + std::string(alias.tag);
    }
    return "Millwright does not run the image " + std::string(image) +
           " yet: only its built-in algorithms can be used (" + possible + ").";
}

}  // namespace millwright::resources
