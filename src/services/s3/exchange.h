// One S3 request on its way through its operation, and what the operations share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aws/service.h"
#include "base/xml.h"
#include "net/http.h"
#include "object_store/object_store.h"
#include "services/s3/errors.h"
#include "services/s3/s3_service.h"
#include "services/s3/target.h"

namespace millwright::s3 {

using aws::ApiError;
using aws::ApiResult;

inline constexpr std::string_view kXmlNamespace = "http://s3.amazonaws.com/doc/2006-03-01/";

struct Exchange {
    const aws::Call& call;
    net::Request& request;
    net::ResponseWriter& response;
    object_store::ObjectStore& store;
    const S3Settings& settings;
    Target target;
    std::vector<std::pair<std::string, std::string>> query;
    std::string_view operation = {};

    const std::string& bucket() const { return target.bucket; }
    const std::string& key() const { return target.key; }
    std::optional<std::string> parameter(std::string_view name) const;
    std::string header(std::string_view name) const { return request.headers.get(name); }
    bool has_header(std::string_view name) const { return request.headers.has(name); }

    ApiResult<void> send_xml(XmlWriter& xml, net::Headers headers = {});
    ApiResult<void> send_empty(int status, net::Headers headers = {});
};

// The bucket of the request. NoSuchBucket; AccessDenied when it is another account's, or not that of the owner the
// client expects (x-amz-expected-bucket-owner).
ApiResult<object_store::BucketInfo> open_bucket(const Exchange& exchange);
// The same for any bucket; `owner_header` names the expected owner.
ApiResult<object_store::BucketInfo> open_bucket(const Exchange& exchange, const std::string& name,
                                                std::string_view owner_header);

// The whole body of a request with a document, verified against Content-MD5 and x-amz-checksum-*.
ApiResult<std::string> read_document(const Exchange& exchange);
// The body as a stream for the object store.
object_store::Source body_source(net::Request& request);

// <Owner> or <Initiator>. Accounts have no canonical ids here; the one shown is made from the account number.
std::string owner_id(const std::string& account);
void write_owner(XmlWriter& xml, std::string_view element, const std::string& account);
std::string quoted(std::string_view etag);
std::string unquoted(std::string_view etag);
// <ChecksumCRC32>…, and <ChecksumType> when there are any.
void write_checksums(XmlWriter& xml, const std::map<std::string, std::string>& checksums, std::string_view type);
void add_checksum_headers(net::Headers& headers, const std::map<std::string, std::string>& checksums,
                          std::string_view type);
// A whole number parameter between `low` and `high`; larger ones count as `high`. InvalidArgument otherwise.
ApiResult<int> number_parameter(const Exchange& exchange, std::string_view name, int otherwise, int low, int high);
// Text as the client wants it: percent-encoded with encoding-type=url.
ApiResult<bool> wants_url_encoding(const Exchange& exchange);
std::string shown(const std::string& text, bool url_encoded);

}  // namespace millwright::s3
