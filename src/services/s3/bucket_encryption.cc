#include "services/s3/bucket_encryption.h"

#include "base/strings.h"
#include "services/s3/operations.h"
#include "services/s3/public_access.h"

namespace millwright::s3 {
namespace {

struct Encryption {
    std::string algorithm, key_id;
    bool bucket_key = false;
};

ApiResult<Encryption> parse_encryption(std::string_view text) {
    const auto root = parse_xml(text);
    if (!root || root->name != "ServerSideEncryptionConfiguration" || root->children.size() != 1 ||
        root->children.front().name != "Rule")
        return malformed_xml();
    Encryption encryption;
    for (const auto& child : root->children.front().children) {
        if (child.name == "BucketKeyEnabled") {
            encryption.bucket_key = trim(child.text) == "true";
        } else if (child.name == "ApplyServerSideEncryptionByDefault") {
            encryption.algorithm = trim(child.text_of("SSEAlgorithm"));
            encryption.key_id = trim(child.text_of("KMSMasterKeyID"));
        } else if (child.name == "BlockedEncryptionTypes") {
            return not_implemented("blocked encryption types");
        } else {
            return malformed_xml();
        }
    }
    const bool kms = encryption.algorithm == "aws:kms" || encryption.algorithm == "aws:kms:dsse";
    if (!kms && encryption.algorithm != "AES256") return malformed_xml();
    if (!kms && !encryption.key_id.empty())
        return invalid_argument("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
                                "KMSMasterKeyID", encryption.key_id);
    return encryption;
}

std::string format_encryption(const Encryption& encryption) {
    XmlWriter xml;
    xml.open("ServerSideEncryptionConfiguration", kXmlNamespace).open("Rule");
    xml.open("ApplyServerSideEncryptionByDefault").element("SSEAlgorithm", encryption.algorithm);
    if (!encryption.key_id.empty()) xml.element("KMSMasterKeyID", encryption.key_id);
    xml.close().element("BucketKeyEnabled", encryption.bucket_key ? "true" : "false").close().close();
    return xml.finish();
}

}  // namespace

void add_default_encryption(std::map<std::string, std::string>& headers, const object_store::BucketInfo& bucket) {
    const std::string* document = bucket.document(kEncryptionDocument);
    if (!document || headers.contains("x-amz-server-side-encryption")) return;
    const auto encryption = parse_encryption(*document);
    if (!encryption) return;
    headers["x-amz-server-side-encryption"] = encryption->algorithm;
    if (!encryption->key_id.empty()) headers["x-amz-server-side-encryption-aws-kms-key-id"] = encryption->key_id;
    if (encryption->bucket_key) headers["x-amz-server-side-encryption-bucket-key-enabled"] = "true";
}

ApiResult<void> get_bucket_encryption(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    const std::string* document = bucket.document(kEncryptionDocument);
    if (document) return sent(exchange.response.send(200, {{"Content-Type", "application/xml"}}, *document));
    ApiError error(404, "ServerSideEncryptionConfigurationNotFoundError",
                   "The server side encryption configuration was not found");
    error.members.set("BucketName", exchange.bucket());
    return error;
}

ApiResult<void> put_bucket_encryption(Exchange& exchange) {
    TRY(open_bucket(exchange));
    const std::string text = TRY(read_document(exchange));
    const Encryption encryption = TRY(parse_encryption(text));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kEncryptionDocument, format_encryption(encryption))));
    return exchange.send_empty(200);
}

ApiResult<void> delete_bucket_encryption(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.set_document(exchange.bucket(), kEncryptionDocument, std::nullopt)));
    return exchange.send_empty(204);
}

}  // namespace millwright::s3
