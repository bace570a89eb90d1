#include "services/ecr/ecr.h"

#include <memory>

#include "services/ecr/operations.h"

namespace millwright::services {
namespace {

struct Entry {
    std::string_view name;
    EcrHandler* handle;
};

constexpr Entry kOperations[] = {
    {"BatchCheckLayerAvailability", batch_check_layer_availability},
    {"BatchDeleteImage", batch_delete_image},
    {"BatchGetImage", batch_get_image},
    {"CompleteLayerUpload", complete_layer_upload},
    {"CreateRepository", create_repository},
    {"DeleteLifecyclePolicy", delete_lifecycle_policy},
    {"DeleteRepository", delete_repository},
    {"DeleteRepositoryPolicy", delete_repository_policy},
    {"DescribeImages", describe_images},
    {"DescribeRepositories", describe_repositories},
    {"GetAuthorizationToken", get_authorization_token},
    {"GetDownloadUrlForLayer", get_download_url_for_layer},
    {"GetLifecyclePolicy", get_lifecycle_policy},
    {"GetLifecyclePolicyPreview", get_lifecycle_policy_preview},
    {"GetRepositoryPolicy", get_repository_policy},
    {"InitiateLayerUpload", initiate_layer_upload},
    {"ListImageReferrers", list_image_referrers},
    {"ListImages", list_images},
    {"ListTagsForResource", ecr_list_tags_for_resource},
    {"PutImage", put_image},
    {"PutImageTagMutability", put_image_tag_mutability},
    {"PutLifecyclePolicy", put_lifecycle_policy},
    {"SetRepositoryPolicy", set_repository_policy},
    {"StartLifecyclePolicyPreview", start_lifecycle_policy_preview},
    {"TagResource", ecr_tag_resource},
    {"UntagResource", ecr_untag_resource},
    {"UploadLayerPart", upload_layer_part},
};

// The largest part of a layer, in base64, and what stands around it.
constexpr size_t kMaxDocumentBytes = size_t{29} << 20;

}  // namespace

aws::Service ecr_service(const EcrParts& parts) {
    aws::Service service{.signing_name = "ecr",
                         .model = "ecr",
                         .protocol = aws::Protocol::AwsJson,
                         .operations = {},
                         .stream = nullptr,
                         .max_document_bytes = kMaxDocumentBytes};
    for (const Entry& entry : kOperations)
        service.operations.push_back({entry.name,
                                      [parts, handle = entry.handle](const aws::Call& call, const Json& input) {
                                          return handle(parts, call, input);
                                      },
                                      ecr_access_rule(parts, entry.name)});
    return service;
}

}  // namespace millwright::services
