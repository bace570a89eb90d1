// From the image URI of a request to what is run for it, and whether its role may have it.
//
// In this order: an alias of the user's, an image that was pushed to our registry under that very name, one of AWS's
// own that this machine has, a built-in algorithm or a framework (images.h), else the image of that name, wherever it
// is. What serves a framework's models is the prebuilt image of the framework.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/access.h"
#include "base/result.h"
#include "executors/images.h"
#include "oci/reference.h"
#include "resources/identity/identity.h"
#include "resources/images/image_aliases.h"
#include "resources/images/images.h"

namespace millwright::resources {

// Our registry, as far as names go.
class ImageRepositories {
  public:
    virtual ~ImageRepositories() = default;
    struct Found {
        bool repository = false, image = false;
    };
    // `reference` has an ECR host; also for access().
    virtual Result<Found> find(const oci::Reference& reference) = 0;
    // What an action ("ecr:BatchGetImage") on the repository asks the policies.
    virtual Result<aws::Access> access(const oci::Reference& reference, const std::string& action) = 0;
};

// Who asks, and for which call; the texts of refusals are AWS's for it.
struct ImageCaller {
    std::string account, region;
    const Role* role = nullptr;  // null: none was named (models)
    enum class For { Training, Model } purpose = For::Training;
    bool script = false;  // the user's own is to run: sagemaker-xgboost is the framework then, not the algorithm
};

// Thread-safe.
class ImageNames {
  public:
    struct Parts {
        ImageRepositories& repositories;
        executors::Images& images;
        Identity& identity;
        const ImageAliases& aliases;
        // What `millwright images build` calls its images of the framework, the most fitting first. Empty: none.
        std::function<std::vector<std::string>(const FrameworkImage&)> prebuilt{};
        // This machine runs images and nothing else: algorithms and scripts run in the prebuilt ones, where those are.
        bool images_only = false;
    };
    explicit ImageNames(const Parts& parts) : parts_(parts) {}

    // The image to run in the place of `uri`; empty: the URI means what images.h says of it, or itself. What it is is
    // kept with the job or model: it may not change later.
    Result<std::string> meaning(const ImageCaller& caller, std::string_view uri);
    // Whether the image is there, or can be had, and the role may pull it. InvalidInput with AWS's text.
    Result<void> check(const ImageCaller& caller, const std::string& image);

    executors::Images& images() { return parts_.images; }

  private:
    Result<std::string> first_here(const ImageCaller& caller, const std::vector<std::string>& names);
    Result<bool> may_pull(const ImageCaller& caller, const oci::Reference& at);

    const Parts parts_;
};

// For executors::Images. InvalidInput: not a name of an image.
Result<executors::ImageRequest> image_request(const ImageCaller& caller, std::string_view image);

}  // namespace millwright::resources
