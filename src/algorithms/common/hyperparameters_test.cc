#include "algorithms/common/hyperparameters.h"

#include <gtest/gtest.h>

namespace millwright::algorithms {
namespace {

std::vector<Hyperparameter> sample() {
    return {
        {.name = "rounds", .type = HyperparameterType::Integer, .required = true, .range = at_least(1)},
        {.name = "eta",
         .type = HyperparameterType::Float,
         .default_value = "0.3",
         .range = between(0, 1),
         .aliases = {"learning_rate"},
         .description = "Step | size.",
         .tunable = true},
        {.name = "sample", .type = HyperparameterType::Float, .range = above_up_to(0, 1)},
        {.name = "power", .type = HyperparameterType::Float, .range = strictly_between(1, 2)},
        {.name = "center", .type = HyperparameterType::Boolean, .default_value = "true"},
        {.name = "booster", .type = HyperparameterType::Enum, .values = {"gbtree", "dart"}},
        {.name = "updater", .type = HyperparameterType::CommaList, .values = {"prune", "refresh"}},
        {.name = "signs", .type = HyperparameterType::IntegerTuple, .range = between(-1, 1)},
        {.name = "groups", .type = HyperparameterType::NestedList, .range = at_least(0)},
        {.name = "batch", .type = HyperparameterType::Integer, .range = at_least(1), .auto_allowed = true},
        {.name = "late",
         .available_in = "2 and later",
         .available = [](std::string_view version) { return version == "2"; }},
    };
}

using Given = std::map<std::string, std::string>;

std::string error_of(ErrorStyle style, Given given, std::string_view version = "1") {
    given.emplace("rounds", "3");
    const HyperparameterTable table(style, sample());
    const auto parsed = table.parse(given, version);
    return parsed ? "none" : parsed.error().message;
}

TEST(Hyperparameters, ValuesAndDefaultsHaveTheirTypes) {
    const HyperparameterTable table(ErrorStyle::FirstParty, sample());
    const auto parsed = table.parse({{"rounds", "\"7\""},
                                     {"learning_rate", "0.5"},
                                     {"center", "FALSE"},
                                     {"updater", "[\"prune\", 'refresh']"},
                                     {"signs", "(1,-1,)"},
                                     {"groups", "[[0, 1], [2]]"},
                                     {"batch", "auto"},
                                     {"_kvstore", "x"}});
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->integer("rounds"), 7);
    EXPECT_EQ(parsed->number("eta"), 0.5);
    EXPECT_TRUE(parsed->given("eta"));
    EXPECT_FALSE(parsed->boolean("center"));
    EXPECT_EQ(parsed->list("updater"), (std::vector<std::string>{"prune", "refresh"}));
    EXPECT_EQ(parsed->nested("signs"), (std::vector<std::vector<int64_t>>{{1, -1}}));
    EXPECT_EQ(parsed->nested("groups"), (std::vector<std::vector<int64_t>>{{0, 1}, {2}}));
    EXPECT_TRUE(parsed->is_auto("batch"));
    EXPECT_FALSE(parsed->has("booster"));
    EXPECT_FALSE(parsed->has("_kvstore"));
}

TEST(Hyperparameters, DefaultsAreNotGiven) {
    const auto parsed = HyperparameterTable(ErrorStyle::FirstParty, sample()).parse({{"rounds", "3"}});
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->number("eta"), 0.3);
    EXPECT_FALSE(parsed->given("eta"));
}

