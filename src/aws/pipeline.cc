#include "aws/pipeline.h"

#include <algorithm>
#include <exception>
#include <unordered_map>

#include "aws/content_coding.h"
#include "aws/gate.h"
#include "aws/model.h"
#include "aws/protocol.h"
#include "aws/stamped_writer.h"
#include "aws/validate.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

// What the client reads errors in.
enum class Wire { AwsJson, Query, RestJson, S3, Cbor };

ErrorStyle style_of(Wire wire) {
    if (wire == Wire::Query) return ErrorStyle::Query;
    return wire == Wire::S3 ? ErrorStyle::S3 : ErrorStyle::Json;
}

// Told from what every request has, because a refusal must be readable before anything is known to be true.
Wire wire_of(const net::Request& request, std::string_view signing_name) {
    if (signing_name == "s3") return Wire::S3;
    if (request.headers.get("smithy-protocol") == "rpc-v2-cbor") return Wire::Cbor;
    const std::string content_type = request.headers.get("content-type");
    if (request.headers.has("x-amz-target") || content_type.starts_with("application/x-amz-json")) return Wire::AwsJson;
    if (content_type.starts_with("application/x-www-form-urlencoded") ||
        request.raw_query().find("Action=") != std::string_view::npos)
        return Wire::Query;
    return signing_name.empty() && !request.raw_path().starts_with("/endpoints/") ? Wire::S3 : Wire::RestJson;
}

// A code as each protocol spells it: modelled exceptions have a shape name (JSON) and may have an own code (query).
struct Codes {
    std::string json, query;
    std::string_view message_member = "message";  // some exceptions spell it "Message"
};
Codes codes_of(const std::string& code, const std::optional<ModelOperation>& operation) {
    if (operation)
        for (const Shape shape : operation->errors())
            if (shape.name() == code || shape.error_code() == code)
                return {std::string(shape.name()), std::string(shape.error_code()), message_member_of(shape)};
    if (code == "ValidationException") return {code, "ValidationError"};
    if (code == "AccessDeniedException") return {code, "AccessDenied"};
    return {code, code};
}

std::string s3_code(const std::string& code) {
    if (code == "InternalFailure") return "InternalError";
    if (code == "ValidationException") return "InvalidRequest";
    if (code == "AccessDeniedException") return "AccessDenied";
    if (code == "ServiceUnavailable") return "SlowDown";
    return code;
}

ApiError internal_failure(std::string detail) {
    ApiError error{500, "InternalFailure",
                   "The request processing has failed because of an unknown error, exception or failure."};
    error.detail = std::move(detail);
    return error;
}

ApiError unknown_operation() {
    return {400, "UnknownOperationException", "The requested operation is not recognized by the service."};
}

ApiError body_error(const Error& failure) {
    if (failure.kind == ErrorKind::LimitExceeded)
        return {413, "RequestEntityTooLargeException", "The request is too large: " + failure.message + "."};
    ApiError error{400, failure.kind == ErrorKind::Unavailable ? "RequestTimeoutException" : "IncompleteBody",
                   "The request body could not be read: " + failure.message + "."};
    error.detail = failure.detail;
    return error;
}

// The signature covers the body as sent, so this comes after it.
ApiResult<void> remove_coding(const net::Headers& headers, std::string& body, size_t limit) {
    const std::string_view coding = trim(headers.find("content-encoding").value_or(""));
    if (coding.empty() || equals_ignoring_case(coding, "identity")) return {};
    if (!equals_ignoring_case(coding, "gzip"))
        return ApiError{415, "UnsupportedMediaTypeException",
                        "The content encoding " + valid_utf8(coding.substr(0, 64)) + " is not supported."};
    auto plain = decompress_gzip(body, limit);
    if (!plain) return body_error(plain.error());
    body = std::move(*plain);
    return {};
}

// "aws-chunked,gzip" -> "gzip": the framing is gone when a handler sees the body.
void drop_aws_chunked(net::Headers& headers) {
    std::vector<std::string> kept;
    const std::string codings = headers.get("content-encoding");
    if (to_lower(codings).find("aws-chunked") == std::string::npos) return;
    for (const std::string_view coding : split(codings, ','))
        if (!trim(coding).empty() && !equals_ignoring_case(trim(coding), "aws-chunked"))
            kept.emplace_back(trim(coding));
    headers.erase("content-encoding");
    if (!kept.empty()) headers.add("Content-Encoding", join(kept, ", "));
}

