#include "executors/contract/failure.h"

#include <string.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

#include "base/strings.h"
#include "executors/contract/job_files.h"
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

std::string signal_text(int signal) {
    const char* name = sigabbrev_np(signal);
    return "the process was killed by signal " + (name ? "SIG" + std::string(name) : std::to_string(signal));
}

std::string cut(std::string_view text) { return std::string(first_characters(text, kMaxFailureReason)); }

}  // namespace

std::string training_failure_reason(const std::string& folder, const RunOutcome& outcome, uint64_t memory_limit) {
    if (outcome.cause == RunOutcome::Cause::LaunchFailed || outcome.cause == RunOutcome::Cause::Lost) {
        return internal_server_error(outcome.message);
    }
    const auto [host, text] = find_culprit(folder, outcome);
    if (names_its_kind(text)) return cut(text);
    const auto& end = outcome.hosts.at(static_cast<size_t>(host));
    std::string why = text;
    if (end.out_of_memory) {
        why += (why.empty() ? "" : ". ") +
               ("Please use an instance type with more memory: the process used more than the " +
                std::to_string(memory_limit >> 20) + " MiB of memory it has");
    } else if (why.empty() && end.signal != 0) {
        why = signal_text(end.signal);
    }
    const auto tail = ", exit code: " + std::to_string(end.exit_code);
    constexpr std::string_view kKind = "AlgorithmError: ";
    const auto room = kMaxFailureReason - kKind.size() - tail.size();
    return std::string(kKind) + std::string(first_characters(why, room)) + tail;
}

std::string client_error(std::string_view message) { return cut("ClientError: " + valid_utf8(message)); }
std::string internal_server_error(std::string_view message) {
    return cut("InternalServerError: " + valid_utf8(message));
}

}  // namespace millwright::executors
