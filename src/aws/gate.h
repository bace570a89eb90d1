// The gate of one request: asks the authorizer, words the refusal for the protocol, remembers what was asked.
#pragma once

#include <string>

#include "aws/access.h"
#include "aws/sigv4.h"

namespace millwright::aws {

// Used by the thread that serves the request.
class RequestGate final : public Gate {
  public:
    // Without an authorizer everything passes.
    explicit RequestGate(const Authorizer* authorizer) : authorizer_(authorizer) {}

    void set_style(ErrorStyle style) { style_ = style; }
    ApiResult<void> require(const Call& call, const Access& access) override;
    ApiResult<bool> may(const Call& call, const Access& access) override;
    void name_operation(std::string_view name) override { operation_ = name; }

    bool asked() const { return asked_; }
    bool refused() const { return refused_; }
    const std::string& operation() const { return operation_; }
    const std::string& action() const { return action_; }
    const std::string& resource() const { return resource_; }

  private:
    const Authorizer* authorizer_;
    ErrorStyle style_ = ErrorStyle::Json;
    bool asked_ = false, refused_ = false;
    std::string operation_, action_, resource_;
};

}  // namespace millwright::aws
