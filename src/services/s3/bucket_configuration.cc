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
    {"GetBucketLogging", "BucketLoggingStatus", ""},
    {"GetBucketNotificationConfiguration", "NotificationConfiguration", ""},
    {"GetBucketAccelerateConfiguration", "AccelerateConfiguration", ""},
    {"GetBucketRequestPayment", "RequestPaymentConfiguration", "Payer", "BucketOwner"},
    {"GetBucketWebsite", "", "NoSuchWebsiteConfiguration",
     "The specified bucket does not have a website configuration"},
    {"GetBucketReplication", "", "ReplicationConfigurationNotFoundError",
     "The replication configuration was not found"},
    {"GetObjectLockConfiguration", "", "ObjectLockConfigurationNotFoundError",
     "Object Lock configuration does not exist for this bucket"},
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

}  // namespace millwright::s3
