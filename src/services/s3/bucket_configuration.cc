// Questions about configuration a bucket cannot have here, answered as S3 answers for a bucket that never had any.
#include "services/s3/operations.h"

namespace millwright::s3 {
namespace {

struct Answer {
    std::string_view operation;
    std::string_view root;                // of the document, or "" for an error
    std::string_view code, message = {};  // 404; or inner element and text of the document
};

constexpr Answer kAnswers[] = {
    {"GetBucketVersioning", "VersioningConfiguration", ""},
    {"GetBucketLogging", "BucketLoggingStatus", ""},
    {"GetBucketNotificationConfiguration", "NotificationConfiguration", ""},
    {"GetBucketAccelerateConfiguration", "AccelerateConfiguration", ""},
    {"GetBucketRequestPayment", "RequestPaymentConfiguration", "Payer", "BucketOwner"},
    {"GetBucketPolicy", "", "NoSuchBucketPolicy", "The bucket policy does not exist"},
    {"GetBucketPolicyStatus", "", "NoSuchBucketPolicy", "The bucket policy does not exist"},
    {"GetBucketTagging", "", "NoSuchTagSet", "The TagSet does not exist"},
    {"GetBucketCors", "", "NoSuchCORSConfiguration", "The CORS configuration does not exist"},
    {"GetBucketLifecycleConfiguration", "", "NoSuchLifecycleConfiguration",
     "The lifecycle configuration does not exist"},
    {"GetBucketEncryption", "", "ServerSideEncryptionConfigurationNotFoundError",
     "The server side encryption configuration was not found"},
    {"GetBucketWebsite", "", "NoSuchWebsiteConfiguration",
     "The specified bucket does not have a website configuration"},
    {"GetBucketReplication", "", "ReplicationConfigurationNotFoundError",
     "The replication configuration was not found"},
    {"GetObjectLockConfiguration", "", "ObjectLockConfigurationNotFoundError",
     "Object Lock configuration does not exist for this bucket"},
    {"GetPublicAccessBlock", "", "NoSuchPublicAccessBlockConfiguration",
     "The public access block configuration was not found"},
};

}  // namespace

ApiResult<void> get_bucket_configuration(Exchange& exchange) {
    TRY(open_bucket(exchange));
    for (const auto& answer : kAnswers) {
        if (answer.operation != exchange.operation) continue;
        if (answer.root.empty()) {
            ApiError error(404, std::string(answer.code), std::string(answer.message));
            error.members.set("BucketName", exchange.bucket());
            return error;
        }
        XmlWriter xml;
        xml.open(answer.root, kXmlNamespace);
        if (!answer.code.empty()) xml.element(answer.code, answer.message);
        xml.close();
        return exchange.send_xml(xml);
    }
    return not_implemented(exchange.operation);
}

// The one list there is: the owner may do everything.
ApiResult<void> get_acl(Exchange& exchange) {
    const auto bucket = TRY(open_bucket(exchange));
    if (!exchange.key().empty()) TRY(in_s3(exchange.store.head(exchange.bucket(), exchange.key())));
    XmlWriter xml;
    xml.open("AccessControlPolicy", kXmlNamespace);
    write_owner(xml, "Owner", bucket.account);
    xml.open("AccessControlList").open("Grant");
    xml.open("Grantee")
        .attribute("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")
        .attribute("xsi:type", "CanonicalUser");
    xml.element("ID", owner_id(bucket.account)).element("DisplayName", bucket.account).close();
    xml.element("Permission", "FULL_CONTROL").close().close().close();
    return exchange.send_xml(xml);
}

ApiResult<void> get_object_tagging(Exchange& exchange) {
    TRY(open_bucket(exchange));
    TRY(in_s3(exchange.store.head(exchange.bucket(), exchange.key())));
    XmlWriter xml;
    xml.open("Tagging", kXmlNamespace).open("TagSet").close().close();
    return exchange.send_xml(xml);
}

}  // namespace millwright::s3
