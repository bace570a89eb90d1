// A ResponseWriter that adds the request id to every answer and remembers the status for the log.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "net/http.h"

namespace millwright::aws {

class StampedWriter final : public net::ResponseWriter {
  public:
    StampedWriter(net::ResponseWriter& inner, std::string request_id)
        : inner_(inner), request_id_(std::move(request_id)) {}

    // S3 spells the header differently; set before the first answer.
    void set_s3_style(bool s3) { s3_style_ = s3; }
    int status() const { return status_; }

    Result<void> send(int status, const net::Headers& headers, std::string_view body) override {
        return inner_.send(status, stamped(status, headers), body);
    }
    Result<void> send_file(int status, const net::Headers& headers, int fd, uint64_t offset, uint64_t length) override {
        return inner_.send_file(status, stamped(status, headers), fd, offset, length);
    }
    Result<void> send_headers_only(int status, const net::Headers& headers, uint64_t content_length) override {
        return inner_.send_headers_only(status, stamped(status, headers), content_length);
    }
    Result<void> start(int status, const net::Headers& headers) override {
        return inner_.start(status, stamped(status, headers));
    }
    Result<void> write(std::string_view bytes) override { return inner_.write(bytes); }
    Result<void> finish() override { return inner_.finish(); }
    bool answered() const override { return inner_.answered(); }

  private:
    net::Headers stamped(int status, net::Headers headers) {
        status_ = status;
        headers.set(s3_style_ ? "x-amz-request-id" : "x-amzn-RequestId", request_id_);
        // boto3 joins the two as S3's "host id"; its value has no meaning to a client.
        if (s3_style_) headers.set("x-amz-id-2", request_id_);
        return headers;
    }

    net::ResponseWriter& inner_;
    std::string request_id_;
    bool s3_style_ = false;
    int status_ = 0;
};

}  // namespace millwright::aws
