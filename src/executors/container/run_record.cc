#include "executors/container/run_record.h"

#include <array>

#include "base/files.h"
#include "base/strings.h"
#include "base/time.h"

namespace millwright::executors {
namespace {

using Cause = RunOutcome::Cause;

constexpr size_t kMaxBytes = size_t{4} << 20;
constexpr std::array kPhases = {"Starting", "Started", "Ended"};
constexpr std::array kCauses = {"Exited", "StopRequested", "MaxRuntime", "LaunchFailed", "Lost"};

template <typename Enum, size_t N>
std::string name_of(const std::array<const char*, N>& names, Enum value) {
    return names.at(static_cast<size_t>(value));
}

template <typename Enum, size_t N>
std::optional<Enum> value_of(const std::array<const char*, N>& names, const std::string& name) {
    for (size_t i = 0; i < N; ++i)
        if (name == names.at(i)) return static_cast<Enum>(i);
    return std::nullopt;
}

Json to_array(const std::vector<std::string>& texts) {
    auto array = Json::array();
    for (const auto& text : texts) array.push_back(text);
    return array;
}

std::vector<std::string> to_texts(const Json& array) {
    std::vector<std::string> texts;
    for (const auto& item : array.items()) texts.push_back(item.string_or(""));
    return texts;
}

Json outcome_json(const RunOutcome& outcome) {
    auto hosts = Json::array();
    for (const auto& host : outcome.hosts)
        hosts.push_back(Json::object({{"exit_code", host.exit_code},
                                      {"signal", host.signal},
                                      {"out_of_memory", host.out_of_memory},
                                      {"out_of_disk", host.out_of_disk}}));
    return Json::object({{"cause", name_of(kCauses, outcome.cause)},
                         {"hosts", std::move(hosts)},
                         {"message", outcome.message},
                         {"started_ms", to_epoch_milliseconds(outcome.started)},
                         {"ended_ms", to_epoch_milliseconds(outcome.ended)},
                         {"ran_ms", int64_t{outcome.ran.count()}},
                         {"first_failure", outcome.first_failure}});
}

RunOutcome outcome_of(const Json& json) {
    RunOutcome outcome;
    outcome.cause = value_of<Cause>(kCauses, json["cause"].string_or("")).value_or(Cause::Lost);
    for (const auto& host : json["hosts"].items())
        outcome.hosts.push_back({static_cast<int>(host["exit_code"].int_or(0)),
                                 static_cast<int>(host["signal"].int_or(0)), host["out_of_memory"].bool_or(false),
                                 host["out_of_disk"].bool_or(false)});
    outcome.message = json["message"].string_or("");
    outcome.started = from_epoch_milliseconds(json["started_ms"].int_or(0));
    outcome.ended = from_epoch_milliseconds(json["ended_ms"].int_or(0));
    outcome.ran = std::chrono::milliseconds(json["ran_ms"].int_or(0));
    outcome.first_failure = static_cast<int>(json["first_failure"].int_or(-1));
    return outcome;
}

}  // namespace

Json to_json(const RunRecord& record) {
    auto hosts = Json::array();
    for (const auto& host : record.hosts)
        hosts.push_back(Json::object({{"container", host.container},
                                      {"gate", host.gate.container},
                                      {"gate_folder", host.gate.folder},
                                      {"address", host.gate.address}}));
    auto companions = Json::array();
    for (const auto& companion : record.companions)
        companions.push_back(Json::object({{"pid", companion.pid}, {"start_ticks", companion.start_ticks}}));
    auto json = Json::object({{"version", 1},
                              {"phase", name_of(kPhases, record.phase)},
                              {"id", record.id},
                              {"boot", record.boot},
                              {"network", record.network},
                              {"isolated", record.wish.isolated},
                              {"egress_socket", record.wish.egress_socket},
                              {"served_port", static_cast<int>(record.wish.served_port)},
                              {"gates_kept", record.gates_kept},
                              {"hosts", std::move(hosts)},
                              {"log_files", to_array(record.log_files)},
                              {"max_log_bytes", record.max_log_bytes},
                              {"max_disk_bytes", record.max_disk_bytes},
                              {"max_runtime_s", record.max_runtime_s},
                              {"stop_grace_s", record.stop_grace_s},
                              {"companions", std::move(companions)},
                              {"owned", to_array(record.owned)},
                              {"first_failure", record.first_failure},
                              {"message", record.message}});
    if (record.stopping) json.set("stopping", name_of(kCauses, *record.stopping));
    json.set("stopped_ms", record.stopped_ms);
    if (record.outcome) json.set("outcome", outcome_json(*record.outcome));
    return json;
}

Result<RunRecord> parse_run_record(std::string_view text) {
    const auto json = TRY(Json::parse(text));
    RunRecord record;
    const auto phase = value_of<RunRecord::Phase>(kPhases, json["phase"].string_or(""));
    if (json["version"].int_or(0) != 1 || !phase) return invalid_input("a record of a run that we do not understand");
    record.phase = *phase;
    record.id = json["id"].string_or("");
    record.boot = json["boot"].string_or("");
    record.network = json["network"].string_or("");
    record.wish.isolated = json["isolated"].bool_or(false);
    record.wish.egress_socket = json["egress_socket"].string_or("");
    record.wish.served_port = static_cast<uint16_t>(json["served_port"].int_or(0));
    record.wish.network = record.network;
    record.gates_kept = json["gates_kept"].bool_or(false);
    for (const auto& host : json["hosts"].items())
        record.hosts.push_back(
            {host["container"].string_or(""),
             {host["gate"].string_or(""), host["gate_folder"].string_or(""), host["address"].string_or("")}});
    record.log_files = to_texts(json["log_files"]);
    record.max_log_bytes = static_cast<uint64_t>(json["max_log_bytes"].int_or(0));
    record.max_disk_bytes = static_cast<uint64_t>(json["max_disk_bytes"].int_or(0));
    record.max_runtime_s = json["max_runtime_s"].int_or(-1);
    record.stop_grace_s = json["stop_grace_s"].int_or(120);
    for (const auto& companion : json["companions"].items())
        record.companions.push_back(
            {companion["pid"].int_or(0), static_cast<uint64_t>(companion["start_ticks"].int_or(0))});
    record.owned = to_texts(json["owned"]);
    record.first_failure = static_cast<int>(json["first_failure"].int_or(-1));
    record.message = json["message"].string_or("");
    if (json.has("stopping")) record.stopping = value_of<Cause>(kCauses, json["stopping"].string_or(""));
    record.stopped_ms = json["stopped_ms"].int_or(0);
    if (json.has("outcome")) record.outcome = outcome_of(json["outcome"]);
    return record;
}

Result<void> save(const RunRecord& record, const std::string& folder) {
    return replace_file_durably(folder + "/" + kRunRecord, to_json(record).dump() + "\n", 0600);
}

Result<RunRecord> load_run_record(const std::string& folder) {
    const auto text = TRY(read_file(folder + "/" + kRunRecord, kMaxBytes));
    return parse_run_record(text);
}

std::string boot_id() {
    const auto text = read_file("/proc/sys/kernel/random/boot_id", 256);
    return text ? std::string(trim(*text)) : "";
}

}  // namespace millwright::executors
