// Lifecycle policies of image repositories: which images have had their time.
//
//   {"rules": [{"rulePriority": 1, "description": "…",
//               "selection": {"tagStatus": "tagged" | "untagged" | "any",
//                             "tagPrefixList": […] | "tagPatternList": […],       only for tagged
//                             "countType": "imageCountMoreThan" | "sinceImagePushed" | "sinceImagePulled",
//                             "countUnit": "days", "countNumber": 14},            the unit only for since…
//               "action": {"type": "expire"}}]}
//
// The rules are looked at one by one, the smallest priority number first. Each counts all images that fit its
// selection, but ends only those that fit no earlier rule. An image that an index names stays as long as the index.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace millwright::resources {

struct LifecycleImage {
    std::string digest;
    std::vector<std::string> tags;
    Timestamp pushed{};
    std::optional<Timestamp> pulled;
    bool named_by_index = false;
};

struct ImageLifecycleRule {
    enum class Tags { Tagged, Untagged, Any };
    enum class Count { Images, DaysSincePushed, DaysSincePulled };

    int64_t priority = 1;
    Tags tags = Tags::Any;
    std::vector<std::string> patterns;  // every one must fit one of the tags; '*' stands for anything
    Count count = Count::Images;
    int64_t number = 1;
};

using ImageLifecyclePolicy = std::vector<ImageLifecycleRule>;  // by priority

// InvalidInput: what is wrong with the document, or what Millwright does not do (archiving).
Result<ImageLifecyclePolicy> parse_image_lifecycle_policy(std::string_view text);

struct ExpiringImage {
    size_t image = 0;  // its place in the list
    int64_t priority = 0;
};

// The oldest first. `day`: how long one is.
std::vector<ExpiringImage> expiring_images(const ImageLifecyclePolicy& policy,
                                           const std::vector<LifecycleImage>& images, Timestamp now,
                                           std::chrono::milliseconds day = std::chrono::hours(24));

// Whether `text` fits the pattern, in which '*' stands for any characters.
bool fits_tag_pattern(std::string_view pattern, std::string_view text);

}  // namespace millwright::resources