struct Table {
    Service service;
    ServiceModel model;
    std::unordered_map<std::string_view, const Operation*> handlers;

    bool speaks_json() const {
        return service.protocol == Protocol::AwsJson || service.protocol == Protocol::QueryAndJson;
    }
    bool speaks_query() const {
        return service.protocol == Protocol::Query || service.protocol == Protocol::QueryAndJson;
    }
};

// One request on its way through the front.
struct Exchange {
    net::Request& request;
    StampedWriter& response;
    std::string request_id;
    RequestGate gate;
    Wire wire = Wire::S3;
    const Table* table = nullptr;
    bool stream = false;
    std::optional<ModelOperation> operation = {};
    Call call = {};
    std::string error_code = {};
    std::optional<CredentialScope> scope = {};  // as claimed
    std::string_view guest = {};                // service of a GuestRoute
    std::optional<CheckedClaims> claims = {};   // until they are verified
};

// Lends a decoded body to a handler. The server drains its own reader afterwards, also when the handler throws.
class BodyLoan {
  public:
    BodyLoan(net::Request& request, net::BodyReader& body) : request_(request), received_(request.body) {
        request_.body = &body;
    }
    ~BodyLoan() { request_.body = received_; }
    BodyLoan(const BodyLoan&) = delete;
    BodyLoan& operator=(const BodyLoan&) = delete;

  private:
    net::Request& request_;
    net::BodyReader* received_;
};

// "127.0.0.1:41234" -> "127.0.0.1", "[::1]:41234" -> "::1".
std::string address_of(const std::string& peer) {
    const size_t colon = peer.rfind(':');
    if (peer.starts_with('[')) return peer.substr(1, peer.find(']') - 1);
    return colon == std::string::npos || peer.find(':') != colon ? peer : peer.substr(0, colon);
}

// CloudWatch Logs has an exception of its own for what fails validation.
ApiError as_modelled(const ModelOperation& operation, ApiError error) {
    for (const Shape shape : operation.errors())
        if (shape.name() == "InvalidParameterException") error.code = shape.name();
    return error;
}

bool is_below(std::string_view path, std::string_view prefix) {
    if (!path.starts_with(prefix)) return false;
    return path.size() == prefix.size() || prefix.ends_with('/') || path[prefix.size()] == '/';
}

using Form = std::vector<std::pair<std::string, std::string>>;

std::string form_value(const Form& form, std::string_view name) {
    for (const auto& [key, value] : form)
        if (key == name) return value;
    return "";
}

}  // namespace

struct Front::Impl {
    Impl(std::vector<Service> services, const CredentialSource& credentials, const Clock& clock, Random& r,
         std::vector<RawRoute> routes, FrontSettings s);

    void answer(Exchange& exchange) const;
    ApiResult<void> serve(Exchange& exchange) const;
    const RawRoute* find_raw_route(std::string_view path) const;
    const GuestRoute* find_guest_route(std::string_view path) const;
    ApiResult<void> find_service(Exchange& exchange, std::string_view signing_name) const;
    ApiResult<void> serve_stream(Exchange& exchange, PayloadKind kind) const;
    ApiResult<void> serve_anonymous(Exchange& exchange, const AuthFailure& failure) const;
    ApiResult<void> serve_document(Exchange& exchange, PayloadKind kind) const;
    ApiResult<std::string> verified_body(Exchange& exchange, PayloadKind kind) const;
    size_t document_limit(const Table& table) const {
        return std::max(settings.max_document_bytes, table.service.max_document_bytes);
    }
    ApiResult<Verified> verify(Exchange& exchange, std::string_view hash) const;
    ApiResult<Json> run_json(Exchange& exchange, const std::string& body) const;
    ApiResult<Json> run_query(Exchange& exchange, const std::string& body) const;
    ApiResult<Json> run(Exchange& exchange, const Operation& operation, const Json& input) const;
    ApiResult<const Operation*> find_operation(Exchange& exchange, std::string_view name,
                                               const ApiError& unknown) const;
    void send_error(Exchange& exchange, ApiError error) const;
    void report(const Exchange& exchange, std::chrono::microseconds taken) const;

