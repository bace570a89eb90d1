#include "programs/server/job_card.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "base/strings.h"
#include "executors/contract/failure.h"

namespace millwright::programs {
namespace {

constexpr size_t kLongestLine = 400;

using resources::TrainingHostCard;
using resources::TrainingJobCard;

Json host_to_json(const TrainingHostCard& host) {
    return Json::object({{"name", host.name},
                         {"log_stream", host.log_stream},
                         {"has_ended", host.has_ended},
                         {"exit_code", host.exit_code},
                         {"signal", host.signal},
                         {"out_of_memory", host.out_of_memory},
                         {"out_of_disk", host.out_of_disk}});
}

// What a job wrote must not steer the terminal.
std::string printable(std::string_view text, size_t longest) {
    std::string out;
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        constexpr unsigned char kSpace = 0x20, kDelete = 0x7F;
        const bool plain = (byte >= kSpace && byte != kDelete) || c == '\t' || c == '\n';
        out += plain ? c : '?';
    }
    if (text.size() > longest) out += "...";
    return out;
}

std::string indented(std::string_view text, std::string_view indent) {
    std::string out;
    for (const auto line : split(text, '\n')) out += std::string(indent) + std::string(line) + "\n";
    return out;
}

std::string field(std::string_view name, std::string_view value) {
    constexpr size_t kColumn = 10;
    std::string out = "  " + std::string(name);
    out.resize(std::max(out.size() + 1, kColumn), ' ');
    const auto lines = split(value, '\n');
    for (size_t i = 0; i < lines.size(); ++i) {
        out += (i == 0 ? "" : std::string(kColumn, ' ')) + std::string(lines[i]) + "\n";
    }
    return out;
}

std::string exit_of(const Json& host) {
    if (!host["has_ended"].bool_or(false)) return "";
    std::string text = host["name"].string_or("") + ": ";
    const auto signal = static_cast<int>(host["signal"].int_or(0));
    if (host["out_of_memory"].bool_or(false)) {
        text += "killed, because it used more memory than it has";
    } else if (host["out_of_disk"].bool_or(false)) {
        text += "stopped, because it wrote more than its disk holds";
    } else if (signal != 0) {
        text += "killed by " + executors::signal_name(signal);
    } else {
        text += "exit code " + std::to_string(host["exit_code"].int_or(0));
    }
    return text;
}

std::string exits(const Json& card) {
    const auto culprit = card["culprit"].int_or(-1);
    std::string text;
    int64_t index = 0;
    for (const auto& host : card["hosts"].items()) {
        const auto one = exit_of(host);
        if (!one.empty()) {
            text += (text.empty() ? "" : "\n") + one;
            if (card["hosts"].size() > 1 && index == culprit) text += " (the first)";
        }
        ++index;
    }
    return text;
}

std::string time_of(const Json& card) {
    std::string text;
    if (card.has("training_seconds")) {
        text = std::to_string(card["training_seconds"].int_or(0)) + " s of at most " +
               std::to_string(card["max_runtime"].int_or(0)) + " s, billed " +
               std::to_string(card["billable_seconds"].int_or(0)) + " s";
    } else {
        text = "at most " + std::to_string(card["max_runtime"].int_or(0)) + " s";
    }
    const auto interruptions = card["interruptions"].int_or(0), retries = card["retries"].int_or(0);
    if (interruptions > 0) text += ", interrupted " + std::to_string(interruptions) + " times";
    if (retries > 0) text += ", restarted " + std::to_string(retries) + " times after faults of the platform";
    return text;
}

std::string limits(const Json& card) {
    const auto wanted = card["wanted"].string_or(""), granted = card["granted"].string_or("");
    std::string text = card["instances"].string_or("") + ", each " + granted;
    if (wanted != granted) text += " (asked for: " + wanted + ")";
    if (const auto disk = card["disk_bytes"].int_or(0); disk > 0)
        text += ", " + std::to_string(disk >> 30) + " GiB of disk";
    return text;
}

std::string timeline(const Json& card) {
    std::string text;
    for (const auto& step : card["transitions"].items()) {
        const auto when = format_iso8601(from_epoch_milliseconds(step["start"].int_or(0)));
        auto status = step["status"].string_or("");
        constexpr size_t kColumn = 13;
        status.resize(std::max(status.size() + 1, kColumn), ' ');
        text += "    " + when.substr(11, 8) + "  " + status +
                printable(step["message"].string_or(""), executors::kMaxFailureReason * 4) + "\n";
    }
    return text;
}

// What a person could do next; the kernel's word decides before the script's.
std::vector<std::string> advice(const Json& card) {
    std::vector<std::string> advice;
    const auto name = card["name"].string_or("");
    const auto reason = card["failure_reason"].string_or("");
    const auto& culprit = card["hosts"][static_cast<size_t>(std::max<int64_t>(0, card["culprit"].int_or(-1)))];
    const bool failed = card["status"].string_or("") == "Failed";
    if (culprit["out_of_memory"].bool_or(false))
        advice.push_back("give it more memory: a larger InstanceType, smaller batches, fewer loader processes");
    if (culprit["out_of_disk"].bool_or(false))
        advice.push_back("give it a larger VolumeSizeInGB, or write less to /tmp and /opt/ml");
    if (reason.find("No module named") != std::string::npos || reason.find("ModuleNotFoundError") != std::string::npos)
        advice.push_back("name the package in a requirements.txt beside the script");
    if (reason.find("No such file or directory") != std::string::npos)
        advice.push_back("look for the file: channels are in /opt/ml/input/data/<channel>, the code in /opt/ml/code");
    if (card["secondary_status"].string_or("") == "MaxRuntimeExceeded")
        advice.push_back("give it a longer MaxRuntimeInSeconds, or a CheckpointConfig to go on from");
    if (card["interruptions"].int_or(0) > 0 && !card["has_checkpoints"].bool_or(false))
        advice.push_back("give it a CheckpointConfig: without one, each interruption starts it from the beginning");
    if (!card["folder"].string_or("").empty() && failed)
        advice.push_back("millwright jobs enter " + name + "    a shell in its files and environment, as it left them");
    if (card["runs"].bool_or(false)) advice.push_back("millwright jobs enter " + name + "    a shell beside it");
    if (card.has("training_start")) advice.push_back("millwright jobs logs " + name + "    all it wrote");
    return advice;
}

}  // namespace

