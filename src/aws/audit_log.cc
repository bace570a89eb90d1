#include "aws/audit_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/log.h"

namespace millwright::aws {
namespace {

constexpr size_t kMaxText = 2048;  // of one member, before escaping
constexpr size_t kEnoughToWrite = size_t{64} << 10;
constexpr std::chrono::milliseconds kLongestWait{100};

void add_text(std::string& line, std::string_view name, std::string_view value) {
    if (value.empty()) return;
    line += ",\"";
    line += name;
    line += "\":";
    append_json_string(line, value.substr(0, kMaxText));
}

}  // namespace

std::string format_audit_line(const AuditRecord& record) {
    std::string line = R"({"time":")" + format_iso8601(record.time, Fraction::Milliseconds) + '"';
    line.reserve(512);
    add_text(line, "request_id", record.request_id);
    add_text(line, "account", record.account);
    add_text(line, "arn", record.arn);
    add_text(line, "access_key_id", record.access_key_id);
    add_text(line, "claimed_access_key_id", record.claimed_key_id);
    add_text(line, "source_address", record.source_address);
    add_text(line, "service", record.service);
    add_text(line, "operation", record.operation);
    add_text(line, "region", record.region);
    add_text(line, "action", record.action);
    add_text(line, "resource", record.resource);
    add_text(line, "decision", record.decision);
    line += ",\"status\":" + std::to_string(record.status);
    add_text(line, "error_code", record.error_code);
    line += ",\"latency_us\":" + std::to_string(record.latency.count());
    add_text(line, "user_agent", record.user_agent);
    line += "}\n";
    return line;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(AuditLogSettings settings) {
    TRY(make_directories(settings.folder, 0700));
    std::unique_ptr<AuditLog> log(new AuditLog(std::move(settings)));
    TRY(log->open_file_to_write());
    log->writer_ = std::jthread([log = log.get()](const std::stop_token& stop) { log->run(stop); });
    return log;
}

AuditLog::~AuditLog() {
    writer_.request_stop();
    if (writer_.joinable()) writer_.join();
    if (file_) ::fsync(file_.get());
}

void AuditLog::record(const AuditRecord& record) {
    std::string line = format_audit_line(record);
    bool enough = false;
    {
        const std::scoped_lock lock(mutex_);
        if (waiting_.size() + line.size() > settings_.max_waiting_bytes) {
            ++lost_;
            return;
        }
        const size_t before = waiting_.size();
        waiting_ += line;
        enough = before < kEnoughToWrite && waiting_.size() >= kEnoughToWrite;
    }
    if (enough) woken_.notify_one();
}

std::string AuditLog::take_waiting() {
    std::string lines;
    uint64_t lost = 0;
    {
        const std::scoped_lock lock(mutex_);
        lines.swap(waiting_);
        std::swap(lost, lost_);
    }
    if (lost > 0) lines += "{\"lost\":" + std::to_string(lost) + "}\n";
    return lines;
}

void AuditLog::run(const std::stop_token& stop) {
    bool last = false;
    while (!last) {
        {
            std::unique_lock lock(mutex_);
            woken_.wait_for(lock, stop, kLongestWait, [this] { return waiting_.size() >= kEnoughToWrite; });
        }
        last = stop.stop_requested();
        const std::string lines = take_waiting();
        if (lines.empty()) continue;
        const auto written = write_batch(lines);
        if (!written && !failing_) log::error("the audit log has a gap", written.error());
        failing_ = !written;
        if (written) continue;
        const std::scoped_lock lock(mutex_);
        lost_ += static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
    }
}

Result<void> AuditLog::open_file_to_write() {
    file_ = TRY(open_file(settings_.folder + "/audit.jsonl", O_WRONLY | O_CREAT | O_APPEND, 0600));
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) return error_from_errno("cannot look at the audit log");
    size_ = static_cast<uint64_t>(status.st_size);
    return {};
}

Result<void> AuditLog::write_batch(const std::string& lines) {
    if (!file_) TRY(open_file_to_write());
    if (size_ > 0 && size_ + lines.size() > settings_.max_file_bytes) TRY(rotate());
    TRY(write_all(file_.get(), lines));
    size_ += lines.size();
    return {};
}

Result<void> AuditLog::rotate() {
    file_ = Fd();
    const std::string now = format_amz_date(system_clock().now());
    std::string full;
    for (int i = 0; i < 1000; ++i) {
        std::string number = std::to_string(1000 + i).substr(1);  // several may be full within a second
        full = settings_.folder + "/audit-" + now + "-" + number + ".jsonl";
        if (!file_exists(full)) break;
    }
    const std::string current = settings_.folder + "/audit.jsonl";
    if (::rename(current.c_str(), full.c_str()) != 0) return error_from_errno("cannot rename " + current);
    remove_oldest();
    return open_file_to_write();
}

void AuditLog::remove_oldest() const {
    std::vector<std::string> full;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.folder, ignored))
        if (entry.path().filename().string().starts_with("audit-")) full.push_back(entry.path().string());
    std::sort(full.begin(), full.end());
    const size_t keep = settings_.max_files > 0 ? settings_.max_files - 1 : 0;
    for (size_t i = 0; i + keep < full.size(); ++i) ::unlink(full[i].c_str());
}

}  // namespace millwright::aws
