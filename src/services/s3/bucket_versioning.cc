#include "base/strings.h"
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

using object_store::Versioning;

constexpr int kMaxVersions = 1000;

ApiResult<Versioning> parse_versioning(const std::string& text) {
    const auto root = parse_xml(text);
    if (!root || root->name != "VersioningConfiguration") return malformed_xml();
    for (const auto& child : root->children)
        if (child.name != "Status" && child.name != "MfaDelete") return malformed_xml();
    if (const auto* mfa = root->find("MfaDelete")) {
        const std::string_view wanted = trim(mfa->text);
        if (wanted == "Enabled") return not_implemented("MFA delete");
        if (wanted != "Disabled") return malformed_xml();
    }
    const auto* status = root->find("Status");
    if (!status)
        return ApiError{400, "IllegalVersioningConfigurationException", "The Versioning element must be specified"};
    const std::string_view wanted = trim(status->text);
    if (wanted == "Enabled") return Versioning::Enabled;
    if (wanted == "Suspended") return Versioning::Suspended;
    return malformed_xml();
}

void write_version(XmlWriter& xml, const object_store::VersionInfo& version, const std::string& account,
                   bool url_encoded) {
    const auto& object = version.object;
    xml.open(version.delete_marker ? "DeleteMarker" : "Version");
    if (!version.delete_marker)
        xml.element("ETag", quoted(object.etag))
            .element("Size", std::to_string(object.size))
            .element("StorageClass", object.storage_class);
    xml.element("Key", shown(object.key, url_encoded)).element("VersionId", object.version);
    xml.element("IsLatest", version.latest ? "true" : "false");
    xml.element("LastModified", format_iso8601(object.modified, Fraction::Milliseconds));
    write_owner(xml, "Owner", account);
    xml.close();
}

}  // namespace

ApiResult<void> get_bucket_versioning(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    XmlWriter xml;
    xml.open("VersioningConfiguration", kXmlNamespace);
    if (bucket.versioning != Versioning::Off)
        xml.element("Status", bucket.versioning == Versioning::Enabled ? "Enabled" : "Suspended");
    xml.close();
    return exchange.send_xml(xml);
}

ApiResult<void> put_bucket_versioning(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const auto versioning = TRY(parse_versioning(TRY(read_document(exchange))));
    TRY(in_s3(exchange.store.set_versioning(exchange.bucket(), versioning)));
    return exchange.send_empty(200);
}

ApiResult<void> list_object_versions(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const bool url_encoded = TRY(wants_url_encoding(exchange));
    const int limit = TRY(number_parameter(exchange, "max-keys", kMaxVersions, 0, kMaxVersions));
    object_store::VersionListRequest request;
    request.prefix = exchange.parameter("prefix").value_or("");
    request.delimiter = exchange.parameter("delimiter").value_or("");
    request.after_key = exchange.parameter("key-marker").value_or("");
    request.after_version = exchange.parameter("version-id-marker").value_or("");
    request.max_versions = static_cast<size_t>(limit);
    if (!request.after_version.empty() && request.after_key.empty())
        return invalid_argument("A version-id marker cannot be specified without a key marker.", "version-id-marker",
                                request.after_version);
    const auto page = TRY(in_s3(exchange.store.list_versions(exchange.bucket(), request)));
    XmlWriter xml;
    xml.open("ListVersionsResult", kXmlNamespace).element("Name", exchange.bucket());
    xml.element("Prefix", shown(request.prefix, url_encoded));
    xml.element("KeyMarker", shown(request.after_key, url_encoded)).element("VersionIdMarker", request.after_version);
    if (page.truncated) {
        xml.element("NextKeyMarker", shown(page.last_key, url_encoded));
        if (!page.last_version.empty()) xml.element("NextVersionIdMarker", page.last_version);
    }
    xml.element("MaxKeys", std::to_string(limit));
    if (!request.delimiter.empty()) xml.element("Delimiter", shown(request.delimiter, url_encoded));
    if (url_encoded) xml.element("EncodingType", "url");
    xml.element("IsTruncated", page.truncated ? "true" : "false");
    for (const auto& version : page.versions) write_version(xml, version, bucket.account, url_encoded);
    for (const auto& prefix : page.common_prefixes)
        xml.open("CommonPrefixes").element("Prefix", shown(prefix, url_encoded)).close();
    xml.close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
