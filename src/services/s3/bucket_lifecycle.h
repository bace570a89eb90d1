// <LifecycleConfiguration>: the end of objects, as S3 writes and checks it.
#pragma once

#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/xml.h"
#include "net/http.h"
#include "object_store/lifecycle.h"
#include "services/s3/errors.h"

namespace millwright::s3 {

// Rules without an ID get one. MalformedXML, InvalidArgument, InvalidRequest; NotImplemented for transitions.
aws::ApiResult<std::vector<object_store::LifecycleRule>> parse_lifecycle(std::string_view text, Random& random);
void write_lifecycle(XmlWriter& xml, const std::vector<object_store::LifecycleRule>& rules);

// x-amz-expiration of a current version, if any rule ends it. In days of 24 hours.
void add_expiration_header(net::Headers& headers, const object_store::BucketInfo& bucket,
                           const object_store::ObjectInfo& object);

}  // namespace millwright::s3