    std::vector<std::unique_ptr<Table>> tables;
    std::vector<RawRoute> raw_routes;
    SignatureVerifier verifier;
    const Clock& clock;
    Random& random;
    FrontSettings settings;
};

Front::Impl::Impl(std::vector<Service> services, const CredentialSource& credentials, const Clock& c, Random& r,
                  std::vector<RawRoute> routes, FrontSettings s)
    : raw_routes(std::move(routes)),
      verifier(credentials, c, s.bucket_of_host),
      clock(c),
      random(r),
      settings(std::move(s)) {
    std::sort(raw_routes.begin(), raw_routes.end(),
              [](const RawRoute& a, const RawRoute& b) { return a.path_prefix.size() > b.path_prefix.size(); });
    for (Service& service : services) {
        const auto model = aws::find_service(service.model);
        CHECK(model.has_value());
        auto table = std::make_unique<Table>(Table{std::move(service), *model, {}});
        for (const Operation& operation : table->service.operations) {
            // A name that the model does not know is a slip of ours; it must not wait for a client to find it.
            CHECK(model->find_operation(operation.name).has_value());
            CHECK(table->service.protocol == Protocol::Stream || operation.handle);
            // Nor may an operation be open to everybody because somebody forgot to say what it needs.
            CHECK(!settings.authorizer || table->service.protocol == Protocol::Stream || operation.access);
            CHECK(table->handlers.emplace(operation.name, &operation).second);
        }
        tables.push_back(std::move(table));
    }
}

// The order is the point of this file.
ApiResult<void> Front::Impl::serve(Exchange& exchange) const {
    // Claims before the body: nobody without a known key and a fresh, complete signature makes us read one.
    const auto& scope = exchange.scope;
    exchange.wire = wire_of(exchange.request, scope ? scope->service : "");
    exchange.response.set_s3_style(exchange.wire == Wire::S3);
    exchange.gate.set_style(style_of(exchange.wire));
    // A browser asks before it sends a request, and signs nothing; what the URL carries belongs to that later request.
    if (exchange.wire == Wire::S3 && exchange.request.method == "OPTIONS")
        return serve_anonymous(exchange, {AuthFailureKind::Anonymous, ""});
    auto claims = verifier.check_claims(exchange.request);
    if (!claims) return serve_anonymous(exchange, claims.error());
    const PayloadKind kind = claims->kind();
    exchange.claims = std::move(*claims);

    // The service before the body too: it decides how much of a body is read, and whether it is read here at all.
    TRY(find_service(exchange, scope->service));

    if (exchange.wire == Wire::Cbor)
        return ApiError{400, "UnsupportedOperationException",
                        "Millwright does not speak the protocol rpc-v2-cbor yet; awsJson and query work. See "
                        "docs/reference/protocols.md."};

    // Signature, operation, decoding, validation and handler follow in serve_…; a document is parsed only once its
    // signature holds, so that parsers see bytes of known senders only.
    return exchange.stream ? serve_stream(exchange, kind) : serve_document(exchange, kind);
}

// Nobody may do what a bucket's own policy allows everybody; the service asks the gate before it reads the body.
ApiResult<void> Front::Impl::serve_anonymous(Exchange& exchange, const AuthFailure& failure) const {
    if (failure.kind == AuthFailureKind::Anonymous && exchange.wire == Wire::S3) {
        for (const auto& table : tables) {
            if (!table->service.takes_anonymous) continue;
            exchange.table = table.get();
            return table->service.stream(exchange.call, exchange.request, exchange.response);
        }
    }
    return auth_error(failure, style_of(exchange.wire));
}

ApiResult<void> Front::Impl::find_service(Exchange& exchange, std::string_view signing_name) const {
    const bool has_target = exchange.request.headers.has("x-amz-target");
    const Table* streaming = nullptr;
    bool known = false;
    for (const auto& table : tables) {
        if (table->service.signing_name != signing_name) continue;
        known = true;
        // sagemaker is the signing name of the control plane and of the runtimes: the target header tells them apart.
        if ((has_target && table->speaks_json()) || (!has_target && table->speaks_query())) {
            exchange.table = table.get();
            return {};
        }
        if (table->service.stream) streaming = table.get();
    }
    if (!known)
        return ApiError{400, "UnsupportedOperationException",
                        "Millwright does not speak for the service '" + std::string(signing_name) +
                            "'. See docs/reference/operations.md."};
    if (!streaming) return unknown_operation();
    exchange.table = streaming;
    exchange.stream = true;
    return {};
}

