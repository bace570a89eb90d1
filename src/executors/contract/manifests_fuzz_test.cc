// A seeded smoke run of the fuzz target: good examples with bytes changed, cut, repeated and moved.
#include "executors/contract/manifests_fuzz.h"

#include <gtest/gtest.h>

#include <random>

namespace millwright::executors {
namespace {

std::string mutated(std::string text, std::mt19937& random) {
    const auto at = [&] { return text.empty() ? 0 : random() % text.size(); };
    constexpr std::string_view kTelling = "\"\\{}[],: \n0e-.\x80\xFF";
    for (unsigned changes = random() % 4 + 1; changes > 0; --changes) {
        switch (random() % 4) {
            case 0:
                if (!text.empty()) text[at()] = kTelling[random() % kTelling.size()];
                break;
            case 1:
                text.erase(at(), random() % 5);
                break;
            case 2:
                text.insert(at(), 1, kTelling[random() % kTelling.size()]);
                break;
            default:
                text.insert(at(), text.substr(at(), random() % 20));
        }
    }
    return text;
}

TEST(FuzzSmoke, AugmentedManifests) {
    const std::string examples[] = {
        R"({"a-ref":"s3://bucket/k","b":1.50})",
        "{\"b\":{\"x\":[1,\"}\\\"]\"]},\"a-ref\":\"s3://bucket/a b\"}\n{\"a-ref\":\"s3://bucket/k\",\"b\":null}\r\n",
        R"({ "z" : "\u00e9\\" , "b" : "text" , "a-ref" : "s3://bucket/x/y" , "y" : true })"};
    std::mt19937 random(1);
    for (const auto& example : examples) {
        ASSERT_TRUE(parse_augmented_manifest(example, {"a-ref", "b"}));
        for (int i = 0; i < 5000; ++i) fuzzing::augmented_manifest(mutated(example, random));
    }
}

TEST(FuzzSmoke, Manifests) {
    const std::string example = R"([{"prefix":"s3://bucket/p/"}, "a", "b/c//d", "e..f"])";
    ASSERT_TRUE(parse_manifest(example));
    std::mt19937 random(1);
    for (int i = 0; i < 5000; ++i) fuzzing::manifest(mutated(example, random));
}

}  // namespace
}  // namespace millwright::executors
