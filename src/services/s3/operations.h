// The operations, each in the file of its name or of its family; s3_service.cc has the table.
#pragma once

#include "services/s3/exchange.h"

namespace millwright::s3 {

ApiResult<void> list_buckets(Exchange& exchange);
ApiResult<void> create_bucket(Exchange& exchange);
ApiResult<void> head_bucket(Exchange& exchange);
ApiResult<void> delete_bucket(Exchange& exchange);
ApiResult<void> get_bucket_location(Exchange& exchange);
ApiResult<void> get_bucket_configuration(Exchange& exchange);  // GetBucketLogging, GetBucketWebsite, …
ApiResult<void> get_acl(Exchange& exchange);                   // of a bucket or an object
ApiResult<void> put_acl(Exchange& exchange);                   // likewise
ApiResult<void> get_bucket_policy(Exchange& exchange);
ApiResult<void> get_bucket_policy_status(Exchange& exchange);
ApiResult<void> put_bucket_policy(Exchange& exchange);
ApiResult<void> delete_bucket_policy(Exchange& exchange);
ApiResult<void> get_bucket_cors(Exchange& exchange);
ApiResult<void> put_bucket_cors(Exchange& exchange);
ApiResult<void> delete_bucket_cors(Exchange& exchange);
ApiResult<void> get_bucket_encryption(Exchange& exchange);
ApiResult<void> put_bucket_encryption(Exchange& exchange);
ApiResult<void> delete_bucket_encryption(Exchange& exchange);
ApiResult<void> get_public_access_block(Exchange& exchange);
ApiResult<void> put_public_access_block(Exchange& exchange);
ApiResult<void> delete_public_access_block(Exchange& exchange);
ApiResult<void> get_bucket_ownership_controls(Exchange& exchange);
ApiResult<void> put_bucket_ownership_controls(Exchange& exchange);
ApiResult<void> delete_bucket_ownership_controls(Exchange& exchange);
ApiResult<void> get_bucket_versioning(Exchange& exchange);
ApiResult<void> put_bucket_versioning(Exchange& exchange);
ApiResult<void> get_bucket_tagging(Exchange& exchange);
ApiResult<void> put_bucket_tagging(Exchange& exchange);
ApiResult<void> delete_bucket_tagging(Exchange& exchange);
ApiResult<void> get_bucket_lifecycle(Exchange& exchange);
ApiResult<void> put_bucket_lifecycle(Exchange& exchange);
ApiResult<void> delete_bucket_lifecycle(Exchange& exchange);
ApiResult<void> get_object_tagging(Exchange& exchange);
ApiResult<void> put_object_tagging(Exchange& exchange);
ApiResult<void> delete_object_tagging(Exchange& exchange);

ApiResult<void> list_objects(Exchange& exchange);
ApiResult<void> list_objects_v2(Exchange& exchange);
ApiResult<void> list_object_versions(Exchange& exchange);

ApiResult<void> put_object(Exchange& exchange);
ApiResult<void> get_object(Exchange& exchange);  // and HeadObject
ApiResult<void> get_object_attributes(Exchange& exchange);
ApiResult<void> copy_object(Exchange& exchange);
ApiResult<void> delete_object(Exchange& exchange);
ApiResult<void> delete_objects(Exchange& exchange);

ApiResult<void> create_multipart_upload(Exchange& exchange);
ApiResult<void> upload_part(Exchange& exchange);
ApiResult<void> upload_part_copy(Exchange& exchange);
ApiResult<void> complete_multipart_upload(Exchange& exchange);
ApiResult<void> abort_multipart_upload(Exchange& exchange);
ApiResult<void> list_parts(Exchange& exchange);
ApiResult<void> list_multipart_uploads(Exchange& exchange);

// What is no operation of the model: a browser's question before its request, and an upload by HTML form.
ApiResult<void> preflight(Exchange& exchange);
ApiResult<void> post_object(Exchange& exchange);
net::Headers cors_headers_of_answer(const Exchange& exchange);  // empty when no rule fits

}  // namespace millwright::s3
