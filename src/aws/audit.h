// Who did what: one record for every request the front answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace millwright::aws {

struct AuditRecord {
    Timestamp time{};
    std::string request_id;
    std::string account, arn, access_key_id;  // empty for nobody, and for who could not prove to be somebody
    std::string claimed_key_id;               // what the request said, when that was not proved
    std::string source_address, user_agent;
    std::string service, operation, region;
    // The permission asked for: the one that was refused, else the first.
    std::string action, resource;
    std::string_view decision = "none";  // "allow", "deny", or "none" when nothing was asked
    int status = 0;
    std::string error_code;
    std::chrono::microseconds latency{};
};

// Thread-safe. record() does not wait for a disk.
class AuditSink {
  public:
    virtual ~AuditSink() = default;
    virtual void record(const AuditRecord& record) = 0;
};

}  // namespace millwright::aws
