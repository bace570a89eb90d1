// Cross-origin requests: the rules of a bucket, and what they make of a request from a browser.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aws/api_error.h"
#include "net/http.h"

namespace millwright::s3 {

struct CorsRule {
    std::string id;
    std::vector<std::string> origins, methods;  // origins: one '*' each at most
    std::vector<std::string> headers, exposed;  // headers: likewise, compared ignoring case
    std::optional<int> max_age_seconds;
};

// <CORSConfiguration>, 1 to 100 rules. MalformedXML, InvalidRequest.
aws::ApiResult<std::vector<CorsRule>> parse_cors(std::string_view text);
std::string format_cors(const std::vector<CorsRule>& rules);

// What the answer says when a rule fits the Origin, the method (that of Access-Control-Request-Method where there is
// one) and Access-Control-Request-Headers of a request; nothing otherwise.
std::optional<net::Headers> cors_headers(const std::vector<CorsRule>& rules, const net::Request& request);

// Adds fields to every answer that goes through it.
class HeadedWriter final : public net::ResponseWriter {
  public:
    HeadedWriter(net::ResponseWriter& inner, net::Headers more) : inner_(inner), more_(std::move(more)) {}

    Result<void> send(int status, const net::Headers& headers, std::string_view body) override {
        return inner_.send(status, with_more(headers), body);
    }
    Result<void> send_file(int status, const net::Headers& headers, int fd, uint64_t offset, uint64_t length) override {
        return inner_.send_file(status, with_more(headers), fd, offset, length);
    }
    Result<void> send_headers_only(int status, const net::Headers& headers, uint64_t content_length) override {
        return inner_.send_headers_only(status, with_more(headers), content_length);
    }
    Result<void> start(int status, const net::Headers& headers) override {
        return inner_.start(status, with_more(headers));
    }
    Result<void> write(std::string_view bytes) override { return inner_.write(bytes); }
    Result<void> finish() override { return inner_.finish(); }
    bool answered() const override { return inner_.answered(); }

  private:
    net::Headers with_more(net::Headers headers) const {
        for (const auto& [name, value] : more_.all()) headers.set(name, value);
        return headers;
    }

    net::ResponseWriter& inner_;
    net::Headers more_;
};

}  // namespace millwright::s3
