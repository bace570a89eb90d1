#include "services/s3/target.h"

#include "base/encoding.h"
#include "base/strings.h"
#include "object_store/object_store.h"
#include "services/s3/errors.h"

namespace millwright::s3 {
namespace {

std::string_view without_port(std::string_view host) {
    if (host.starts_with('[')) return host;  // an IPv6 address names no bucket
    return host.substr(0, host.find(':'));
}

bool has_broken_escape(std::string_view path) {
    for (size_t at = path.find('%'); at != std::string_view::npos; at = path.find('%', at + 1))
        if (!from_hex(path.substr(at + 1, 2)) || path.size() < at + 3) return true;
    return false;
}

// "s3.us-west-2.amazonaws.com", "s3-us-west-2…", "s3.dualstack.us-west-2…", or "<bucket>." before one of them. The last
// such label is S3's: buckets may have names like "s3-logs", too.
std::string bucket_of_aws_host(std::string_view host) {
    std::string_view bucket;
    for (size_t at = 0; at != std::string_view::npos;) {
        const std::string_view rest = host.substr(at);
        if (rest.starts_with("s3.") || rest.starts_with("s3-")) bucket = host.substr(0, at ? at - 1 : 0);
        const size_t dot = host.find('.', at);
        at = dot == std::string_view::npos ? dot : dot + 1;
    }
    return std::string(bucket);
}

}  // namespace

std::string bucket_of_host(std::string_view host, const std::vector<std::string>& domains) {
    const std::string name = to_lower(without_port(host));
    if (name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn")) return bucket_of_aws_host(name);
    for (const auto& domain : domains) {
        if (name.size() <= domain.size() + 1 || !name.ends_with("." + domain)) continue;
        const std::string bucket = name.substr(0, name.size() - domain.size() - 1);
        if (object_store::is_valid_bucket_name(bucket)) return bucket;
    }
    return "";
}

aws::ApiResult<Target> find_target(std::string_view host, std::string_view raw_path,
                                   const std::vector<std::string>& domains) {
    if (!raw_path.starts_with('/') || has_broken_escape(raw_path)) return invalid_uri();
    raw_path.remove_prefix(1);
    Target target;
    target.bucket = bucket_of_host(host, domains);
    if (target.bucket.empty()) {
        const size_t slash = raw_path.find('/');
        target.bucket = percent_decode(raw_path.substr(0, slash));
        raw_path = slash == std::string_view::npos ? std::string_view() : raw_path.substr(slash + 1);
    }
    target.key = percent_decode(raw_path);
    if (target.bucket.empty() && !target.key.empty()) return invalid_uri();  // "//key" must not mean the service
    return target;
}

}  // namespace millwright::s3