TEST(Hyperparameters, XGBoostContainerWords) {
    constexpr auto kStyle = ErrorStyle::XGBoostContainer;
    EXPECT_EQ(error_of(kStyle, {{"bogus", "1"}}), "Extraneous hyperparameter found: bogus");
    EXPECT_EQ(error_of(kStyle, {{"eta", "abc"}}), "Hyperparameter eta: could not parse value (caused by ValueError)");
    EXPECT_EQ(error_of(kStyle, {{"eta", "5"}}), "Hyperparameter eta: 5.0 is not in [0, 1]");
    EXPECT_EQ(error_of(kStyle, {{"sample", "0"}}), "Hyperparameter sample: 0.0 is not in (0, 1]");
    EXPECT_EQ(error_of(kStyle, {{"power", "2"}}), "Hyperparameter power: 2.0 is not in (1, 2)");
    EXPECT_EQ(error_of(kStyle, {{"rounds", "0"}}), "Hyperparameter rounds: 0 is not in [1, +inf)");
    EXPECT_EQ(error_of(kStyle, {{"rounds", "1.5"}}),
              "Hyperparameter rounds: could not parse value (caused by ValueError)");
    EXPECT_EQ(error_of(kStyle, {{"booster", "tree"}}), "Hyperparameter booster: tree is not in ['gbtree', 'dart']");
    EXPECT_EQ(error_of(kStyle, {{"updater", "prune,grow"}}),
              "Hyperparameter updater: value ['prune', 'grow'] not in range ['prune', 'refresh']");
    EXPECT_EQ(error_of(kStyle, {{"signs", "(1,2)"}}), "Hyperparameter signs: value (1,2) not in range [-1, 1]");
    EXPECT_EQ(error_of(kStyle, {{"signs", "__import__('os')"}}),
              "Hyperparameter signs: could not parse value (caused by ValueError)");
    EXPECT_EQ(error_of(kStyle, {{"late", "x"}}),
              "Extraneous hyperparameter found: late (known to image tags 2 and later)");
    EXPECT_EQ(error_of(kStyle, {{"late", "x"}}, "2"), "none");
    EXPECT_EQ(HyperparameterTable(kStyle, sample()).parse({}).error().message,
              "Missing required hyperparameter: rounds");
}

TEST(Hyperparameters, FirstPartyWords) {
    constexpr auto kStyle = ErrorStyle::FirstParty;
    EXPECT_EQ(error_of(kStyle, {{"bogus", "1"}}),
              "Additional hyperparameters are not allowed ('bogus' was unexpected) (caused by ValidationError)");
    EXPECT_EQ(HyperparameterTable(kStyle, sample()).parse({}).error().message,
              "'rounds' is a required property (caused by ValidationError)");
    EXPECT_EQ(error_of(kStyle, {{"rounds", "x"}}),
              "Failed to parse hyperparameter rounds value x to Integer. (caused by ValueError)");
    EXPECT_EQ(error_of(kStyle, {{"rounds", "0"}}),
              "Hyperparameter rounds: 0 is less than the minimum of 1 (caused by ValidationError)");
    EXPECT_EQ(error_of(kStyle, {{"booster", "tree"}}),
              "Hyperparameter booster: 'tree' is not one of ['gbtree', 'dart'] (caused by ValidationError)");
}

TEST(Hyperparameters, NanIsOutsideEveryRange) {
    EXPECT_EQ(error_of(ErrorStyle::XGBoostContainer, {{"eta", "nan"}}), "Hyperparameter eta: nan is not in [0, 1]");
}

TEST(Hyperparameters, ANameAndItsAliasTogetherAreRefused) {
    EXPECT_EQ(error_of(ErrorStyle::XGBoostContainer, {{"eta", "0.1"}, {"learning_rate", "0.2"}}),
              "Hyperparameter eta: given twice, also under another name");
}

TEST(Hyperparameters, MarkdownHasARowPerHyperparameter) {
    const std::string page = HyperparameterTable(ErrorStyle::FirstParty, sample()).markdown();
    EXPECT_NE(page.find("| `rounds` | Integer | required | [1, +inf) |"), std::string::npos) << page;
    EXPECT_NE(page.find("| `eta`, `learning_rate` | Float | 0.3 | [0, 1] | yes | all | Step \\| size. |"),
              std::string::npos)
        << page;
}

}  // namespace
}  // namespace millwright::algorithms
