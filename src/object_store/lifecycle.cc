#include "object_store/lifecycle.h"

#include <algorithm>

#include "base/json.h"

namespace millwright::object_store {
namespace {

constexpr std::string_view kForms[] = {"prefix", "filter", "and"};

template <typename T>
void set_if(Json& document, std::string_view name, const std::optional<T>& value) {
    if (value) document.set(name, *value);
}

std::optional<int> read_int(const Json& document, std::string_view name) {
    if (document[name].is_null()) return std::nullopt;
    return static_cast<int>(document[name].int_or(0));
}
std::optional<uint64_t> read_size(const Json& document, std::string_view name) {
    if (document[name].is_null()) return std::nullopt;
    return static_cast<uint64_t>(document[name].int_or(0));
}

Json write_rule(const LifecycleRule& rule) {
    Json document = Json::object();
    document.set("id", rule.id);
    document.set("enabled", rule.enabled);
    document.set("form", kForms[static_cast<size_t>(rule.filter.form)]);
    set_if(document, "prefix", rule.filter.prefix);
    Json tags = Json::object();
    for (const auto& [key, value] : rule.filter.tags) tags.set(key, value);
    if (!rule.filter.tags.empty()) document.set("tags", std::move(tags));
    set_if(document, "larger_than", rule.filter.larger_than);
    set_if(document, "smaller_than", rule.filter.smaller_than);
    set_if(document, "days", rule.days);
    if (rule.date) document.set("date", to_epoch_milliseconds(*rule.date));
    set_if(document, "expired_delete_markers", rule.expired_delete_markers);
    set_if(document, "noncurrent_days", rule.noncurrent_days);
    set_if(document, "newer_noncurrent", rule.newer_noncurrent);
    set_if(document, "abort_uploads_days", rule.abort_uploads_days);
    return document;
}

LifecycleRule read_rule(const Json& document) {
    LifecycleRule rule;
    rule.id = document["id"].string_or("");
    rule.enabled = document["enabled"].bool_or(false);
    const auto form = std::find(std::begin(kForms), std::end(kForms), document["form"].string_or(""));
    if (form != std::end(kForms)) rule.filter.form = static_cast<LifecycleFilter::Form>(form - std::begin(kForms));
    if (!document["prefix"].is_null()) rule.filter.prefix = document["prefix"].string_or("");
    for (const auto& tag : document["tags"].members()) rule.filter.tags[tag.name] = tag.value.string_or("");
    rule.filter.larger_than = read_size(document, "larger_than");
    rule.filter.smaller_than = read_size(document, "smaller_than");
    rule.days = read_int(document, "days");
    if (!document["date"].is_null()) rule.date = from_epoch_milliseconds(document["date"].int_or(0));
    if (!document["expired_delete_markers"].is_null())
        rule.expired_delete_markers = document["expired_delete_markers"].bool_or(false);
    rule.noncurrent_days = read_int(document, "noncurrent_days");
    rule.newer_noncurrent = read_int(document, "newer_noncurrent");
    rule.abort_uploads_days = read_int(document, "abort_uploads_days");
    return rule;
}

}  // namespace

std::string write_lifecycle(const std::vector<LifecycleRule>& rules) {
    Json document = Json::array();
    for (const auto& rule : rules) document.push_back(write_rule(rule));
    return document.dump();
}

Result<std::vector<LifecycleRule>> read_lifecycle(std::string_view text) {
    const Json document = TRY(Json::parse(text));
    std::vector<LifecycleRule> rules;
    for (size_t i = 0; i < document.size(); ++i) rules.push_back(read_rule(document[i]));
    return rules;
}

Timestamp days_after(Timestamp time, int days, LifecycleDay day) {
    const Timestamp exact = time + days * day.length;
    if (day.length != std::chrono::hours(24)) return exact;
    const auto midnight = std::chrono::floor<std::chrono::days>(exact);
    return midnight == exact ? exact : Timestamp(midnight + std::chrono::days(1));
}

bool fits_without_tags(const LifecycleFilter& filter, std::string_view key, uint64_t size) {
    return (!filter.prefix || key.starts_with(*filter.prefix)) && (!filter.larger_than || size > *filter.larger_than) &&
           (!filter.smaller_than || size < *filter.smaller_than);
}

bool fits(const LifecycleFilter& filter, const ObjectInfo& object) {
    return fits_without_tags(filter, object.key, object.size) &&
           std::all_of(filter.tags.begin(), filter.tags.end(), [&](const auto& tag) {
               const auto found = object.tags.find(tag.first);
               return found != object.tags.end() && found->second == tag.second;
           });
}

std::optional<Expiration> find_expiration(const std::vector<LifecycleRule>& rules, const ObjectInfo& object,
                                          LifecycleDay day) {
    std::optional<Expiration> first;
    for (const auto& rule : rules) {
        if (!rule.enabled || (!rule.days && !rule.date) || !fits(rule.filter, object)) continue;
        const Timestamp time = rule.days ? days_after(object.modified, *rule.days, day) : *rule.date;
        if (!first || time < first->time) first = Expiration{time, rule.id};
    }
    return first;
}

}  // namespace millwright::object_store
