#include "resources/image_lifecycle/lifecycle_policy.h"

#include <gtest/gtest.h>

#include <map>

#include "base/json.h"

namespace millwright::resources {
namespace {

using namespace std::chrono_literals;

const Timestamp kNow = from_epoch_milliseconds(1'800'000'000'000);

LifecycleImage image(const std::string& name, int age_days, std::vector<std::string> tags = {}) {
    return {name, std::move(tags), kNow - 24h * age_days - 1s, std::nullopt, false};
}

std::string rule(int priority, const std::string& selection) {
    return R"({"rulePriority":)" + std::to_string(priority) + R"(,"selection":{)" + selection +
           R"(},"action":{"type":"expire"}})";
}
std::string policy(const std::string& first, const std::string& second = "") {
    return R"({"rules":[)" + first + (second.empty() ? "" : ",") + second + "]}";
}
std::string older_than(int days, const std::string& tags) {
    return tags + R"(,"countType":"sinceImagePushed","countUnit":"days","countNumber":)" + std::to_string(days);
}
std::string more_than(int images, const std::string& tags) {
    return tags + R"(,"countType":"imageCountMoreThan","countNumber":)" + std::to_string(images);
}
const std::string kAny = R"("tagStatus":"any")", kUntagged = R"("tagStatus":"untagged")";
std::string prefixes(const std::string& list) { return R"("tagStatus":"tagged","tagPrefixList":)" + list; }
std::string patterns(const std::string& list) { return R"("tagStatus":"tagged","tagPatternList":)" + list; }

// "old(1) older(2)": what ends, with the rule's priority.
std::string ending(const std::string& document, const std::vector<LifecycleImage>& images) {
    const auto parsed = parse_image_lifecycle_policy(document);
    if (!parsed) return parsed.error().message;
    std::string out;
    for (const auto& found : expiring_images(*parsed, images, kNow))
        out += (out.empty() ? "" : " ") + images[found.image].digest + "(" + std::to_string(found.priority) + ")";
    return out;
}

TEST(ImageLifecycle, ImagesEndByTheirAgeOldestFirst) {
    const std::vector<LifecycleImage> images = {image("a", 1), image("c", 30), image("b", 14), image("d", 13, {"x"})};
    EXPECT_EQ(ending(policy(rule(1, older_than(14, kUntagged))), images), "c(1) b(1)");
    EXPECT_EQ(ending(policy(rule(7, older_than(13, kAny))), images), "c(7) b(7) d(7)");
}

TEST(ImageLifecycle, OnlyTheYoungestAreKept) {
    const std::vector<LifecycleImage> images = {image("a", 4), image("b", 3, {"v1"}), image("c", 2, {"v2"}),
                                                image("d", 1, {"w"})};
    EXPECT_EQ(ending(policy(rule(1, more_than(2, kAny))), images), "a(1) b(1)");
    EXPECT_EQ(ending(policy(rule(1, more_than(1, prefixes(R"(["v"])")))), images), "b(1)");
    EXPECT_EQ(ending(policy(rule(1, more_than(4, kAny))), images), "");
}

TEST(ImageLifecycle, EveryPrefixAndPatternMustFitATag) {
    const std::vector<LifecycleImage> images = {image("a", 9, {"prod-1", "web"}), image("b", 9, {"prod-2"}),
                                                image("c", 9, {"my-prod"})};
    EXPECT_EQ(ending(policy(rule(1, older_than(1, prefixes(R"(["prod","we"])")))), images), "a(1)");
    EXPECT_EQ(ending(policy(rule(1, older_than(1, patterns(R"(["*prod"])")))), images), "c(1)");
    EXPECT_EQ(ending(policy(rule(1, older_than(1, patterns(R"(["*prod*"])")))), images), "a(1) b(1) c(1)");
    EXPECT_EQ(ending(policy(rule(1, older_than(1, patterns(R"(["web"])")))), images), "a(1)");
}

TEST(ImageLifecycle, AnImageBelongsToTheFirstRuleThatItFitsButIsCountedByAll) {
    const std::vector<LifecycleImage> images = {image("a", 5, {"prod"}), image("b", 4, {"prod"}), image("c", 3),
                                                image("d", 2), image("e", 1)};
    EXPECT_EQ(ending(policy(rule(2, more_than(1, kAny)), rule(1, more_than(1, prefixes(R"(["prod"])")))), images),
              "a(1) c(2) d(2)");
    // Rule 1 keeps what rule 2 would end.
    EXPECT_EQ(ending(policy(rule(1, older_than(30, prefixes(R"(["prod"])"))), rule(2, older_than(1, kAny))), images),
              "c(2) d(2) e(2)");
}

TEST(ImageLifecycle, AnImageThatAnIndexNamesStays) {
    std::vector<LifecycleImage> images = {image("a", 9), image("b", 9, {"index"})};
    images[0].named_by_index = true;
    EXPECT_EQ(ending(policy(rule(1, older_than(1, kAny))), images), "b(1)");
}

TEST(ImageLifecycle, APullKeepsAnImage) {
    std::vector<LifecycleImage> images = {image("pulled", 9), image("never", 9), image("young", 1)};
    images[0].pulled = kNow - 24h;
    const std::string selection = kAny + R"(,"countType":"sinceImagePulled","countUnit":"days","countNumber":5)";
    EXPECT_EQ(ending(policy(rule(1, selection)), images), "never(1)");
}

TEST(ImageLifecycle, PatternsTakeAnythingForAStar) {
    EXPECT_TRUE(fits_tag_pattern("*", ""));
    EXPECT_TRUE(fits_tag_pattern("a*b*c", "aXbbYc"));
    EXPECT_TRUE(fits_tag_pattern("*b", "aab"));
    EXPECT_FALSE(fits_tag_pattern("a*b", "aabc"));
    EXPECT_FALSE(fits_tag_pattern("", "a"));
    EXPECT_TRUE(fits_tag_pattern("", ""));
}

TEST(ImageLifecycle, MalformedPoliciesSayWhatIsWrong) {
    const std::string good = rule(1, older_than(1, kUntagged));
    const std::map<std::string, std::string> cases = {
        {"{", "the policy is not valid JSON"},
        {"[]", "the policy must be an object"},
        {R"({"rules":[]})", "rules must be a list of 1 to 50"},
        {R"({"rules":[],"Rules":[]})", "unknown member Rules of the policy"},
        {policy("7"), "a rule must be an object"},
        {policy(rule(0, older_than(1, kAny))), "rulePriority must be a whole number of 1 or more"},
        {policy(good, good), "rulePriority must be unique"},
        {policy(good, rule(2, older_than(2, kUntagged))), "only one rule may have tagStatus untagged"},
        {policy(rule(1, older_than(1, kAny)), rule(2, older_than(1, kUntagged))),
         "the rule with tagStatus any must have the highest rulePriority"},
        {policy(rule(1, more_than(1, prefixes(R"(["a","b"])"))), rule(2, more_than(2, prefixes(R"(["b","a"])")))),
         "two rules select the same tags"},
        {policy(rule(1, older_than(1, R"("tagStatus":"tagged")"))),
         "tagStatus tagged needs one of tagPrefixList and tagPatternList"},
        {policy(rule(1, older_than(1, kAny + R"(,"tagPrefixList":["a"])"))),
         "tagPrefixList and tagPatternList are for tagStatus tagged only"},
        {policy(rule(1, older_than(1, R"("tagStatus":"some")"))), "tagStatus must be tagged, untagged or any"},
        {policy(rule(1, older_than(1, prefixes("[]")))), "tagPrefixList must have 1 to 100 values"},
        {policy(rule(1, older_than(1, prefixes(R"(["a*"])")))),
         "a value of tagPrefixList must have 1 to 256 letters, digits and . _ -"},
        {policy(rule(1, older_than(1, patterns(R"(["*****"])")))),
         "a value of tagPatternList must have 1 to 256 letters, digits and . _ - and at most four *"},
        {policy(rule(1, more_than(0, kAny))), "countNumber must be a whole number of 1 or more"},
        {policy(rule(1, more_than(1, kAny) + R"(,"countUnit":"days")")), "countUnit is for the types since… only"},
        {policy(rule(1, kAny + R"(,"countType":"sinceImagePushed","countNumber":1)")), "countUnit must be days"},
        {policy(rule(1, kAny + R"(,"countType":"never","countNumber":1)")),
         "countType must be imageCountMoreThan, sinceImagePushed or sinceImagePulled"},
        {policy(rule(1, kAny + R"(,"countType":"sinceImageTransitioned","countNumber":1)")),
         "Millwright has no archive of images"},
        {R"({"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},)"
         R"("action":{"type":"transition","targetStorageClass":"archive"}}]})",
         "Millwright has no archive of images"},
    };
    for (const auto& [document, text] : cases) {
        const auto parsed = parse_image_lifecycle_policy(document);
        ASSERT_FALSE(parsed) << document;
        EXPECT_EQ(parsed.error().message, "Lifecycle policy validation failure: " + text) << document;
    }
}

}  // namespace
}  // namespace millwright::resources
