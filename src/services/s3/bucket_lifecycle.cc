#include "services/s3/bucket_lifecycle.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/strings.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

using object_store::LifecycleFilter;
using object_store::LifecycleRule;
using Form = object_store::LifecycleFilter::Form;

constexpr size_t kMaxRules = 1000, kMaxIdLength = 255;
constexpr int64_t kMaxNewerNoncurrent = 100;

ApiError invalid(std::string text) { return {400, "InvalidArgument", std::move(text)}; }

// A positive whole number of days, or of versions.
ApiResult<int> parse_number(const XmlElement& element, int64_t limit = INT32_MAX) {
    const auto number = parse_int(trim(element.text));
    if (!number) return malformed_xml();
    if (*number < 1 || *number > limit)
        return invalid("'" + element.name + "' for lifecycle actions must be a positive integer" +
                       (limit < INT32_MAX ? " of at most " + std::to_string(limit) : ""));
    return static_cast<int>(*number);
}

ApiResult<uint64_t> parse_size(const XmlElement& element) {
    const auto size = parse_int(trim(element.text));
    if (!size) return malformed_xml();
    if (*size < 0 || static_cast<uint64_t>(*size) > object_store::kMaxObjectBytes)
        return invalid("'" + element.name + "' must be between 0 and the largest size of an object");
    return static_cast<uint64_t>(*size);
}

ApiResult<Timestamp> parse_date(const XmlElement& element) {
    const std::string text(trim(element.text));
    const auto date = parse_iso8601(text.find('T') == std::string::npos ? text + "T00:00:00Z" : text);
    if (!date) return malformed_xml();
    if (*date != std::chrono::floor<std::chrono::days>(*date)) return invalid("'Date' must be at midnight GMT");
    return *date;
}

ApiResult<bool> parse_bool(const XmlElement& element) {
    const std::string_view text = trim(element.text);
    if (text != "true" && text != "false") return malformed_xml();
    return text == "true";
}

ApiResult<void> parse_tag(const XmlElement& element, LifecycleFilter& filter) {
    const auto *key = element.find("Key"), *value = element.find("Value");
    if (!key || !value || element.children.size() != 2) return malformed_xml();
    if (key->text.empty() || utf8_length(key->text) > 128) return invalid("The TagKey you have provided is invalid");
    if (utf8_length(value->text) > 256) return invalid("The TagValue you have provided is invalid");
    if (!filter.tags.emplace(key->text, value->text).second) return invalid("Duplicate Tag Keys are not allowed.");
    return {};
}

// The conditions directly inside <Filter> or <And>.
ApiResult<void> parse_conditions(const XmlElement& element, LifecycleFilter& filter) {
    for (const auto& child : element.children) {
        if (child.name == "Prefix") {
            if (filter.prefix) return malformed_xml();
            filter.prefix = child.text;
        } else if (child.name == "Tag") {
            TRY(parse_tag(child, filter));
        } else if (child.name == "ObjectSizeGreaterThan") {
            filter.larger_than = TRY(parse_size(child));
        } else if (child.name == "ObjectSizeLessThan") {
            filter.smaller_than = TRY(parse_size(child));
        } else {
            return malformed_xml();
        }
    }
    if (filter.larger_than && filter.smaller_than && *filter.larger_than >= *filter.smaller_than)
        return invalid("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.");
    return {};
}

ApiResult<void> parse_filter(const XmlElement& element, LifecycleFilter& filter) {
    filter.form = Form::Filter;
    if (element.children.size() > 1) return malformed_xml();  // several conditions stand in <And>
    if (element.children.empty()) return {};
    if (element.children.front().name != "And") return parse_conditions(element, filter);
    filter.form = Form::And;
    if (element.children.front().children.size() < 2) return malformed_xml();
    return parse_conditions(element.children.front(), filter);
}

ApiResult<void> parse_expiration(const XmlElement& element, LifecycleRule& rule) {
    if (element.children.size() != 1) return malformed_xml();
    const XmlElement& child = element.children.front();
    if (child.name == "Days")
        rule.days = TRY(parse_number(child));
    else if (child.name == "Date")
        rule.date = TRY(parse_date(child));
    else if (child.name == "ExpiredObjectDeleteMarker")
        rule.expired_delete_markers = TRY(parse_bool(child));
    else
        return malformed_xml();
    return {};
}

