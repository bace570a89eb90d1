// The operations, each in the file of its name or of its family; s3_service.cc has the table.
#pragma once

#include "services/s3/exchange.h"

namespace millwright::s3 {

ApiResult<void> list_buckets(Exchange& exchange);
ApiResult<void> create_bucket(Exchange& exchange);
ApiResult<void> head_bucket(Exchange& exchange);
ApiResult<void> delete_bucket(Exchange& exchange);
ApiResult<void> get_bucket_location(Exchange& exchange);
ApiResult<void> get_bucket_configuration(Exchange& exchange);  // GetBucketVersioning, GetBucketPolicy, …
ApiResult<void> get_acl(Exchange& exchange);                   // of a bucket or an object
ApiResult<void> get_object_tagging(Exchange& exchange);

ApiResult<void> list_objects(Exchange& exchange);
ApiResult<void> list_objects_v2(Exchange& exchange);

ApiResult<void> put_object(Exchange& exchange);
ApiResult<void> get_object(Exchange& exchange);  // and HeadObject
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

}  // namespace millwright::s3
