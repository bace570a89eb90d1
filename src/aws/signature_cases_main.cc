// Runs signed requests of an outside suite through our canonicaliser and verifier: a JSON document on stdin, one on
// stdout.
//
//   {"keys": {"id", "secret"}, "cases": [{"method", "target", "headers": [[name, value], …], "body": text, "time",
//             "service", "signed": ["host", …], "token"}]}
//   -> {"results": [{"canonical": text, "to_sign": text, "verdict": "accepted" or why not}, …]}
#include <cstdio>

#include "aws/sigv4.h"
#include "aws/sigv4_canonical.h"
#include "aws/test_support.h"
#include "base/digest.h"

namespace millwright::aws {
namespace {

std::string read_stdin() {
    std::string text;
    char piece[64 * 1024];
    while (const size_t count = std::fread(piece, 1, sizeof piece, stdin)) text.append(piece, count);
    return text;
}

Json run_case(const Json& keys, const Json& asked) {
    net::Request request;
    request.method = asked["method"].as_string();
    request.target = asked["target"].as_string();
    for (const Json& header : asked["headers"].items())
        request.headers.add(header[size_t{0}].as_string(), header[size_t{1}].as_string());
    std::vector<std::string> names;
    for (const Json& name : asked["signed"].items()) names.push_back(name.as_string());
    const std::string body = asked["body"].string_or(""), time = asked["time"].as_string();
    const std::string canonical =
        sigv4::canonical_request(request, asked["service"].string_or(""), names, sha256_hex(body));
    const std::string scope = time.substr(0, 8) + "/us-east-1/" + asked["service"].string_or("") + "/aws4_request";

    const FixedClock clock(time);
    FixedCredentials credentials;
    credentials.by_id[keys["id"].as_string()] = {keys["secret"].as_string(),
                                                 asked["token"].string_or(""),
                                                 std::nullopt,
                                                 {"123456789012", "", "arn:x", "id", ""}};
    const auto verified = SignatureVerifier(credentials, clock).verify(request, sha256_hex(body));
    return Json::object({{"canonical", canonical},
                         {"to_sign", sigv4::string_to_sign(time, scope, canonical)},
                         {"verdict", verified ? std::string("accepted")
                                              : std::to_string(static_cast<int>(verified.error().kind)) + " " +
                                                    verified.error().text}});
}

int run() {
    const auto asked = Json::parse(read_stdin());
    if (!asked) {
        std::fprintf(stderr, "stdin is no JSON: %s\n", asked.error().message.c_str());
        return 1;
    }
    Json results = Json::array();
    for (const Json& one : (*asked)["cases"].items()) results.push_back(run_case((*asked)["keys"], one));
    std::puts(Json::object({{"results", std::move(results)}}).dump().c_str());
    return 0;
}

}  // namespace
}  // namespace millwright::aws

int main() { return millwright::aws::run(); }
