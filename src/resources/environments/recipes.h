// What each environment consists of, and which one is the nearest to what was asked for.
//
// All versions are pinned, those of dependencies too: the same recipe gives the same packages. They were tried with
// Python 3.11.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "resources/images/images.h"

namespace millwright::resources {

// Lists of requirements are divided by spaces.
struct Recipe {
    std::string_view framework;         // as FrameworkImage has it
    std::string_view version;           // empty: any
    std::string_view title;             // "PyTorch"
    std::string_view package;           // the framework itself, as its makers build it for machines without a GPU
    bool without_dependencies = false;  // of `package`; those are for GPUs
    std::string_view gpu_package;       // in its place where a GPU is; empty: there is none for this Python
    std::string_view gpu_pins;          // what that needs besides `pins`, where its makers leave versions open
    std::string_view packages;          // what AWS's images have beside it and scripts import
    std::string_view build_tools;       // for packages without wheels; installed first. Empty: all have wheels
    std::string_view pins;              // everything that the above need
    std::string_view compatibility;     // Python executed at every start of the interpreter; empty: nothing
};

std::span<const Recipe> recipes();

// What there is to build with.
struct Machine {
    std::string python;        // "3.11"
    std::string architecture;  // "x86_64"
    bool gpu = false;
};

struct RecipeChoice {
    const Recipe* recipe = nullptr;
    bool gpu = false;
    std::string title;  // "PyTorch 2.13.0 for Python 3.11"
    std::string note;   // what differs from what was asked for; empty: nothing
};

// The same version as far as it was given; else the next newer one of the same major version, else the newest of it,
// else the oldest that is newer, else the newest. InvalidInput: there is no such framework.
Result<RecipeChoice> choose_recipe(const FrameworkImage& image, const Machine& machine);

// What build_environment.py installs, in the forms that pip reads. The same plan serves the environments of processes
// and the prebuilt images.
struct PackagePlan {
    std::string packages, pins;              // the texts of a requirements.txt and of pip's constraints
    std::string alone;                       // requirements installed without what they depend on; divided by spaces
    std::string build_tools, compatibility;  // see Recipe
};
PackagePlan plan_packages(const Recipe& recipe, bool gpu);

// The text of plan.json: fill the folder `prefix` on top of that of `base` (empty: of nothing).
std::string plan_document(const PackagePlan& plan, std::string_view prefix, std::string_view base);

// "tensorflow-2.15.1"; "python" where there is one version only.
std::string recipe_name(const Recipe& recipe);

// Hex; everything that decides the packages is in it.
std::string environment_id(const Recipe& recipe, bool gpu, const Machine& machine);
std::string derived_environment_id(std::string_view base_id, std::string_view normalised_requirements);

}  // namespace millwright::resources
