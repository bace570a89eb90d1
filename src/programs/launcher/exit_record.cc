#include "programs/launcher/exit_record.h"

#include <cstdio>

namespace millwright::launcher {
namespace {

const char* name(Cause cause) {
    switch (cause) {
        case Cause::Exited:
            return "Exited";
        case Cause::StopRequested:
            return "StopRequested";
        case Cause::MaxRuntime:
            return "MaxRuntime";
        case Cause::LaunchFailed:
            return "LaunchFailed";
        case Cause::Unused:
            return "Unused";
    }
    return "LaunchFailed";
}

// Messages hold paths, which may hold anything; what is not plain ASCII becomes '?'.
std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= ' ' && c <= '~' ? c : '?';
    }
    return out + '"';
}

std::string member(const char* key, int64_t value) { return std::string(",\"") + key + "\":" + std::to_string(value); }

}  // namespace

std::string to_json(const ExitRecord& record) {
    std::string out = "{\"version\":1,\"id\":" + quoted(record.id) + ",\"cause\":\"" + name(record.cause) +
                      "\",\"message\":" + quoted(record.message) + member("first_failure", record.first_failure) +
                      member("started_ms", record.started.wall_ms) + member("ended_ms", record.ended.wall_ms) +
                      member("started_monotonic_ns", record.started.monotonic_ns) +
                      member("ended_monotonic_ns", record.ended.monotonic_ns) + ",\"hosts\":[";
    for (const HostRecord& host : record.hosts) {
        if (out.back() != '[') out += ',';
        out += "{\"exit_code\":" + std::to_string(host.exit_code) + member("signal", host.signal) +
               ",\"out_of_memory\":" + (host.out_of_memory ? "true" : "false") +
               ",\"out_of_disk\":" + (host.out_of_disk ? "true" : "false") + member("ended_ms", host.ended.wall_ms) +
               member("ended_monotonic_ns", host.ended.monotonic_ns) + "}";
    }
    return out + "]}\n";
}

}  // namespace millwright::launcher
