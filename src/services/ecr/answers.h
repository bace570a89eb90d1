// What the operations of ECR share: names, errors, pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aws/service.h"
#include "aws/token.h"
#include "registry/registry.h"
#include "resources/tags/tags.h"

namespace millwright::services {

// registryId of the request, or the caller's account.
std::string registry_in(const aws::Call& call, const Json& input);
registry::RepositoryName repository_in(const aws::Call& call, const Json& input);
// "arn:aws:ecr:<region>:<account>:repository/<name>"; InvalidParameterException.
aws::ApiResult<registry::RepositoryName> repository_of_arn(std::string_view arn);

aws::ApiError ecr_invalid_parameter(std::string_view member, std::string_view constraint);
// For a parameter that asks for something Millwright does not do.
aws::ApiError ecr_not_supported(std::string_view what);
// By Error::detail, see registry::reason; "in the repository with name 'x' in the registry with id '1'" is added where
// ECR says so.
aws::ApiError ecr_error(const Error& failure, const registry::RepositoryName& repository);
std::string place_of(const registry::RepositoryName& repository);

// "{imageDigest:'sha256:…', imageTag:'v1'}", as ECR's texts spell an image.
std::string text_of_image_id(const Json& image_id);
aws::ApiError image_not_found(const Json& image_id, const registry::RepositoryName& repository);
// What names the image; both may be empty.
registry::ImageName image_name_of(const Json& image_id);
// tag empty: without one.
Json image_id_of(std::string_view digest, std::string_view tag);

// With the limits of ECR's tags; InvalidInput.
Result<resources::TagList> parse_repository_tags(const Json& tags);
aws::ApiError repository_tags_error(const Error& failure);

// Position behind `nextToken`, of `size` parts; empty parts without one. InvalidParameterException for a token of
// another listing: `scope` names it.
aws::ApiResult<std::vector<std::string>> page_position(const aws::PageTokens& tokens, std::string_view scope,
                                                       const Json& input, size_t size);
std::string scope_of(std::string_view operation, const registry::RepositoryName& repository, const Json& filter);

}  // namespace millwright::services
