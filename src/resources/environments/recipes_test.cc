#include "resources/environments/recipes.h"

#include <gtest/gtest.h>

#include "base/strings.h"

#include <set>

namespace millwright::resources {
namespace {

const Machine kMachine{.python = "3.11", .architecture = "x86_64"};

std::string chosen(const std::string& framework, const std::string& version) {
    const auto choice = choose_recipe({.framework = framework, .version = version}, kMachine);
    return choice ? std::string(choice->recipe->version) : choice.error().message;
}

TEST(Recipes, TheNearestVersionIsTaken) {
    EXPECT_EQ(chosen("tensorflow", "2.15.1"), "2.15.1");
    EXPECT_EQ(chosen("tensorflow", "2.15"), "2.15.1");
    EXPECT_EQ(chosen("tensorflow", "2.3.1"), "2.15.1");
    EXPECT_EQ(chosen("tensorflow", "1.15.2"), "2.15.1");
    EXPECT_EQ(chosen("tensorflow", "2.16"), "2.21.0");
    EXPECT_EQ(chosen("tensorflow", "2.99"), "2.21.0");
    EXPECT_EQ(chosen("tensorflow", "3.0"), "2.21.0");
    EXPECT_EQ(chosen("tensorflow", ""), "2.21.0");
    EXPECT_EQ(chosen("scikit-learn", "0.23-1"), "1.2.2");
    EXPECT_EQ(chosen("scikit-learn", "1.2-1"), "1.2.2");
    EXPECT_EQ(chosen("scikit-learn", "1.4-2"), "1.4.2");
    EXPECT_EQ(chosen("xgboost", "0.90-2"), "1.7.6");
    EXPECT_EQ(chosen("xgboost", "3.0-5"), "3.0.5");
    EXPECT_EQ(chosen("python", ""), "");
    EXPECT_FALSE(choose_recipe({.framework = "caffe"}, kMachine).has_value());
}

TEST(Recipes, ANoteSaysWhatDiffersAndNothingElse) {
    const auto note = [](FrameworkImage image, Machine machine = kMachine) {
        return choose_recipe(image, machine)->note;
    };
    EXPECT_EQ(note({.framework = "pytorch", .version = "2.13", .python = "3.11"}), "");
    EXPECT_EQ(note({.framework = "pytorch", .python = "3"}), "");
    EXPECT_EQ(note({.framework = "scikit-learn", .version = "1.2-1", .python = "3"}), "");
    EXPECT_EQ(note({.framework = "pytorch", .version = "2.0.0", .python = "3.10"}),
              "PyTorch 2.0.0 for Python 3.10 was asked for; this is PyTorch 2.13.0 for Python 3.11, the nearest there "
              "is a recipe for.");
    EXPECT_EQ(note({.framework = "python", .python = "3.8"}),
              "Python 3.8 was asked for; this is Python 3.11, the nearest there is a recipe for.");
    EXPECT_EQ(note({.framework = "pytorch", .gpu = true}),
              "An image for GPUs was asked for; there is no GPU here, so it computes on the CPU.");
    EXPECT_EQ(note({.framework = "mxnet", .gpu = true}, {"3.11", "x86_64", true}),
              "It has no build for GPUs here and computes on the CPU.");
    const auto gpu = choose_recipe({.framework = "tensorflow", .gpu = true}, {"3.11", "x86_64", true});
    EXPECT_TRUE(gpu->gpu);
    EXPECT_EQ(gpu->note, "");
    EXPECT_EQ(gpu->title, "TensorFlow 2.21.0 for Python 3.11 with CUDA");
}

TEST(Recipes, EveryVersionIsPinned) {
    for (const Recipe& recipe : recipes()) {
        std::set<std::string_view> pinned;
        for (const std::string_view pin : split(recipe.pins, ' ')) {
            ASSERT_NE(pin.find("=="), pin.npos) << pin;
            EXPECT_TRUE(pinned.insert(pin.substr(0, pin.find("=="))).second) << pin;
        }
        for (const std::string_view package : split(recipe.packages, ' '))
            EXPECT_TRUE(pinned.contains(package)) << recipe.title << ": " << package;
    }
}

TEST(Recipes, TheIdStandsForEverythingThatDecidesTheContent) {
    std::set<std::string> ids;
    for (const Recipe& recipe : recipes()) {
        EXPECT_TRUE(ids.insert(environment_id(recipe, false, kMachine)).second) << recipe.title;
        EXPECT_TRUE(ids.insert(environment_id(recipe, false, {"3.12", "x86_64"})).second);
        if (!recipe.gpu_package.empty()) {
            EXPECT_TRUE(ids.insert(environment_id(recipe, true, kMachine)).second);
        }
        EXPECT_EQ(environment_id(recipe, false, kMachine), environment_id(recipe, false, kMachine));
    }
    EXPECT_NE(derived_environment_id("a", "x\n"), derived_environment_id("a", "y\n"));
    EXPECT_NE(derived_environment_id("a", "x\n"), derived_environment_id("b", "x\n"));
}

TEST(Recipes, APlanHasOneRequirementPerLine) {
    const auto choice = choose_recipe({.framework = "xgboost", .version = "3.0.5"}, kMachine);
    const PackagePlan plan = plan_packages(*choice->recipe, false);
    EXPECT_EQ(plan.alone, "xgboost==3.0.5");  // what it depends on is for GPUs
    EXPECT_TRUE(plan.packages.starts_with("scikit-learn\nnumpy\n")) << plan.packages;
    EXPECT_TRUE(plan.pins.starts_with("boto3==") && plan.pins.ends_with("\n")) << plan.pins;
    EXPECT_EQ(plan_packages(*choice->recipe, true).alone, "");
    EXPECT_TRUE(plan_packages(*choice->recipe, true).packages.starts_with("xgboost==3.0.5\nscikit-learn\n"));
    EXPECT_TRUE(plan_document(plan, "/a/prefix", "").starts_with(R"({"prefix":"/a/prefix","base":"",)"));
    EXPECT_EQ(recipe_name(*choice->recipe), "xgboost-3.0.5");
}

}  // namespace
}  // namespace millwright::resources
