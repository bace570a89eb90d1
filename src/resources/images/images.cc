#include "resources/images/images.h"

#include <utility>

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

enum class Use { Both, Training, Inference };

struct FrameworkRepository {
    std::string_view repository, framework;
    Use use = Use::Both;
};

// Without what may follow: "-eia" (its accelerators are gone; the models run on the CPU), "-graviton" and "-arm64".
// sagemaker-tensorflow is not here: see unsupported_image_message().
constexpr FrameworkRepository kFrameworkRepositories[] = {
    {"pytorch-training", "pytorch", Use::Training},
    {"pytorch-inference", "pytorch", Use::Inference},
    {"sagemaker-pytorch", "pytorch", Use::Both},
    {"sagemaker-pytorch-serving", "pytorch", Use::Inference},
    {"tensorflow-training", "tensorflow", Use::Training},
    {"tensorflow-scriptmode", "tensorflow", Use::Training},
    {"sagemaker-tensorflow-scriptmode", "tensorflow", Use::Training},
    {"tensorflow-inference", "tensorflow", Use::Inference},
    {"sagemaker-tensorflow-serving", "tensorflow", Use::Inference},
    {"mxnet-training", "mxnet", Use::Training},
    {"mxnet-inference", "mxnet", Use::Inference},
    {"sagemaker-mxnet", "mxnet", Use::Both},
    {"sagemaker-mxnet-serving", "mxnet", Use::Inference},
    {"sagemaker-chainer", "chainer", Use::Both},
    {"sagemaker-scikit-learn", "scikit-learn", Use::Both},
    {"sagemaker-xgboost", "xgboost", Use::Both},
    {"sagemaker-base-python", "python", Use::Both},  // also -38 and -310, and then the tag is the image's own version
    {"python", "python", Use::Both},
};

constexpr std::string_view kVariants[] = {"-eia", "-graviton", "-arm64"};

bool is_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == text.npos; }

bool is_version(std::string_view text) {
    return !text.empty() && text.front() != '.' && text.back() != '.' &&
           text.find_first_not_of("0123456789.") == text.npos && text.find("..") == text.npos;
}

// "py310" -> "3.10", "py3" -> "3"; nothing for what is not a Python.
std::string python_version(std::string_view part) {
    if (!part.starts_with("py") || !is_digits(part.substr(2))) return "";
    part.remove_prefix(2);
    std::string version(part.substr(0, 1));
    if (part.size() > 1) version += "." + std::string(part.substr(1));
    return version;
}

// "2.0.0-gpu-py310-cu118-ubuntu20.04-sagemaker", "1.2-1-cpu-py3", "1.4-2-py312-cpu-py3", "1.7-1", "latest".
bool read_tag(std::string_view tag, FrameworkImage& image) {
    const std::vector<std::string_view> parts = split(tag, '-');
    size_t next = 0;
    if (parts[0] == "latest") {
        next = 1;
    } else if (is_version(parts[0])) {
        image.version = parts[next++];
        if (next < parts.size() && is_digits(parts[next])) image.version += "-" + std::string(parts[next++]);
    }
    if (next == 0) return false;
    for (; next < parts.size(); ++next) {
        if (parts[next] == "gpu") image.gpu = true;
        if (parts[next].starts_with("inf") || parts[next].starts_with("neuron")) return false;  // other processors
        const std::string python = python_version(parts[next]);
        if (python.size() > image.python.size()) image.python = python;
    }
    return true;
}

// "millwright/python:latest": what `millwright images build` makes is meant as it is.
bool is_prebuilt(std::string_view image) {
    constexpr std::string_view kFolder = "millwright/";
    const size_t at = image.rfind(kFolder);
    return at != image.npos && (at == 0 || image[at - 1] == '/') && image.find('/', at + kFolder.size()) == image.npos;
}

std::optional<FrameworkImage> read_python_image(std::string_view digits, std::string_view tag) {
    FrameworkImage image{.framework = "python"};
    if (!digits.empty()) {
        image.python = python_version("py" + std::string(digits));
    } else {
        if (!read_tag(tag, image)) return std::nullopt;
        image.python = std::exchange(image.version, "");
    }
    return image;
}

}  // namespace

