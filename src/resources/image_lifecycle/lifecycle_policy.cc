#include "resources/image_lifecycle/lifecycle_policy.h"

#include <algorithm>
#include <set>

#include "base/json.h"

namespace millwright::resources {
namespace {

using Rule = ImageLifecycleRule;

constexpr size_t kMaxRules = 50, kMaxStars = 4, kMaxPatterns = 100, kMaxPatternBytes = 256;

Error invalid(const std::string& text) { return invalid_input("Lifecycle policy validation failure: " + text); }

Result<void> only_members(const Json& document, std::initializer_list<std::string_view> known, std::string_view place) {
    if (!document.is_object()) return invalid(std::string(place) + " must be an object");
    for (const JsonMember& member : document.members())
        if (std::find(known.begin(), known.end(), member.name) == known.end())
            return invalid("unknown member " + member.name.substr(0, 100) + " of " + std::string(place));
    return {};
}

Result<std::vector<std::string>> read_patterns(const Json& selection, std::string_view name) {
    const bool prefixes = name == "tagPrefixList";
    std::vector<std::string> patterns;
    if (!selection[name].is_array()) return invalid(std::string(name) + " must be a list");
    for (const Json& item : selection[name].items()) {
        const std::string text = item.string_or("");
        const std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*";
        const size_t stars = static_cast<size_t>(std::count(text.begin(), text.end(), '*'));
        if (text.empty() || text.size() > kMaxPatternBytes || text.find_first_not_of(allowed) != text.npos ||
            stars > (prefixes ? 0 : kMaxStars))
            return invalid("a value of " + std::string(name) + " must have 1 to 256 letters, digits and . _ -" +
                           (prefixes ? "" : " and at most four *"));
        patterns.push_back(prefixes ? text + "*" : text);
    }
    if (patterns.empty() || patterns.size() > kMaxPatterns)
        return invalid(std::string(name) + " must have 1 to 100 values");
    return patterns;
}

Result<void> read_tags(const Json& selection, Rule& rule) {
    const std::string status = selection["tagStatus"].string_or("");
    const bool prefixes = selection.has("tagPrefixList"), patterns = selection.has("tagPatternList");
    if (status == "tagged") {
        if (prefixes == patterns) return invalid("tagStatus tagged needs one of tagPrefixList and tagPatternList");
        rule.tags = Rule::Tags::Tagged;
        rule.patterns = TRY(read_patterns(selection, prefixes ? "tagPrefixList" : "tagPatternList"));
        return {};
    }
    if (status != "untagged" && status != "any") return invalid("tagStatus must be tagged, untagged or any");
    if (prefixes || patterns) return invalid("tagPrefixList and tagPatternList are for tagStatus tagged only");
    rule.tags = status == "any" ? Rule::Tags::Any : Rule::Tags::Untagged;
    return {};
}

Result<void> read_count(const Json& selection, Rule& rule) {
    const std::string type = selection["countType"].string_or("");
    if (type == "sinceImageTransitioned" || selection["storageClass"].string_or("standard") != "standard")
        return invalid("Millwright has no archive of images");
    if (type != "imageCountMoreThan" && type != "sinceImagePushed" && type != "sinceImagePulled")
        return invalid("countType must be imageCountMoreThan, sinceImagePushed or sinceImagePulled");
    rule.count = type == "imageCountMoreThan" ? Rule::Count::Images
                 : type == "sinceImagePushed" ? Rule::Count::DaysSincePushed
                                              : Rule::Count::DaysSincePulled;
    const bool days = rule.count != Rule::Count::Images;
    if (selection.has("countUnit") != days || selection["countUnit"].string_or("days") != "days")
        return invalid(days ? "countUnit must be days" : "countUnit is for the types since… only");
    rule.number = selection["countNumber"].int_or(0);
    constexpr int64_t kMost = 1'000'000;
    if (rule.number < 1 || rule.number > kMost) return invalid("countNumber must be a whole number of 1 or more");
    return {};
}

Result<Rule> read_rule(const Json& document) {
    Rule rule;
    TRY(only_members(document, {"rulePriority", "description", "selection", "action"}, "a rule"));
    rule.priority = document["rulePriority"].int_or(0);
    if (rule.priority < 1) return invalid("rulePriority must be a whole number of 1 or more");
    if (document.has("description") && !document["description"].is_string()) return invalid("description must be text");
    const Json& selection = document["selection"];
    TRY(only_members(
        selection,
        {"tagStatus", "tagPrefixList", "tagPatternList", "countType", "countUnit", "countNumber", "storageClass"},
        "selection"));
    TRY(read_tags(selection, rule));
    TRY(read_count(selection, rule));
    const Json& action = document["action"];
    TRY(only_members(action, {"type", "targetStorageClass"}, "action"));
    const std::string type = action["type"].string_or("");
    if (type == "transition") return invalid("Millwright has no archive of images");
    if (type != "expire" || action.has("targetStorageClass")) return invalid("the type of the action must be expire");
    return rule;
}

// What holds between rules.
Result<void> check_together(const ImageLifecyclePolicy& rules) {
    std::set<std::vector<std::string>> selections;
    size_t untagged = 0;
    for (size_t i = 1; i < rules.size(); ++i)
        if (rules[i].priority == rules[i - 1].priority) return invalid("rulePriority must be unique");
    for (size_t i = 0; i < rules.size(); ++i) {
        if (rules[i].tags == Rule::Tags::Any && i + 1 < rules.size())
            return invalid("the rule with tagStatus any must have the highest rulePriority");
        if (rules[i].tags == Rule::Tags::Untagged && ++untagged > 1)
            return invalid("only one rule may have tagStatus untagged");
        auto patterns = rules[i].patterns;
        std::sort(patterns.begin(), patterns.end());
        if (!patterns.empty() && !selections.insert(patterns).second) return invalid("two rules select the same tags");
    }
    return {};
}

bool fits_selection(const Rule& rule, const LifecycleImage& image) {
    if (rule.tags == Rule::Tags::Untagged) return image.tags.empty();
    return std::all_of(rule.patterns.begin(), rule.patterns.end(), [&](const std::string& pattern) {
        return std::any_of(image.tags.begin(), image.tags.end(),
                           [&](const std::string& tag) { return fits_tag_pattern(pattern, tag); });
    });
}

bool is_aged(const Rule& rule, const LifecycleImage& image, Timestamp now, std::chrono::milliseconds day) {
    const Timestamp since = rule.count == Rule::Count::DaysSincePulled
                                ? std::max(image.pushed, image.pulled.value_or(image.pushed))
                                : image.pushed;
    return since + day * rule.number < now;
}

}  // namespace

bool fits_tag_pattern(std::string_view pattern, std::string_view text) {
    size_t p = 0, t = 0, star = pattern.npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != pattern.npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

Result<ImageLifecyclePolicy> parse_image_lifecycle_policy(std::string_view text) {
    const auto document = Json::parse(text);
    if (!document) return invalid("the policy is not valid JSON");
    TRY(only_members(*document, {"rules"}, "the policy"));
    ImageLifecyclePolicy rules;
    const Json& list = (*document)["rules"];
    if (!list.is_array() || list.size() < 1 || list.size() > kMaxRules)
        return invalid("rules must be a list of 1 to 50");
    for (const Json& item : list.items()) rules.push_back(TRY(read_rule(item)));
    std::sort(rules.begin(), rules.end(), [](const Rule& a, const Rule& b) { return a.priority < b.priority; });
    TRY(check_together(rules));
    return rules;
}

std::vector<ExpiringImage> expiring_images(const ImageLifecyclePolicy& policy,
                                           const std::vector<LifecycleImage>& images, Timestamp now,
                                           std::chrono::milliseconds day) {
    std::vector<size_t> youngest_first(images.size());
    for (size_t i = 0; i < images.size(); ++i) youngest_first[i] = i;
    std::stable_sort(youngest_first.begin(), youngest_first.end(),
                     [&](size_t a, size_t b) { return images[a].pushed > images[b].pushed; });
    std::vector<bool> claimed(images.size());
    std::vector<ExpiringImage> expiring;
    for (const Rule& rule : policy) {
        int64_t seen = 0;
        for (const size_t i : youngest_first) {
            if (!fits_selection(rule, images[i])) continue;
            const bool had_its_time =
                rule.count == Rule::Count::Images ? ++seen > rule.number : is_aged(rule, images[i], now, day);
            if (had_its_time && !claimed[i] && !images[i].named_by_index) expiring.push_back({i, rule.priority});
            claimed[i] = true;
        }
    }
    std::stable_sort(expiring.begin(), expiring.end(), [&](const ExpiringImage& a, const ExpiringImage& b) {
        return images[a.image].pushed < images[b.image].pushed;
    });
    return expiring;
}

}  // namespace millwright::resources
