// The audit log: a JSON line for every request, in files that are rotated and bounded.
//
// <folder>/audit.jsonl is being written; a full one is renamed to audit-<time>.jsonl, and the oldest are removed. Lines
// are handed to a thread that writes them at least every 100 ms: nothing is lost when the server ends, a tenth of a
// second when it is killed. No body, header value (but User-Agent) or query of a request is written, so no secret is.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "aws/audit.h"
#include "base/files.h"
#include "base/mutex.h"
#include "base/result.h"

namespace millwright::aws {

struct AuditLogSettings {
    std::string folder;
    uint64_t max_file_bytes = uint64_t{64} << 20;
    size_t max_files = 10;                        // the one being written included
    size_t max_waiting_bytes = size_t{16} << 20;  // beyond that lines are dropped, and their number is written
};

class AuditLog final : public AuditSink {
  public:
    // Makes the folder (0700).
    static Result<std::unique_ptr<AuditLog>> open(AuditLogSettings settings);
    ~AuditLog() override;  // writes what is left, and syncs
    void record(const AuditRecord& record) override;

  private:
    explicit AuditLog(AuditLogSettings settings) : settings_(std::move(settings)) {}
    Result<void> open_file_to_write();
    Result<void> write_batch(const std::string& lines);
    Result<void> rotate();
    void remove_oldest() const;
    void run(const std::stop_token& stop);
    std::string take_waiting();

    const AuditLogSettings settings_;
    Fd file_;  // of the writing thread
    uint64_t size_ = 0;
    bool failing_ = false;

    std::mutex mutex_;
    std::condition_variable_any woken_;
    std::string waiting_;  // guarded by mutex_
    uint64_t lost_ = 0;    // likewise
    std::jthread writer_;  // last: it uses everything above
};

// The line, with its newline. Text from outside is escaped and cut.
std::string format_audit_line(const AuditRecord& record);

}  // namespace millwright::aws
