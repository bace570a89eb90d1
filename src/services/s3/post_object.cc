// Uploads by HTML form (POST Object): fields, then the file.
#include "aws/form_signature.h"
#include "base/encoding.h"
#include "base/strings.h"
#include "net/http_parser.h"
#include "services/s3/access.h"
#include "services/s3/form.h"
#include "services/s3/form_policy.h"
#include "services/s3/new_object.h"
#include "services/s3/operations.h"
#include "services/s3/put_headers.h"
#include "services/s3/tags.h"

namespace millwright::s3 {
namespace {

constexpr size_t kMaxFieldBytes = size_t{20} << 10;  // all before the file together, as in AWS

using Fields = std::map<std::string, std::string>;  // names in lower case

std::string field_of(const Fields& fields, std::string_view name) {
    const auto found = fields.find(std::string(name));
    return found == fields.end() ? "" : found->second;
}

ApiError malformed_form(const Error& failure) {
    if (failure.detail.starts_with(kBody)) return s3_error(failure);
    return {400, "MalformedPOSTRequest", failure.message};
}

// Up to the file, whose bytes are next.
ApiResult<Fields> read_fields(FormReader& form) {
    Fields fields;
    size_t left = kMaxFieldBytes;
    for (;;) {
        const auto part = form.next();
        if (!part) return malformed_form(part.error());
        if (!part->has_value())
            return invalid_argument("POST requires exactly one file upload per request.", "file", "0");
        const std::string name = to_lower((*part)->name);
        if (name == "file") {
            for (auto& [field, value] : fields) {
                if (field == "policy") continue;
                value = replace_all(value, "${filename}", (*part)->filename);
            }
            return fields;
        }
        auto value = form.read_field(left);
        if (!value) return malformed_form(value.error());
        if (value->size() + name.size() > left)
            return ApiError{400, "MaxPostPreDataLengthExceeded",
                            "Your POST request fields preceding the upload file were too large."};
        left -= value->size() + name.size();
        fields[name] = std::move(*value);
    }
}

// Who sends the form: nobody without a policy, else who signed it.
ApiResult<aws::Caller> find_sender(const Exchange& exchange, const Fields& fields, FormPolicy& policy) {
    if (!fields.contains("policy")) {
        if (fields.contains("signature") || fields.contains("x-amz-signature"))
            return invalid_argument("Bucket POST must contain a field named 'policy'.", "policy", "");
        return exchange.call.caller;
    }
    for (const auto& names : {std::pair{"x-amz-signature", "signature"}, {"x-amz-credential", "awsaccesskeyid"}})
        if (!fields.contains(names.first) && !fields.contains(names.second))
            return invalid_argument("Bucket POST must contain a field named '" + std::string(names.second) +
                                        "'.  If it is specified, please check the order of the fields.",
                                    names.second, "");
    const auto field = [&](std::string_view name) { return field_of(fields, name); };
    const auto credential = aws::verify_form(field, *exchange.settings.credentials, *exchange.settings.clock);
    if (!credential) return aws::auth_error(credential.error(), aws::ErrorStyle::S3);
    const auto document = from_base64(field_of(fields, "policy"));
    if (!document) return ApiError{400, "InvalidPolicyDocument", "Invalid Policy: Invalid base64."};
    policy = TRY(parse_form_policy(*document));
    Fields checked = fields;
    checked["bucket"] = exchange.bucket();
    TRY(check_form_policy(policy, checked, exchange.settings.clock->now()));
    return credential->caller;
}

// The fields as the headers a PUT would have.
net::Headers headers_of(const Fields& fields) {
    constexpr std::string_view kHeaders[] = {"content-type",     "cache-control",    "content-disposition",
                                             "content-encoding", "content-language", "expires",
                                             "content-md5"};
    net::Headers headers;
    for (const auto& [name, value] : fields) {
        const bool amz = name.starts_with("x-amz-") && name != "x-amz-signature" && name != "x-amz-credential" &&
                         name != "x-amz-date" && name != "x-amz-algorithm" && name != "x-amz-security-token";
        if (amz || std::find(std::begin(kHeaders), std::end(kHeaders), name) != std::end(kHeaders))
            headers.set(name, value);
        if (name == "acl") headers.set("x-amz-acl", value);
    }
    return headers;
}

ApiError too_small(uint64_t size, const FormPolicy& policy) {
    ApiError error(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size");
    error.members.set("ProposedSize", std::to_string(size));
    error.members.set("MinSizeAllowed", std::to_string(policy.min_bytes));
    return error;
}

ApiResult<object_store::ObjectInfo> store_file(const Exchange& exchange, FormReader& form, const FormPolicy& policy,
                                               const object_store::PutOptions& options) {
    const uint64_t limit = std::min(policy.max_bytes, object_store::kMaxPutBytes);
    uint64_t size = 0;
    std::optional<ApiError> refusal;
    const auto source = [&](std::span<char> buffer) -> Result<size_t> {
        auto got = form.read(buffer);
        if (!got) {
            refusal = malformed_form(got.error());
            return got;
        }
        size += *got;
        if (size > limit)
            refusal = ApiError{400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"};
        if (*got == 0 && size < policy.min_bytes) refusal = too_small(size, policy);
        if (refusal) return Error{ErrorKind::InvalidInput, refusal->message, ""};
        return got;
    };
    auto stored = exchange.store.put(exchange.bucket(), exchange.key(), options, source);
    if (refusal) return *refusal;
    return in_s3(std::move(stored));
}

ApiResult<void> send_success(Exchange& exchange, const Fields& fields, const object_store::ObjectInfo& stored) {
    const std::string location = "http://" + exchange.header("Host") + "/" + exchange.bucket() + "/" +
                                 percent_encode(exchange.key(), Slash::Keep);
    net::Headers headers{{"ETag", quoted(stored.etag)}, {"Location", location}};
    if (!stored.version.empty()) headers.add("x-amz-version-id", stored.version);
    add_checksum_headers(headers, stored.checksums, stored.checksum_type);
    add_encryption_headers(headers, stored.headers);
    std::string target = field_of(fields, "success_action_redirect");
    if (target.empty()) target = field_of(fields, "redirect");
    const bool usable = (target.starts_with("http://") || target.starts_with("https://")) &&
                        target.find_first_of("\r\n") == std::string::npos;
    if (usable) {
        headers.set("Location", target + (target.find('?') == std::string::npos ? "?" : "&") + "bucket=" +
                                    percent_encode(exchange.bucket()) + "&key=" + percent_encode(exchange.key()) +
                                    "&etag=" + percent_encode(quoted(stored.etag)));
        return exchange.send_empty(303, std::move(headers));
    }
    const std::string status = field_of(fields, "success_action_status");
    if (status != "201") return exchange.send_empty(status == "200" ? 200 : 204, std::move(headers));
    XmlWriter xml;
    xml.open("PostResponse").element("Location", location).element("Bucket", exchange.bucket());
    xml.element("Key", exchange.key()).element("ETag", quoted(stored.etag)).close();
    headers.set("Content-Type", "application/xml");
    return sent(exchange.response.send(201, headers, xml.finish()));
}

}  // namespace

ApiResult<void> post_object(Exchange& exchange) {
    const auto boundary = form_boundary(exchange.header("Content-Type"));
    if (!boundary)
        return ApiError{412, "PreconditionFailed", "Bucket POST must be of the enclosure-type multipart/form-data"};
    if (!exchange.settings.credentials) return not_implemented("uploads by HTML form");
    FormReader form(*exchange.request.body, *boundary);
    const Fields fields = TRY(read_fields(form));
    FormPolicy policy;
    aws::Call call = exchange.call;
    call.caller = TRY(find_sender(exchange, fields, policy));
    if (field_of(fields, "key").empty())
        return invalid_argument(
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.",
            "key", "");

    net::Request request = exchange.request;
    request.headers = headers_of(fields);
    // A form's value may hold what no header can; the answer to a later GET would.
    for (const auto& [name, value] : request.headers.all())
        if (!net::is_field_text(value)) return invalid_argument("Header value cannot be represented.", name, value);
    Exchange upload{call,
                    request,
                    exchange.response,
                    exchange.store,
                    exchange.settings,
                    {exchange.bucket(), field_of(fields, "key")},
                    {},
                    "PutObject"};
    request.headers.set("Host", exchange.header("Host"));
    TRY(in_s3(object_store::check_key(upload.key())));
    TRY(authorize(upload, "PutObject"));
    const auto bucket = TRY(open_bucket(upload));
    const auto digests = TRY(read_digests(request.headers));
    auto object = TRY(read_object_headers(request.headers));
    TRY(add_bucket_defaults(upload, bucket, object.headers));
    object_store::PutOptions options;
    options.content_type = object.content_type;
    options.headers = object.headers;
    options.metadata = object.metadata;
    options.storage_class = object.storage_class;
    if (fields.contains("tagging")) options.tags = TRY(parse_tagging(field_of(fields, "tagging"), Tagged::Object));
    options.expected_checksums = digests.expected;
    options.expected_md5 = digests.md5;
    const auto stored = TRY(store_file(upload, form, policy, options));
    return send_success(upload, fields, stored);
}

}  // namespace millwright::s3
