#include "services/registry/registry_service.h"

#include <string>

#include "base/encoding.h"
#include "base/log.h"
#include "base/strings.h"
#include "oci/reference.h"
#include "services/registry/errors.h"
#include "services/registry/exchange.h"

namespace millwright::services {
namespace {

using Kind = RegistryTarget::Kind;

ApiResult<void> answer_base(const RegistryExchange& exchange) { return exchange.send_json(Json::object()); }

struct Route {
    Kind kind;
    std::string_view method;
    std::string_view name;    // for the audit log
    std::string_view action;  // empty: to be somebody is enough
    ApiResult<void> (*handle)(const RegistryExchange&);
};
// The policies that AWS shows for pulling and for pushing allow what these need.
constexpr Route kRoutes[] = {
    {Kind::Base, "GET", "GetAuthorization", "", answer_base},
    {Kind::Base, "HEAD", "GetAuthorization", "", answer_base},
    {Kind::Catalog, "GET", "DescribeRepositories", "ecr:DescribeRepositories", list_catalog},
    {Kind::Tags, "GET", "ListImages", "ecr:ListImages", list_tags},
    {Kind::Referrers, "GET", "ListImageReferrers", "ecr:BatchGetImage", list_referrers},
    {Kind::Manifest, "GET", "BatchGetImage", "ecr:BatchGetImage", get_manifest},
    {Kind::Manifest, "HEAD", "BatchGetImage", "ecr:BatchGetImage", get_manifest},
    {Kind::Manifest, "PUT", "PutImage", "ecr:PutImage", put_manifest},
    {Kind::Manifest, "DELETE", "BatchDeleteImage", "ecr:BatchDeleteImage", delete_manifest},
    {Kind::Blob, "GET", "GetDownloadUrlForLayer", "ecr:GetDownloadUrlForLayer", get_blob},
    {Kind::Blob, "HEAD", "BatchCheckLayerAvailability", "ecr:BatchCheckLayerAvailability", show_blob},
    {Kind::Blob, "DELETE", "BatchDeleteImage", "ecr:BatchDeleteImage", delete_blob},
    {Kind::Uploads, "POST", "InitiateLayerUpload", "ecr:InitiateLayerUpload", begin_upload},
    {Kind::Upload, "GET", "UploadLayerPart", "ecr:UploadLayerPart", show_upload},
    {Kind::Upload, "PATCH", "UploadLayerPart", "ecr:UploadLayerPart", continue_upload},
    {Kind::Upload, "PUT", "CompleteLayerUpload", "ecr:CompleteLayerUpload", complete_upload},
    {Kind::Upload, "DELETE", "UploadLayerPart", "ecr:UploadLayerPart", abort_upload},
};

ApiResult<const Route*> find_route(Kind kind, std::string_view method) {
    std::string methods;
    for (const Route& route : kRoutes) {
        if (route.kind != kind) continue;
        if (route.method == method) return &route;
        methods += (methods.empty() ? "" : ", ") + std::string(route.method);
    }
    ApiError error{405, "UNSUPPORTED", "The registry does not do this here"};
    error.headers.emplace_back("Allow", methods);
    return error;
}

ApiError unauthorized(std::string message) {
    ApiError error{401, "UNAUTHORIZED", std::move(message)};
    error.headers.emplace_back("WWW-Authenticate", R"(Basic realm="Millwright",service="ecr.amazonaws.com")");
    return error;
}

ApiResult<aws::Caller> identify(const RegistryParts& parts, const net::Request& request) {
    const std::string header = request.headers.get("Authorization");
    const size_t space = header.find(' ');
    if (space == std::string::npos || !equals_ignoring_case(std::string_view(header).substr(0, space), "basic"))
        return unauthorized("Log in first: aws ecr get-login-password | docker login --username AWS --password-stdin");
    const auto pair = from_base64(trim(std::string_view(header).substr(space + 1)));
    const size_t colon = pair ? pair->find(':') : std::string::npos;
    if (colon == std::string::npos) return unauthorized("The Authorization header is not base64 of name:password");
    const std::string_view user = std::string_view(*pair).substr(0, colon);
    const std::string_view password = std::string_view(*pair).substr(colon + 1);
    auto caller = parts.login.caller_of(user, password);
    if (caller) return std::move(*caller);
    if (caller.error().kind == ErrorKind::Denied) return unauthorized(caller.error().message);
    return registry_error(caller.error());
}

// The registry that the host names, else the caller's own.
registry::RepositoryName place_of(const aws::Caller& caller, const net::Request& request, std::string repository) {
    const auto host = oci::parse_ecr_host(request.headers.get("Host"));
    if (host) return {host->account, host->region, std::move(repository)};
    return {caller.account, caller.region, std::move(repository)};
}

ApiResult<void> serve(const RegistryParts& parts, aws::Call& call, net::Request& request,
                      net::ResponseWriter& response) {
    // Nobody learns from a refusal what is there.
    call.caller = TRY(identify(parts, request));
    auto target = TRY(in_registry(find_registry_target(request.raw_path())));
    const Route* route = TRY(find_route(target.kind, request.method));
    call.operation = route->name;
    auto place = place_of(call.caller, request, target.repository);
    const RegistryExchange exchange{
        call, request, response, parts, std::move(target), std::move(place), net::parse_query(request.raw_query())};
    if (!route->action.empty()) TRY(require_registry(exchange, exchange.repository, route->action));
    return route->handle(exchange);
}

// Says to every client what it talks to.
class RegistryWriter final : public net::ResponseWriter {
  public:
    explicit RegistryWriter(net::ResponseWriter& inner) : inner_(inner) {}
    Result<void> send(int status, const net::Headers& headers, std::string_view body) override {
        return inner_.send(status, with_version(headers), body);
    }
    Result<void> send_file(int status, const net::Headers& headers, int fd, uint64_t offset, uint64_t length) override {
        return inner_.send_file(status, with_version(headers), fd, offset, length);
    }
    Result<void> send_headers_only(int status, const net::Headers& headers, uint64_t content_length) override {
        return inner_.send_headers_only(status, with_version(headers), content_length);
    }
    Result<void> start(int status, const net::Headers& headers) override {
        return inner_.start(status, with_version(headers));
    }
    Result<void> write(std::string_view bytes) override { return inner_.write(bytes); }
    Result<void> finish() override { return inner_.finish(); }
    bool answered() const override { return inner_.answered(); }

