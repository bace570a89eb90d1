#include "services/s3/cors.h"

#include <algorithm>

#include "base/strings.h"
#include "base/xml.h"
#include "services/s3/exchange.h"
#include "services/s3/operations.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

constexpr size_t kMaxRules = 100;
constexpr std::string_view kMethods[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};

bool fits(std::string_view pattern, std::string_view text) {
    const size_t star = pattern.find('*');
    if (star == std::string_view::npos) return pattern == text;
    const std::string_view before = pattern.substr(0, star), after = pattern.substr(star + 1);
    return text.size() >= before.size() + after.size() && text.starts_with(before) && text.ends_with(after);
}

bool any_fits(const std::vector<std::string>& patterns, std::string_view text) {
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return fits(pattern, text); });
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

aws::ApiResult<void> check_pattern(std::string_view field, const std::string& pattern) {
    if (std::count(pattern.begin(), pattern.end(), '*') <= 1) return {};
    return invalid_request(std::string(field) + " \"" + pattern + "\" can not have more than one wildcard.");
}

aws::ApiResult<CorsRule> parse_rule(const XmlElement& element) {
    CorsRule rule;
    for (const auto& field : element.children) {
        const std::string text(trim(field.text));
        if (field.name == "ID") {
            if (text.size() > 255) return malformed_xml();
            rule.id = text;
        } else if (field.name == "AllowedOrigin") {
            TRY(check_pattern(field.name, text));
            rule.origins.push_back(text);
        } else if (field.name == "AllowedMethod") {
            if (std::find(std::begin(kMethods), std::end(kMethods), text) == std::end(kMethods))
                return invalid_request("Found unsupported HTTP method in CORS config. Unsupported method is " + text);
            rule.methods.push_back(text);
        } else if (field.name == "AllowedHeader") {
            TRY(check_pattern(field.name, text));
            rule.headers.push_back(text);
        } else if (field.name == "ExposeHeader") {
            if (text.find('*') != std::string::npos)
                return invalid_request("ExposeHeader \"" + text +
                                       "\" contains wildcard. We currently do not support wildcard for ExposeHeader.");
            rule.exposed.push_back(text);
        } else if (field.name == "MaxAgeSeconds") {
            const auto seconds = parse_int(text);
            if (!seconds || *seconds < 0 || *seconds > INT32_MAX) return malformed_xml();
            rule.max_age_seconds = static_cast<int>(*seconds);
        } else {
            return malformed_xml();
        }
    }
    if (rule.origins.empty() || rule.methods.empty()) return malformed_xml();
    return rule;
}

bool rule_fits(const CorsRule& rule, std::string_view origin, std::string_view method,
               const std::vector<std::string>& headers) {
    return any_fits(rule.origins, origin) && contains(rule.methods, method) &&
           std::all_of(headers.begin(), headers.end(), [&](const std::string& header) {
               return std::any_of(rule.headers.begin(), rule.headers.end(),
                                  [&](const std::string& pattern) { return fits(to_lower(pattern), header); });
           });
}

net::Headers headers_of(const CorsRule& rule, const std::string& origin, const std::vector<std::string>& asked) {
    const bool anyone = contains(rule.origins, "*");
    net::Headers out{{"Access-Control-Allow-Origin", anyone ? "*" : origin},
                     {"Access-Control-Allow-Methods", join(rule.methods, ", ")}};
    if (!asked.empty()) out.add("Access-Control-Allow-Headers", join(asked, ", "));
    if (!rule.exposed.empty()) out.add("Access-Control-Expose-Headers", join(rule.exposed, ", "));
    if (rule.max_age_seconds) out.add("Access-Control-Max-Age", std::to_string(*rule.max_age_seconds));
    if (!anyone) out.add("Access-Control-Allow-Credentials", "true");
    out.add("Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
    return out;
}

ApiError no_cors(const Exchange& exchange) {
    ApiError error(404, "NoSuchCORSConfiguration", "The CORS configuration does not exist");
    error.members.set("BucketName", exchange.bucket());
    return error;
}

}  // namespace