ApiResult<void> parse_noncurrent(const XmlElement& element, LifecycleRule& rule) {
    for (const auto& child : element.children) {
        if (child.name == "NoncurrentDays")
            rule.noncurrent_days = TRY(parse_number(child));
        else if (child.name == "NewerNoncurrentVersions")
            rule.newer_noncurrent = TRY(parse_number(child, kMaxNewerNoncurrent));
        else
            return malformed_xml();
    }
    if (!rule.noncurrent_days) return malformed_xml();
    return {};
}

// Its own mistakes first, as a client that mends them would learn of the gap only afterwards.
ApiError refuse_transition(const XmlElement& element) {
    if (const auto* date = element.find("Date"))
        if (auto parsed = parse_date(*date); !parsed) return std::move(parsed).error();
    return not_implemented("lifecycle transitions between storage classes");
}

ApiResult<void> parse_member(const XmlElement& child, LifecycleRule& rule, bool& has_filter) {
    if (child.name == "ID") {
        rule.id = child.text;
        if (rule.id.size() > kMaxIdLength) return invalid("ID length should not exceed allowed limit of 255");
    } else if (child.name == "Status") {
        const std::string_view status = trim(child.text);
        if (status != "Enabled" && status != "Disabled") return malformed_xml();
        rule.enabled = status == "Enabled";
    } else if (child.name == "Prefix" || child.name == "Filter") {
        if (has_filter) return malformed_xml();
        has_filter = true;
        if (child.name == "Filter") return parse_filter(child, rule.filter);
        rule.filter.form = Form::Prefix;
        rule.filter.prefix = child.text;
    } else if (child.name == "Expiration") {
        return parse_expiration(child, rule);
    } else if (child.name == "NoncurrentVersionExpiration") {
        return parse_noncurrent(child, rule);
    } else if (child.name == "AbortIncompleteMultipartUpload") {
        const auto* days = child.find("DaysAfterInitiation");
        if (!days || child.children.size() != 1) return malformed_xml();
        rule.abort_uploads_days = TRY(parse_number(*days));
    } else if (child.name == "Transition" || child.name == "NoncurrentVersionTransition") {
        return refuse_transition(child);
    } else {
        return malformed_xml();
    }
    return {};
}

ApiResult<LifecycleRule> parse_rule(const XmlElement& element) {
    if (element.name != "Rule" || !element.find("Status")) return malformed_xml();
    LifecycleRule rule;
    bool has_filter = false;
    for (const auto& child : element.children) TRY(parse_member(child, rule, has_filter));
    if (!has_filter) return malformed_xml();
    const bool expires = rule.days || rule.date || rule.expired_delete_markers;
    if (!expires && !rule.noncurrent_days && !rule.abort_uploads_days)
        return ApiError{400, "InvalidRequest",
                        "At least one action needs to be specified in a rule: Expiration, "
                        "NoncurrentVersionExpiration or AbortIncompleteMultipartUpload."};
    if (!rule.filter.tags.empty() && (rule.abort_uploads_days || rule.expired_delete_markers))
        return ApiError{
            400, "InvalidRequest",
            std::string(rule.abort_uploads_days ? "AbortIncompleteMultipartUpload" : "ExpiredObjectDeleteMarker") +
                " cannot be specified with Tags."};
    if ((rule.filter.larger_than || rule.filter.smaller_than) && rule.abort_uploads_days)
        return ApiError{400, "InvalidRequest",
                        "AbortIncompleteMultipartUpload cannot be specified with ObjectSize filters."};
    return rule;
}

void write_conditions(XmlWriter& xml, const LifecycleFilter& filter) {
    if (filter.prefix) xml.element("Prefix", *filter.prefix);
    for (const auto& [key, value] : filter.tags) xml.open("Tag").element("Key", key).element("Value", value).close();
    if (filter.larger_than) xml.element("ObjectSizeGreaterThan", std::to_string(*filter.larger_than));
    if (filter.smaller_than) xml.element("ObjectSizeLessThan", std::to_string(*filter.smaller_than));
}

