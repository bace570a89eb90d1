// What a bucket says about the end of its objects. Kept as its document "lifecycle" (JSON, see write_lifecycle).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "object_store/object_store.h"

namespace millwright::object_store {

inline constexpr std::string_view kLifecycleDocument = "lifecycle";

// Which objects: all that is set must hold.
struct LifecycleFilter {
    // How it was written: <Prefix> beside the rule's other members (the old way), one condition in <Filter>, or several
    // in <Filter><And>.
    enum class Form { Prefix, Filter, And };
    Form form = Form::Filter;
    std::optional<std::string> prefix = {};
    Tags tags = {};
    std::optional<uint64_t> larger_than = {}, smaller_than = {};
};

struct LifecycleRule {
    std::string id;
    bool enabled = true;
    LifecycleFilter filter = {};
    // Current versions: one of these. A delete marker with no versions behind it goes by `days` as well.
    std::optional<int> days = {};
    std::optional<Timestamp> date = {};
    std::optional<bool> expired_delete_markers = {};
    // Versions that are not the newest: so many days after a newer one came, except the newest so many of them.
    std::optional<int> noncurrent_days = {}, newer_noncurrent = {};
    std::optional<int> abort_uploads_days = {};
};

// A store measures days of `day`. A day of another length than 24 hours (tests) is counted from the moment, and not
// rounded up to midnight.
struct LifecycleDay {
    std::chrono::milliseconds length = std::chrono::hours(24);
};

std::string write_lifecycle(const std::vector<LifecycleRule>& rules);
Result<std::vector<LifecycleRule>> read_lifecycle(std::string_view text);

// `days` after `time`: at the following midnight UTC.
Timestamp days_after(Timestamp time, int days, LifecycleDay day = {});
// Whether the filter holds, but for tags: those are asked for only when all else does.
bool fits_without_tags(const LifecycleFilter& filter, std::string_view key, uint64_t size);
bool fits(const LifecycleFilter& filter, const ObjectInfo& object);

// When the current version of an object ends, and by which rule: the first to end it.
struct Expiration {
    Timestamp time;
    std::string rule;
};
std::optional<Expiration> find_expiration(const std::vector<LifecycleRule>& rules, const ObjectInfo& object,
                                          LifecycleDay day = {});

}  // namespace millwright::object_store
