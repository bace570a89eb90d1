// Tags of objects and buckets, as S3 writes and limits them.
#pragma once

#include <string>
#include <string_view>

#include "base/xml.h"
#include "object_store/object_store.h"
#include "services/s3/errors.h"

namespace millwright::s3 {

enum class Tagged { Object, Bucket };  // up to 10 tags, up to 50

// <Tagging>. MalformedXML, InvalidTag.
aws::ApiResult<object_store::Tags> parse_tagging(std::string_view text, Tagged tagged);
// x-amz-tagging: "key=value&…", percent-encoded. InvalidArgument, InvalidTag.
aws::ApiResult<object_store::Tags> parse_tagging_header(std::string_view text);
void write_tagging(XmlWriter& xml, const object_store::Tags& tags);

// The document of a bucket.
inline constexpr std::string_view kTaggingDocument = "tagging";
std::string format_tags(const object_store::Tags& tags);
object_store::Tags stored_tags(const std::string* document);

}  // namespace millwright::s3
