// The images that Millwright builds: one per recipe of a framework (see environments/recipes.h), the base that these
// stand on, and one with the built-in algorithms. Their Dockerfiles are in images/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "resources/environments/recipes.h"

namespace millwright::resources {

// The Python of Debian 12, which the recipes are made for.
inline constexpr const char* kImagePython = "3.11";

struct PrebuiltImage {
    enum class Kind { Base, Framework, Algorithms };
    Kind kind = Kind::Framework;
    std::string name;                // "pytorch": the folder below images/, and the last part of the repository
    std::string version;             // "2.13.0", with "-gpu" behind it; empty: there is one only
    std::string title;               // "PyTorch 2.13.0 for Python 3.11"
    bool newest = true;              // of its name: it is "latest", too
    const Recipe* recipe = nullptr;  // of a framework
    bool gpu = false;

    // "millwright/pytorch:2.13.0", then "millwright/pytorch:latest" when it is that.
    std::vector<std::string> references() const;
    // "millwright/packages:pytorch-2.13.0": the same without our programs, to build the image from again when they
    // change.
    std::string packages_reference() const;
};

// `name`: "base", "algorithms", a framework ("pytorch": its newest version), one with a version ("tensorflow-2.15"), or
// the URI of a framework's image. With `gpu`, or a URI that says so, the packages for GPUs where there are some.
// InvalidInput says what there is.
Result<PrebuiltImage> find_prebuilt_image(std::string_view name, bool gpu);

// What find_prebuilt_image() would make for an image of AWS's, that for GPUs first where one is asked for.
std::vector<std::string> prebuilt_references(const FrameworkImage& image);

// All of them, each after what it is built from.
std::vector<PrebuiltImage> all_prebuilt_images(bool gpu);

}  // namespace millwright::resources
