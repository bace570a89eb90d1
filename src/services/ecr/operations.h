// The operations of ECR; grouped in files by what they work on.
#pragma once

#include "services/ecr/ecr.h"

namespace millwright::services {

using EcrHandler = aws::ApiResult<Json>(const EcrParts&, const aws::Call&, const Json& input);

// repositories.cc
EcrHandler create_repository, describe_repositories, delete_repository, put_image_tag_mutability;
// images.cc
EcrHandler put_image, batch_get_image, batch_delete_image;
// image_lists.cc
EcrHandler describe_images, list_images, list_image_referrers;
// layers.cc
EcrHandler batch_check_layer_availability, get_download_url_for_layer, initiate_layer_upload, upload_layer_part,
    complete_layer_upload;
// lifecycle.cc
EcrHandler put_lifecycle_policy, get_lifecycle_policy, delete_lifecycle_policy, start_lifecycle_policy_preview,
    get_lifecycle_policy_preview;
// repository_policy.cc
EcrHandler set_repository_policy, get_repository_policy, delete_repository_policy;
// repository_tags.cc
EcrHandler ecr_tag_resource, ecr_untag_resource, ecr_list_tags_for_resource;
// authorization_token.cc
EcrHandler get_authorization_token;

// access.cc: what an operation needs. Null for one that is not listed there.
aws::AccessRule ecr_access_rule(const EcrParts& parts, std::string_view operation);

}  // namespace millwright::services