void write_filter(XmlWriter& xml, const LifecycleFilter& filter) {
    if (filter.form == Form::Prefix) {
        xml.element("Prefix", filter.prefix.value_or(""));
        return;
    }
    xml.open("Filter");
    if (filter.form == Form::And) xml.open("And");
    write_conditions(xml, filter);
    if (filter.form == Form::And) xml.close();
    xml.close();
}

bool is_plain_text(std::string_view text) { return is_valid_utf8(text) && is_xml_text(text); }

bool can_be_answered(const LifecycleRule& rule) {
    const auto& filter = rule.filter;
    return is_plain_text(rule.id) && is_plain_text(filter.prefix.value_or("")) &&
           std::all_of(filter.tags.begin(), filter.tags.end(),
                       [](const auto& tag) { return is_plain_text(tag.first) && is_plain_text(tag.second); });
}

}  // namespace

aws::ApiResult<std::vector<LifecycleRule>> parse_lifecycle(std::string_view text, Random& random) {
    const auto root = parse_xml(text);
    if (!root || root->name != "LifecycleConfiguration" || root->children.empty()) return malformed_xml();
    if (root->children.size() > kMaxRules) return invalid("The number of lifecycle rules must not exceed 1000");
    std::vector<LifecycleRule> rules;
    std::set<std::string> ids;
    for (const auto& child : root->children) {
        auto rule = TRY(parse_rule(child));
        if (!can_be_answered(rule)) return malformed_xml();
        if (rule.id.empty()) rule.id = random.uuid();
        if (!ids.insert(rule.id).second) return invalid("Rule ID must be unique. Found same ID for more than one rule");
        rules.push_back(std::move(rule));
    }
    return rules;
}

void write_lifecycle(XmlWriter& xml, const std::vector<LifecycleRule>& rules) {
    xml.open("LifecycleConfiguration", kXmlNamespace);
    for (const auto& rule : rules) {
        xml.open("Rule").element("ID", rule.id);
        write_filter(xml, rule.filter);
        xml.element("Status", rule.enabled ? "Enabled" : "Disabled");
        if (rule.days) xml.open("Expiration").element("Days", std::to_string(*rule.days)).close();
        if (rule.date) xml.open("Expiration").element("Date", format_iso8601(*rule.date)).close();
        if (rule.expired_delete_markers)
            xml.open("Expiration")
                .element("ExpiredObjectDeleteMarker", *rule.expired_delete_markers ? "true" : "false")
                .close();
        if (rule.noncurrent_days) {
            xml.open("NoncurrentVersionExpiration").element("NoncurrentDays", std::to_string(*rule.noncurrent_days));
            if (rule.newer_noncurrent) xml.element("NewerNoncurrentVersions", std::to_string(*rule.newer_noncurrent));
            xml.close();
        }
        if (rule.abort_uploads_days)
            xml.open("AbortIncompleteMultipartUpload")
                .element("DaysAfterInitiation", std::to_string(*rule.abort_uploads_days))
                .close();
        xml.close();
    }
    xml.close();
}

void add_expiration_header(net::Headers& headers, const object_store::BucketInfo& bucket,
                           const object_store::ObjectInfo& object) {
    const std::string* document = bucket.document(object_store::kLifecycleDocument);
    if (!document) return;
    const auto rules = object_store::read_lifecycle(*document);
    if (!rules) return;
    if (const auto end = object_store::find_expiration(*rules, object))
        headers.add("x-amz-expiration",
                    "expiry-date=\"" + format_rfc1123(end->time) + "\", rule-id=\"" + percent_encode(end->rule) + "\"");
}

ApiResult<void> get_bucket_lifecycle(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* document = bucket.document(object_store::kLifecycleDocument);
    if (!document) {
        ApiError error(404, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist");
        error.members.set("BucketName", exchange.bucket());
        return error;
    }
    XmlWriter xml;
    write_lifecycle(xml, TRY(in_s3(object_store::read_lifecycle(*document))));
    return exchange.send_xml(xml);
}

ApiResult<void> put_bucket_lifecycle(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto rules = TRY(parse_lifecycle(TRY(read_document(exchange)), system_random()));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), object_store::kLifecycleDocument,
                                          object_store::write_lifecycle(rules))));
    return exchange.send_empty(200);
}

ApiResult<void> delete_bucket_lifecycle(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), object_store::kLifecycleDocument, std::nullopt)));
    return exchange.send_empty(204);
}

}  // namespace millwright::s3
