#include "resources/images/image_names.h"

#include "resources/identity/access_control.h"

namespace millwright::resources {
namespace {

using oci::Reference;
using For = ImageCaller::For;

constexpr const char* kActions = "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer";

// Where the image would be in our registry: a name without a host is one of the caller's own repositories.
std::optional<Reference> in_our_registry(const ImageCaller& caller, Reference reference) {
    if (reference.host.empty()) reference.host = caller.account + ".dkr.ecr." + caller.region + ".amazonaws.com";
    if (!oci::parse_ecr_host(reference.host)) return std::nullopt;
    return reference;
}

std::string place_of(const Reference& at) {
    const auto host = oci::parse_ecr_host(at.host);
    return "repository: " + at.repository + " in registry ID: " + (host ? host->account : at.host);
}

std::string advice(const ImageCaller& caller, std::string_view thing) {
    return " Please check if your ECR " + std::string(thing) + " exists and role " +
           (caller.role ? caller.role->arn : "") + " has proper pull permissions for SageMaker: " + kActions;
}

// What AWS has and Millwright's own registry has not: most likely somebody expects one of AWS's images.
std::string hint(const ImageCaller& caller, const Reference& at) {
    const auto host = oci::parse_ecr_host(at.host);
    if (!host || host->account == caller.account) return "";
    return ". (" + unsupported_image_message(oci::to_string(at)) +
           " Push the image to Millwright's registry under this name, or say with `millwright images alias` what "
           "stands for it.)";
}

Error no_repository(const ImageCaller& caller, const Reference& at, const std::string& image) {
    if (caller.purpose == For::Model)
        return invalid_input("Requested image " + image + " not found." + hint(caller, at));
    return invalid_input("Cannot find " + place_of(at) + advice(caller, "repository") + hint(caller, at));
}

Error no_image(const ImageCaller& caller, const Reference& at, const std::string& image) {
    if (caller.purpose == For::Model) return invalid_input("Requested image " + image + " not found.");
    const auto which = at.digest.empty() ? at.tag : at.digest;
    return invalid_input("Cannot find requested image: " + which + " in " + place_of(at) + advice(caller, "image"));
}

Error may_not(const ImageCaller& caller, const Reference& at, const std::string& image) {
    if (caller.purpose == For::Model)
        return invalid_input("The repository of your image " + image +
                             " does not grant ecr:GetDownloadUrlForLayer, ecr:BatchGetImage, "
                             "ecr:BatchCheckLayerAvailability permission to " +
                             (caller.role ? caller.role->arn : "sagemaker.amazonaws.com service principal") + ".");
    return invalid_input("Access denied for " + place_of(at) + "." + advice(caller, "repository"));
}

}  // namespace

Result<executors::ImageRequest> image_request(const ImageCaller& caller, std::string_view image) {
    auto reference = oci::parse_reference(image);
    if (!reference && caller.purpose == For::Model)
        return invalid_input("ECR image \"" + std::string(image) + "\" is invalid: " + reference.error().message);
    if (!reference)
        return invalid_input(
            "Invalid training image. Please provide a valid Amazon Elastic Container Registry path of the Docker image "
            "to run. (" +
            reference.error().message + ")");
    return executors::ImageRequest{std::move(*reference), caller.account, caller.region};
}

Result<std::string> ImageNames::meaning(const ImageCaller& caller, std::string_view uri) {
    if (auto alias = TRY(parts_.aliases.find(uri))) return std::move(*alias);
    const auto framework = find_framework_image(uri);
    const bool built_in = find_built_in_image(uri) && !(framework && caller.script);
    const auto reference = oci::parse_reference(uri);
    if (!(built_in || framework || is_legacy_tensorflow_image(uri)) || !reference) return std::string();
    // Pushed under a name that we know besides: it is meant.
    if (const auto at = in_our_registry(caller, *reference)) {
        const auto found = TRY(parts_.repositories.find(*at));
        if (found.image) return std::string(uri);
    }
    if (built_in)
        return parts_.images_only ? first_here(caller, {std::string(kAlgorithmsImage)}) : Result<std::string>("");
    // AWS's own: whoever pulled it wants it.
    const bool pulled =
        !reference->host.empty() && TRY(parts_.images.here({*reference, caller.account, caller.region}));
    if (pulled) return std::string(uri);
    const bool in_container = caller.purpose == For::Model || parts_.images_only;
    if (!framework || !in_container || !parts_.prebuilt) return std::string();
    return first_here(caller, parts_.prebuilt(*framework));
}

Result<std::string> ImageNames::first_here(const ImageCaller& caller, const std::vector<std::string>& names) {
    for (const auto& name : names) {
        const auto request = TRY(image_request(caller, name));
        if (TRY(parts_.images.here(request))) return name;
    }
    return std::string();
}

Result<void> ImageNames::check(const ImageCaller& caller, const std::string& image) {
    const auto request = TRY(image_request(caller, image));
    const auto at = in_our_registry(caller, request.reference);
    const auto found = at ? TRY(parts_.repositories.find(*at)) : ImageRepositories::Found{};
    if (found.repository && !TRY(may_pull(caller, *at))) return may_not(caller, *at, image);
    const auto looked = parts_.images.look(request);
    if (looked) return {};
    if (looked.error().kind == ErrorKind::Internal) return looked.error();
    if (looked.error().kind != ErrorKind::NotFound || found.image) return invalid_input(looked.error().message);
    const bool ours = !request.reference.host.empty() && at;
    if (found.repository) return no_image(caller, *at, image);
    return ours ? no_repository(caller, *at, image) : invalid_input(looked.error().message);
}

Result<bool> ImageNames::may_pull(const ImageCaller& caller, const Reference& at) {
    if (!caller.role) return oci::parse_ecr_host(at.host)->account == caller.account;
    for (const auto* action : {"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}) {
        const auto access = TRY(parts_.repositories.access(at, action));
        const auto decision = TRY(parts_.identity.access().decide_for_role(*caller.role, access));
        if (!decision.allowed()) return false;
    }
    return true;
}

}  // namespace millwright::resources