Json card_to_json(const TrainingJobCard& card) {
    const auto& job = card.job;
    auto hosts = Json::array(), transitions = Json::array();
    for (const auto& host : card.hosts) hosts.push_back(host_to_json(host));
    for (const auto& step : job.transitions) {
        transitions.push_back(Json::object(
            {{"status", step.status}, {"message", step.message}, {"start", to_epoch_milliseconds(step.start)}}));
    }
    auto document = Json::object({{"name", job.name},
                                  {"arn", job.arn},
                                  {"status", job.status},
                                  {"secondary_status", job.secondary_status},
                                  {"failure_reason", job.failure_reason},
                                  {"model_artifacts", job.model_artifacts},
                                  {"folder", card.folder},
                                  {"runs", card.runs},
                                  {"spot", card.spot},
                                  {"interruptions", card.interruptions},
                                  {"retries", card.retries},
                                  {"culprit", card.culprit},
                                  {"instances", card.instances},
                                  {"wanted", card.wanted},
                                  {"granted", card.granted},
                                  {"disk_bytes", static_cast<int64_t>(card.disk_bytes)},
                                  {"max_runtime", static_cast<int64_t>(card.max_runtime.count())},
                                  {"has_checkpoints", card.has_checkpoints},
                                  {"is_script", card.is_script},
                                  {"image", card.image},
                                  {"hosts", std::move(hosts)},
                                  {"transitions", std::move(transitions)}});
    document.set("created", to_epoch_milliseconds(job.created));
    if (job.training_start) document.set("training_start", to_epoch_milliseconds(*job.training_start));
    if (job.training_end) document.set("training_end", to_epoch_milliseconds(*job.training_end));
    if (job.training_seconds) document.set("training_seconds", *job.training_seconds);
    if (job.billable_seconds) document.set("billable_seconds", *job.billable_seconds);
    return document;
}

std::string card_text(const Json& card) {
    const auto status = card["status"].string_or(""), secondary = card["secondary_status"].string_or("");
    std::string out =
        card["name"].string_or("") + ": " + status + (status == secondary ? "" : " / " + secondary) + "\n\n";
    if (const auto reason = card["failure_reason"].string_or(""); !reason.empty())
        out += field("Why", printable(reason, executors::kMaxFailureReason * 4));
    if (const auto text = exits(card); !text.empty()) out += field("End", text);
    out += field("Time", time_of(card));
    out += field("Hosts", limits(card));
    if (const auto image = card["image"].string_or(""); !image.empty()) out += field("Image", image);
    if (const auto model = card["model_artifacts"].string_or(""); !model.empty()) out += field("Model", model);
    out += "\n" + timeline(card);
    const auto host = static_cast<size_t>(std::max<int64_t>(0, card["culprit"].int_or(-1)));
    if (card["last_lines"].size() > 0) {
        out += "\n  Last lines of log stream " + card["hosts"][host]["log_stream"].string_or("") + "\n";
        for (const auto& line : card["last_lines"].items())
            out += indented(printable(line.string_or(""), kLongestLine), "    | ");
    }
    const auto hints = advice(card);
    if (!hints.empty()) out += "\n  Try\n";
    for (const auto& hint : hints) out += "    " + hint + "\n";
    return out;
}

std::string job_table(const Json& list) {
    if (list["jobs"].size() == 0) return "There are no training jobs.\n";
    size_t widest = 4;
    for (const auto& job : list["jobs"].items()) widest = std::max(widest, job["name"].string_or("").size());
    std::string out;
    for (const auto& job : list["jobs"].items()) {
        const auto status = job["status"].string_or(""), secondary = job["secondary_status"].string_or("");
        auto name = job["name"].string_or("");
        name.resize(widest, ' ');
        auto state = status == secondary ? status : status + " / " + secondary;
        constexpr size_t kState = 30;
        state.resize(std::max(state.size(), kState), ' ');
        out += name + "  " + state + "  " + format_iso8601(from_epoch_milliseconds(job["created"].int_or(0))) + "\n";
    }
    return out;
}

}  // namespace millwright::programs
