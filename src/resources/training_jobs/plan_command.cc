#include "resources/training_jobs/plan_command.h"

#include "resources/images/image_names.h"
#include "resources/training_jobs/plan_channels.h"
#include "resources/training_jobs/request_members.h"

namespace millwright::resources {
namespace {

std::vector<std::string> texts_of(const Json& array) {
    std::vector<std::string> texts;
    for (const auto& text : array.items()) texts.push_back(text.string_or(""));
    return texts;
}

std::string submit_directory(const Json& request) {
    auto directory = script_parameter(request, "sagemaker_submit_directory");
    return directory.empty() ? request["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"].string_or("") : directory;
}

// The user's own command or script, in the environment of a framework image.
Result<TrainingCommand> plan_framework(const Json& request, const FrameworkImage& image, TrainingCommand command) {
    const auto uri = request["AlgorithmSpecification"]["TrainingImage"].string_or("");
    if (!image.training) {
        return invalid_input("The image " + uri + " is for inference: give the training image of the framework.");
    }
    if (command.entrypoint.empty() && command.arguments.empty() && !has_script(request)) {
        return invalid_input("The image " + uri +
                             " runs a script: give the hyperparameter sagemaker_program (and "
                             "sagemaker_submit_directory), or a ContainerEntrypoint.");
    }
    command.framework = image;
    const auto directory = submit_directory(request);
    if (directory.starts_with("s3://")) {
        command.submit_directory = TRY(parse_s3_member(directory, "sagemaker_submit_directory"));
    }
    return command;
}

Result<TrainingCommand> plan_image(const std::string& image, TrainingCommand command) {
    TRY(image_request({}, image));
    command.image = image;
    return command;
}

}  // namespace

std::string script_parameter(const Json& request, std::string_view name) {
    const auto text = request["HyperParameters"][name].string_or("");
    if (const auto decoded = Json::parse(text); decoded && decoded->is_string()) return decoded->as_string();
    return text;
}

bool has_script(const Json& request) {
    return !script_parameter(request, "sagemaker_program").empty() ||
           is_asked_for(request["Environment"]["SAGEMAKER_PROGRAM"]);
}

Result<TrainingCommand> plan_command(const Json& request, const std::string& image) {
    const auto& algorithm = request["AlgorithmSpecification"];
    const auto uri = algorithm["TrainingImage"].string_or("");
    const auto built_in = find_built_in_image(uri);
    const auto framework = find_framework_image(uri);
    TrainingCommand command;
    command.entrypoint = texts_of(algorithm["ContainerEntrypoint"]);
    command.arguments = texts_of(algorithm["ContainerArguments"]);
    if (built_in && is_algorithms_image(image)) command.algorithm = built_in;
    if (!image.empty()) return plan_image(image, std::move(command));
    if (is_legacy_tensorflow_image(uri)) return invalid_input(unsupported_image_message(uri));
    if (!built_in && !framework) return plan_image(uri, std::move(command));
    const bool own_command = !command.entrypoint.empty() || !command.arguments.empty();
    if (framework && (!built_in || own_command || has_script(request))) {
        return plan_framework(request, *framework, std::move(command));
    }
    if (own_command || has_script(request)) {
        return invalid_input("The image " + uri +
                             " is a built-in algorithm of Millwright: it takes neither a script nor a command.");
    }
    command.algorithm = *built_in;
    return command;
}

}  // namespace millwright::resources