aws::ApiResult<std::vector<CorsRule>> parse_cors(std::string_view text) {
    const auto root = parse_xml(text);
    if (!root || root->name != "CORSConfiguration" || root->children.empty() || root->children.size() > kMaxRules)
        return malformed_xml();
    std::vector<CorsRule> rules;
    for (const auto& child : root->children) {
        if (child.name != "CORSRule") return malformed_xml();
        auto rule = TRY(parse_rule(child));
        rules.push_back(std::move(rule));
    }
    return rules;
}

std::string format_cors(const std::vector<CorsRule>& rules) {
    XmlWriter xml;
    xml.open("CORSConfiguration", kXmlNamespace);
    for (const auto& rule : rules) {
        xml.open("CORSRule");
        if (!rule.id.empty()) xml.element("ID", rule.id);
        for (const auto& header : rule.headers) xml.element("AllowedHeader", header);
        for (const auto& method : rule.methods) xml.element("AllowedMethod", method);
        for (const auto& origin : rule.origins) xml.element("AllowedOrigin", origin);
        for (const auto& header : rule.exposed) xml.element("ExposeHeader", header);
        if (rule.max_age_seconds) xml.element("MaxAgeSeconds", std::to_string(*rule.max_age_seconds));
        xml.close();
    }
    xml.close();
    return xml.finish();
}

std::optional<net::Headers> cors_headers(const std::vector<CorsRule>& rules, const net::Request& request) {
    const std::string origin = request.headers.get("Origin");
    if (origin.empty()) return std::nullopt;
    const std::string method = request.headers.get("Access-Control-Request-Method", request.method);
    std::vector<std::string> asked;
    for (const auto header : split(request.headers.find("Access-Control-Request-Headers").value_or(""), ','))
        if (!trim(header).empty()) asked.push_back(to_lower(trim(header)));
    for (const auto& rule : rules)
        if (rule_fits(rule, origin, method, asked)) return headers_of(rule, origin, asked);
    return std::nullopt;
}

ApiResult<void> get_bucket_cors(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* document = bucket.document(kCorsDocument);
    if (!document) return no_cors(exchange);
    return sent(exchange.response.send(200, {{"Content-Type", "application/xml"}}, *document));
}

ApiResult<void> put_bucket_cors(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const std::string text = TRY(read_document(exchange));
    const auto rules = TRY(parse_cors(text));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kCorsDocument, format_cors(rules))));
    return exchange.send_empty(200);
}

ApiResult<void> delete_bucket_cors(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kCorsDocument, std::nullopt)));
    return exchange.send_empty(204);
}

net::Headers cors_headers_of_answer(const Exchange& exchange) {
    if (exchange.bucket().empty() || !exchange.has_header("Origin")) return {};
    const auto bucket = exchange.store.find_bucket(exchange.bucket());
    const std::string* document = bucket ? bucket->document(kCorsDocument) : nullptr;
    if (!document) return {};
    const auto rules = parse_cors(*document);
    return rules ? cors_headers(*rules, exchange.request).value_or(net::Headers()) : net::Headers();
}

// What a browser asks before it sends the request itself: without a signature, so nothing about the bucket but its
// rules may show.
ApiResult<void> preflight(Exchange& exchange) {
    const auto insufficient = [](std::string text) { return ApiError(400, "BadRequest", std::move(text)); };
    if (!exchange.has_header("Origin")) return insufficient("Insufficient information. Origin request header needed.");
    const std::string method = exchange.header("Access-Control-Request-Method");
    if (std::find(std::begin(kMethods), std::end(kMethods), method) == std::end(kMethods))
        return insufficient("Invalid Access-Control-Request-Method: " + (method.empty() ? "null" : method));
    const auto bucket = TRY(in_s3(exchange.store.find_bucket(exchange.bucket())));
    if (!bucket.document(kCorsDocument))
        return ApiError{403, "AccessForbidden", "CORSResponse: CORS is not enabled for this bucket."};
    const net::Headers headers = cors_headers_of_answer(exchange);
    if (headers.all().empty())
        return ApiError{403, "AccessForbidden",
                        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
                        "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are "
                        "not whitelisted by the resource's CORS spec."};
    return exchange.send_empty(200, headers);
}

}  // namespace millwright::s3
