// The pip configuration of this machine and user for a build elsewhere, which sees no folder of this machine.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "resources/environments/package_index.h"
#include "resources/environments/recipes.h"

namespace millwright::resources {

struct PortableIndex {
    struct File {
        std::string source;  // on this machine
        std::string name;    // below the folder of the build
    };
    std::string configuration;  // the text of a pip.conf
    std::vector<File> files;    // what that refers to
};

// `folder`: where the files will lie. Of local folders and indexes of packages those files go along that the plan
// names: "torch-2.13.0+cpu-cp311-….whl" for the pin torch==2.13.0.
PortableIndex portable_index(const PackageIndex& index, const PackagePlan& plan, std::string_view folder);

}  // namespace millwright::resources