ApiResult<Verified> Front::Impl::verify(Exchange& exchange, std::string_view hash) const {
    auto verified = verifier.verify(*std::exchange(exchange.claims, std::nullopt), exchange.request, hash);
    if (!verified) return auth_error(verified.error(), style_of(exchange.wire));
    return std::move(*verified);
}

ApiResult<void> Front::Impl::serve_stream(Exchange& exchange, PayloadKind kind) const {
    net::Request& request = exchange.request;
    std::unique_ptr<net::BodyReader> body;
    PayloadReader* payload = nullptr;
    if (kind == PayloadKind::Buffered) {
        auto bytes = net::read_all(*request.body, settings.max_buffered_stream_bytes);
        if (!bytes) return body_error(bytes.error());
        const Verified verified = TRY(verify(exchange, sha256_hex(*bytes)));
        exchange.call.caller = verified.credential.caller;
        body = std::make_unique<StringBody>(std::move(*bytes));
    } else {
        const Verified verified = TRY(verify(exchange, ""));
        exchange.call.caller = verified.credential.caller;
        auto reader = std::make_unique<PayloadReader>(verified.payload, *request.body);
        payload = reader.get();
        body = std::move(reader);
        drop_aws_chunked(request.headers);
        if (const auto length = body->length()) request.headers.set("Content-Length", std::to_string(*length));
    }
    const BodyLoan loan(request, *body);
    auto result = exchange.table->service.stream(exchange.call, request, exchange.response);
    if (result) return {};
    // A handler sees a broken body as a general failure of its source; the reader knows what was wrong.
    if (payload && payload->failure()) return *payload->failure();
    return std::move(result).error();
}

ApiResult<std::string> Front::Impl::verified_body(Exchange& exchange, PayloadKind kind) const {
    const size_t limit = document_limit(*exchange.table);
    if (kind == PayloadKind::Buffered) {
        auto body = net::read_all(*exchange.request.body, limit);
        if (!body) return body_error(body.error());
        exchange.call.caller = TRY(verify(exchange, sha256_hex(*body))).credential.caller;
        return std::move(*body);
    }
    const Verified verified = TRY(verify(exchange, ""));
    exchange.call.caller = verified.credential.caller;
    PayloadReader reader(verified.payload, *exchange.request.body);
    auto body = net::read_all(reader, limit);
    if (body) return std::move(*body);
    return reader.failure() ? *reader.failure() : body_error(body.error());
}

ApiResult<void> Front::Impl::serve_document(Exchange& exchange, PayloadKind kind) const {
    std::string body = TRY(verified_body(exchange, kind));
    TRY(remove_coding(exchange.request.headers, body, document_limit(*exchange.table)));
    const bool json = exchange.request.headers.has("x-amz-target");
    exchange.wire = json ? Wire::AwsJson : Wire::Query;
    exchange.gate.set_style(style_of(exchange.wire));
    const Json output = TRY(json ? run_json(exchange, body) : run_query(exchange, body));
    const Answer answer = json ? json_answer(*exchange.operation, exchange.table->model.json_version(), output)
                               : query_answer(exchange.table->model, *exchange.operation, output, exchange.request_id);
    if (auto sent = exchange.response.send(answer.status, answer.headers, answer.body); !sent)
        log::debug("request " + exchange.request_id +
                   ": the client was gone before the answer: " + sent.error().message);
    return {};
}

ApiResult<const Operation*> Front::Impl::find_operation(Exchange& exchange, std::string_view name,
                                                        const ApiError& unknown) const {
    exchange.operation = exchange.table->model.find_operation(name);
    if (!exchange.operation) return unknown;
    exchange.call.operation = exchange.operation->name();
    const auto found = exchange.table->handlers.find(name);
    if (found == exchange.table->handlers.end()) return not_supported(name);
    return found->second;
}

ApiResult<Json> Front::Impl::run_json(Exchange& exchange, const std::string& body) const {
    const std::string target = exchange.request.headers.get("x-amz-target");
    const size_t dot = target.rfind('.');
    if (dot == std::string::npos || std::string_view(target).substr(0, dot) != exchange.table->model.target_prefix())
        return unknown_operation();
    const Operation* operation =
        TRY(find_operation(exchange, std::string_view(target).substr(dot + 1), unknown_operation()));
    const auto wire = body.empty() ? Result<Json>(Json::object()) : Json::parse(body);
    if (!wire) {
        ApiError error{400, "SerializationException", "The request body is not valid JSON."};
        error.detail = wire.error().detail;
        return error;
    }
    const auto shape = exchange.operation->input();
    return run(exchange, *operation, shape ? TRY(decode_json(*shape, *wire)) : Json::object());
}

