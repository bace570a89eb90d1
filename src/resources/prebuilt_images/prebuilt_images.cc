#include "resources/prebuilt_images/prebuilt_images.h"

#include <algorithm>

#include "resources/environments/environments.h"

namespace millwright::resources {
namespace {

constexpr const char* kRepository = "millwright/";

PrebuiltImage base_image() {
    PrebuiltImage image;
    image.kind = PrebuiltImage::Kind::Base;
    image.name = "base";
    image.title = "Python with the programs that train and serve";
    return image;
}

PrebuiltImage algorithms_image() {
    PrebuiltImage image;
    image.kind = PrebuiltImage::Kind::Algorithms;
    image.name = "algorithms";
    image.title = "The built-in algorithms";
    return image;
}

Machine machine_of_images(bool gpu) { return {.python = kImagePython, .architecture = "", .gpu = gpu}; }

// That a framework without a version stands for.
const Recipe* newest_of(std::string_view framework) {
    const auto choice = choose_recipe({.framework = std::string(framework)}, machine_of_images(false));
    return choice ? choice->recipe : nullptr;
}

PrebuiltImage framework_image(const RecipeChoice& choice) {
    PrebuiltImage image;
    image.name = choice.recipe->framework;
    image.version = choice.recipe->version;
    if (choice.gpu) image.version += image.version.empty() ? "gpu" : "-gpu";
    image.title = choice.title;
    image.recipe = choice.recipe;
    image.gpu = choice.gpu;
    image.newest = !choice.gpu && choice.recipe == newest_of(choice.recipe->framework);
    return image;
}

}  // namespace

std::vector<std::string> PrebuiltImage::references() const {
    std::vector<std::string> references;
    if (!version.empty()) references.push_back(kRepository + name + ":" + version);
    if (newest) references.push_back(kRepository + name + ":latest");
    return references;
}

std::string PrebuiltImage::packages_reference() const {
    return std::string(kRepository) + "packages:" + name + (version.empty() ? "" : "-" + version);
}

Result<PrebuiltImage> find_prebuilt_image(std::string_view name, bool gpu) {
    if (name == "base") return base_image();
    if (name == "algorithms") return algorithms_image();
    auto wish = image_of_environment_name(name);
    if (!wish)
        return invalid_input("There is no image " + std::string(name) +
                             " to build: there are base, algorithms, and those of the recipes. " +
                             wish.error().message);
    wish->gpu = wish->gpu || gpu;
    const RecipeChoice choice = TRY(choose_recipe(*wish, machine_of_images(wish->gpu)));
    return framework_image(choice);
}

std::vector<std::string> prebuilt_references(const FrameworkImage& image) {
    std::vector<std::string> names;
    for (const bool gpu : {true, false}) {
        if (gpu && !image.gpu) continue;
        auto wish = image;
        wish.gpu = gpu;
        const auto choice = choose_recipe(wish, machine_of_images(gpu));
        if (choice) names.push_back(framework_image(*choice).references().front());
    }
    return names;
}

std::vector<PrebuiltImage> all_prebuilt_images(bool gpu) {
    std::vector<PrebuiltImage> images = {base_image()};
    for (const Recipe& recipe : recipes()) {
        const FrameworkImage wish{
            .framework = std::string(recipe.framework), .version = std::string(recipe.version), .gpu = gpu};
        if (const auto choice = choose_recipe(wish, machine_of_images(gpu))) images.push_back(framework_image(*choice));
    }
    images.push_back(algorithms_image());
    return images;
}

}  // namespace millwright::resources