std::optional<BuiltInImage> find_built_in_image(std::string_view image) {
    if (is_prebuilt(image)) return std::nullopt;
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

bool is_algorithms_image(std::string_view image) {
    return image.substr(0, image.find_first_of(":@")) == kAlgorithmsImage.substr(0, kAlgorithmsImage.find(':'));
}

std::optional<FrameworkImage> find_framework_image(std::string_view uri) {
    if (is_prebuilt(uri)) return std::nullopt;
    const std::string_view name = uri.substr(uri.rfind('/') + 1);
    if (name.find('@') != name.npos) return std::nullopt;
    const size_t colon = name.find(':');
    std::string_view repository = name.substr(0, colon);
    const std::string_view tag = colon == name.npos ? "latest" : name.substr(colon + 1);
    constexpr std::string_view kBasePython = "sagemaker-base-python-";
    if (repository.starts_with(kBasePython) && is_digits(repository.substr(kBasePython.size())))
        return read_python_image(repository.substr(kBasePython.size()), tag);
    const bool accelerator = repository.ends_with("-eia");
    for (const std::string_view variant : kVariants) {
        if (!repository.ends_with(variant)) continue;
        repository.remove_suffix(variant.size());
        break;
    }
    for (const FrameworkRepository& known : kFrameworkRepositories) {
        if (known.repository != repository) continue;
        if (known.framework == "python") return read_python_image("", tag);
        FrameworkImage image{.framework = std::string(known.framework),
                             .training = known.use != Use::Inference && !accelerator};
        if (!read_tag(tag, image)) return std::nullopt;
        return image;
    }
    return std::nullopt;
}

std::vector<std::string> repositories_of_framework(std::string_view framework) {
    std::vector<std::string> names;
    for (const FrameworkRepository& known : kFrameworkRepositories)
        if (known.framework == framework) names.emplace_back(known.repository);
    return names;
}

bool is_legacy_tensorflow_image(std::string_view image) {
    return image.substr(image.rfind('/') + 1).starts_with("sagemaker-tensorflow:");
}

std::string unsupported_image_message(std::string_view image, ImagePurpose purpose) {
    const std::string start = "Millwright does not run the image " + std::string(image);
    if (is_legacy_tensorflow_image(image))
        return start +
               ": it is the legacy mode of TensorFlow 1.x, in which a script defines model_fn() and the like "
               "instead of training by itself. Use script mode (script_mode=True, py_version='py3').";
    std::string possible;
    for (const Alias& alias : kAliases) {
        if (alias.tag == "latest") continue;
        if (!possible.empty()) possible += ", ";
        possible += std::string(alias.repository) + ":" + std::string(alias.tag);
    }
    const auto framework = find_framework_image(image);
    if (purpose == ImagePurpose::Serving && framework) {
        const std::string name = framework->framework + (framework->version.empty() ? "" : "-" + framework->version);
        return "What Millwright serves in the place of the image " + std::string(image) +
               " is not on this machine: `millwright images build " + name +
               "` makes it, with Docker or Podman (`millwright doctor` tells whether one is found).";
    }
    if (purpose == ImagePurpose::Serving)
        return start + ": its built-in algorithms (" + possible +
               "), the images of frameworks and images of your own can be served.";
    return start + ": only its built-in algorithms (" + possible +
           ") and the images of frameworks (pytorch-training, tensorflow-training, mxnet-training, sagemaker-chainer, "
           "sagemaker-scikit-learn, sagemaker-xgboost, sagemaker-base-python) can be used.";
}

// In the words of runc and crun, and of our launcher.
std::string missing_program_advice(std::string_view message, std::string_view word) {
    const std::string name(word);
    for (const auto& sign :
         {"exec: \"" + name + "\"", "executable file `" + name + "`", "cannot execute " + name + ":"})
        if (message.find(sign) != message.npos)
            return ". (An image without an entry point needs an executable program named " + name +
                   " in a folder of its PATH.)";
    return "";
}

}  // namespace millwright::resources