ApiResult<Json> Front::Impl::run_query(Exchange& exchange, const std::string& body) const {
    const Form form = net::parse_query(body.empty() ? exchange.request.raw_query() : std::string_view(body));
    const std::string action = form_value(form, "Action");
    if (action.empty()) return ApiError{400, "MissingAction", "Could not find an Action in the request."};
    const ApiError unknown{400, "InvalidAction",
                           "Could not find operation " + action + " for version " + form_value(form, "Version")};
    const Operation* operation = TRY(find_operation(exchange, action, unknown));
    const auto shape = exchange.operation->input();
    return run(exchange, *operation, shape ? TRY(decode_query(*shape, form)) : Json::object());
}

ApiResult<Json> Front::Impl::run(Exchange& exchange, const Operation& operation, const Json& input) const {
    if (const auto shape = exchange.operation->input())
        if (auto checked = validate(*shape, input); !checked) return as_modelled(*exchange.operation, checked.error());
    if (settings.authorizer) {
        const auto needed = TRY(operation.access(exchange.call, input));
        for (const Access& access : needed) TRY(exchange.call.require(access));
    }
    return operation.handle(exchange.call, input);
}

void Front::Impl::send_error(Exchange& exchange, ApiError error) const {
    exchange.error_code = error.code;
    if (error.status >= 500)
        log::error("request " + exchange.request_id + " " + std::string(exchange.call.operation) + ": " + error.code +
                   ": " + (error.detail.empty() ? error.message : error.detail));
    else if (!error.detail.empty())
        log::debug("request " + exchange.request_id + ": " + error.code + ": " + error.detail);
    if (exchange.response.answered()) return;  // too late; the unfinished answer tells the client

    const Codes codes = codes_of(error.code, exchange.operation);
    Answer answer;
    switch (exchange.wire) {
        case Wire::AwsJson: {
            error.code = codes.json;
            const bool query_mode = exchange.request.headers.get("x-amzn-query-mode") == "true";
            const std::string_view version = exchange.table ? exchange.table->model.json_version() : "1.1";
            answer = json_error(error, version, query_mode ? codes.query : "", codes.message_member);
            break;
        }
        case Wire::Query:
            error.code = codes.query;
            // Before the service is known its namespace is not either; SDKs read the codes without.
            answer = query_error(exchange.table ? exchange.table->model : *aws::find_service("sts"), error,
                                 exchange.request_id);
            break;
        case Wire::RestJson:
            if (error.code == "ValidationException") error.code = "ValidationError";
            answer = rest_json_error(error);
            break;
        case Wire::S3:
            error.code = s3_code(error.code);
            answer = render_s3_error(error, exchange.request.raw_path(), exchange.request_id);
            break;
        case Wire::Cbor:
            answer = cbor_error(error);
            break;
    }
    for (const auto& [name, value] : error.headers) answer.headers.set(name, value);
    const bool head = exchange.request.method == "HEAD";
    const auto sent = head ? exchange.response.send_headers_only(answer.status, answer.headers, 0)
                           : exchange.response.send(answer.status, answer.headers, answer.body);
    if (!sent)
        log::debug("request " + exchange.request_id +
                   ": the client was gone before the error: " + sent.error().message);
}

const RawRoute* Front::Impl::find_raw_route(std::string_view path) const {
    for (const RawRoute& route : raw_routes) {
        if (!is_below(path, route.path_prefix)) continue;
        if (!route.one_segment || path.find('/', route.path_prefix.size()) == std::string_view::npos) return &route;
    }
    return nullptr;
}

const GuestRoute* Front::Impl::find_guest_route(std::string_view path) const {
    for (const GuestRoute& route : settings.guests)
        if (is_below(path, route.path_prefix)) return &route;
    return nullptr;
}

