#include "executors/contract/failure.h"

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>

#include "base/strings.h"
#include "executors/contract/job_files.h"
#include "executors/contract/last_words.h"
#include "executors/contract/training_contract.h"

namespace millwright::executors {
namespace {

// The first `count` characters of valid UTF-8 text.
std::string_view first_characters(std::string_view text, size_t count) {
    size_t end = 0;
    for (; end < text.size(); ++end) {
        const bool starts = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
        if (starts && count-- == 0) break;
    }
    return text.substr(0, end);
}

std::string read_failure_file(const std::string& folder, int host) {
    const auto output = open_folder_below(folder, algo_name(host) + "/ml/output");
    if (!output) return "";
    const auto file = open_regular(output->get(), "failure");
    if (!file) return "";
    std::array<char, 4 * kMaxFailureReason> bytes{};
    const auto count = pread(file->get(), bytes.data(), bytes.size(), 0);
    if (count <= 0) return "";
    const auto text = valid_utf8({bytes.data(), static_cast<size_t>(count)});
    return std::string(first_characters(trim(text), kMaxFailureReason));
}

// The host whose end explains the job's: the one the launcher saw fail first, else one that left a failure file, then
// one out of memory, then one that failed by itself, then one that was killed (the others are stopped by us when the
// first fails).
struct Culprit {
    int host = 0;
    std::string text;
};
Culprit find_culprit(const std::string& folder, const RunOutcome& outcome) {
    const auto count = static_cast<int>(outcome.hosts.size());
    if (outcome.first_failure >= 0 && outcome.first_failure < count) {
        return {outcome.first_failure, read_failure_file(folder, outcome.first_failure)};
    }
    for (int host = 0; host < count; ++host) {
        if (outcome.hosts[static_cast<size_t>(host)].exit_code == 0) continue;
        auto text = read_failure_file(folder, host);
        if (!text.empty()) return {host, std::move(text)};
    }
    const auto first = [&](auto&& matches) -> std::optional<int> {
        for (int host = 0; host < count; ++host) {
            const auto& end = outcome.hosts[static_cast<size_t>(host)];
            if (end.exit_code != 0 && matches(end)) return host;
        }
        return std::nullopt;
    };
    auto host = first([](const HostOutcome& end) { return end.out_of_memory; });
    if (!host) host = first([](const HostOutcome& end) { return end.signal == 0; });
    if (!host) host = first([](const HostOutcome&) { return true; });
    return {host.value_or(0), ""};
}

bool names_its_kind(std::string_view text) {
    for (const std::string_view kind : {"ClientError:", "AlgorithmError:", "InternalServerError:"}) {
        if (text.starts_with(kind)) return true;
    }
    return false;
}

// What the kernel says, or the launcher in its place.
std::string verdict(const HostOutcome& end, const std::string& message, uint64_t memory_limit, uint64_t disk_limit) {
    if (end.out_of_memory) {
        const auto limit = memory_limit > 0 ? "the " + std::to_string(memory_limit >> 20) + " MiB of memory it has"
                                            : "the memory it has";
        return "Please use an instance type with more memory: the process used more than " + limit;
    }
    if (end.out_of_disk) {
        // Who was stopped is told why; who failed on a full disk was not stopped.
        const bool of_machine = !message.empty() && message.find("of its volume") == std::string::npos;
        if (disk_limit == 0 || of_machine) return "The disk of this machine is full";
        return "Please use a larger volume: the job wrote more than the " + std::to_string(disk_limit >> 20) +
               " MiB of disk it has (VolumeSizeInGB)";
    }
    return "";
}

constexpr int kShellSignal = 128;  // and the signal: as shells report a child that was killed

// Of a host that left no words, or was killed.
std::string exit_text(const HostOutcome& end) {
    if (end.signal != 0) return "the process was killed by signal " + signal_name(end.signal);
    constexpr int kSignals = 64;
    if (end.exit_code > kShellSignal && end.exit_code <= kShellSignal + kSignals)
        return "a process of it was killed by signal " + signal_name(end.exit_code - kShellSignal);
    if (end.exit_code == 127) return "the command was not found";
    if (end.exit_code == 126) return "the command could not be executed";
    return "";
}

std::string place(const FailedRun& run, size_t host, size_t hosts, uint64_t line) {
    if (host >= run.log_streams.size() || run.log_streams[host].empty()) return "";
    const auto name = algo_name(static_cast<int>(host));
    return " (" + (hosts > 1 ? name + " failed first, " : "") +
           (line > 0 ? "line " + std::to_string(line) + " of " : "end of ") + "log stream " + run.log_streams[host] +
           ")";
}

std::string cut(std::string_view text) { return std::string(first_characters(text, kMaxFailureReason)); }

}  // namespace

std::string training_failure_reason(const FailedRun& run, const RunOutcome& outcome) {
    if (outcome.cause == RunOutcome::Cause::LaunchFailed || outcome.cause == RunOutcome::Cause::Lost) {
        return internal_server_error(outcome.message);
    }
    const auto [host, text] = find_culprit(run.folder, outcome);
    if (names_its_kind(text)) return cut(text);
    const auto index = static_cast<size_t>(host);
    const auto& end = outcome.hosts.at(index);
    constexpr size_t kMostWords = 700;
    const auto begin = index < run.log_begins.size() ? run.log_begins[index] : 0;
    const auto words = index < run.log_files.size() ? last_words(run.log_files[index], begin, kMostWords) : LastWords{};
    auto why =
        verdict(end, outcome.message, index < run.memory_limits.size() ? run.memory_limits[index] : 0, run.disk_limit);
    const auto said = !text.empty() ? text : words.text;
    // Who was killed has often said something that has nothing to do with it.
    const bool killed = end.signal != 0 || (text.empty() && end.exit_code > kShellSignal);
    if (why.empty() && (said.empty() || killed)) why = exit_text(end);
    if (!said.empty()) why += (why.empty() ? "" : ". ") + said;
    const auto where = words.text.empty() ? "" : place(run, index, outcome.hosts.size(), words.line);
    const auto tail = ", exit code: " + std::to_string(end.exit_code) + where;
    constexpr std::string_view kKind = "AlgorithmError: ";
    const auto used = kKind.size() + utf8_length(tail);
    const auto room = kMaxFailureReason - std::min(used, kMaxFailureReason);
    return cut(std::string(kKind) + std::string(first_characters(why, room)) + tail);
}

int failed_host(const std::string& folder, const RunOutcome& outcome) {
    return outcome.hosts.empty() ? -1 : find_culprit(folder, outcome).host;
}

std::string signal_name(int signal) {
    const char* name = sigabbrev_np(signal);
    const char* about = sigdescr_np(signal);
    if (!name) return std::to_string(signal);
    return "SIG" + std::string(name) + (about ? " (" + std::string(about) + ")" : "");
}

std::string client_error(std::string_view message) { return cut("ClientError: " + valid_utf8(message)); }
std::string internal_server_error(std::string_view message) {
    return cut("InternalServerError: " + valid_utf8(message));
}

}  // namespace millwright::executors