  private:
    static net::Headers with_version(net::Headers headers) {
        headers.set("Docker-Distribution-Api-Version", "registry/2.0");
        return headers;
    }
    net::ResponseWriter& inner_;
};

std::string send_error(const aws::Call& call, const net::Request& request, net::ResponseWriter& response,
                       const ApiError& error) {
    if (error.status >= 500)
        log::error("request " + call.request_id + " " + std::string(call.operation) + ": " + error.code + ": " +
                   (error.detail.empty() ? error.message : error.detail));
    if (response.answered()) return error.code;  // too late; the unfinished answer tells the client
    net::Headers headers{{"Content-Type", "application/json"}};
    for (const auto& [name, value] : error.headers) headers.set(name, value);
    const auto sent = request.method == "HEAD" ? response.send_headers_only(error.status, headers, 0)
                                               : response.send(error.status, headers, registry_error_body(error));
    if (!sent) log::debug("request " + call.request_id + ": the client was gone before the error");
    return error.code;
}

}  // namespace

aws::GuestRoute registry_route(const RegistryParts& parts) {
    return {"/v2", "ecr", [parts](aws::Call& call, net::Request& request, net::ResponseWriter& response) {
                RegistryWriter writer(response);
                const auto served = serve(parts, call, request, writer);
                return served ? std::string() : send_error(call, request, writer, served.error());
            }};
}

}  // namespace millwright::services