void Front::Impl::answer(Exchange& exchange) const {
    // Container credentials (whose Authorization is no signature) and health. A signed request for such a path means a
    // bucket of that name.
    exchange.scope = claimed_scope(exchange.request);
    if (const RawRoute* route = exchange.scope ? nullptr : find_raw_route(exchange.request.raw_path()))
        return route->handle(exchange.request, exchange.response);
    exchange.call.user_agent = exchange.request.headers.get("user-agent");
    exchange.call.referer = exchange.request.headers.get("referer");
    exchange.call.source_address = address_of(exchange.request.peer);
    exchange.call.secure = exchange.request.encrypted;
    exchange.call.host = exchange.request.headers.get("host");
    exchange.call.gate = &exchange.gate;
    exchange.call.polling = is_polling_client(exchange.call.user_agent);
    if (const GuestRoute* route = exchange.scope ? nullptr : find_guest_route(exchange.request.raw_path())) {
        exchange.guest = route->service;
        exchange.error_code = route->handle(exchange.call, exchange.request, exchange.response);
        return;
    }
    if (auto served = serve(exchange); !served) send_error(exchange, std::move(served).error());
}

void Front::Impl::report(const Exchange& exchange, std::chrono::microseconds taken) const {
    if (!settings.audit || exchange.call.gate == nullptr) return;  // health and credentials of jobs are not requests
    AuditRecord record;
    record.time = clock.now();
    record.request_id = exchange.request_id;
    const Caller& caller = exchange.call.caller;
    record.account = caller.account;
    record.arn = caller.arn;
    record.access_key_id = caller.access_key_id;
    const auto& scope = exchange.scope;
    if (scope && caller.anonymous()) record.claimed_key_id = scope->access_key_id;
    record.region = scope ? scope->region : caller.region;
    record.service = exchange.table ? exchange.table->service.signing_name
                     : scope        ? scope->service
                                    : std::string(exchange.guest);
    record.operation = exchange.gate.operation().empty() ? exchange.call.operation : exchange.gate.operation();
    record.source_address = exchange.call.source_address;
    record.user_agent = exchange.call.user_agent;
    record.action = exchange.gate.action();
    record.resource = exchange.gate.resource();
    record.decision = exchange.gate.refused() ? "deny" : exchange.gate.asked() ? "allow" : "none";
    record.status = exchange.response.status();
    record.error_code = exchange.error_code;
    record.latency = taken;
    settings.audit->record(record);
}

Front::Front(std::vector<Service> services, const CredentialSource& credentials, const Clock& clock, Random& random,
             std::vector<RawRoute> raw_routes, FrontSettings settings)
    : impl_(std::make_unique<Impl>(std::move(services), credentials, clock, random, std::move(raw_routes),
                                   std::move(settings))) {}
Front::~Front() = default;

void Front::handle(net::Request& request, net::ResponseWriter& response) const {
    // The id first: every answer and log line carries it, those of failures below included.
    const std::string request_id = impl_->random.uuid();
    StampedWriter stamped(response, request_id);
    Exchange exchange{request, stamped, request_id, RequestGate(impl_->settings.authorizer)};
    exchange.call.request_id = request_id;
    const Monotonic started = impl_->clock.monotonic();
    try {
        impl_->answer(exchange);
    } catch (const std::exception& failure) {
        impl_->send_error(exchange, internal_failure(std::string("exception: ") + failure.what()));
    }
    const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(impl_->clock.monotonic() - started);
    impl_->report(exchange, taken);
    if (!log::enabled(log::Level::Debug)) return;
    log::debug(
        "request " + request_id + " " + request.peer + " " + request.method + " " +
        (exchange.call.operation.empty() ? std::string(request.raw_path()) : std::string(exchange.call.operation)) +
        " " + std::to_string(stamped.status()) + " " + std::to_string(taken.count()) + " us");
}

net::Pool Front::choose_pool(const net::Request& request) const {
    const auto scope = claimed_scope(request);
    if (!scope) {
        if (impl_->find_raw_route(request.raw_path())) return net::Pool::Control;
        const bool data = impl_->find_guest_route(request.raw_path()) || wire_of(request, "") == Wire::S3;
        return data ? net::Pool::Data : net::Pool::Control;
    }
    if (scope->service == "s3") return net::Pool::Data;
    const bool inference = request.raw_path().starts_with("/endpoints/") && !request.headers.has("x-amz-target");
    return inference ? net::Pool::Inference : net::Pool::Control;
}

}  // namespace millwright::aws
