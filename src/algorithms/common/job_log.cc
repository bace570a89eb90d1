#include "algorithms/common/job_log.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/strings.h"

namespace millwright::algorithms {
namespace {

constexpr size_t kMaxLineBytes = 256 * 1024;

std::string local_log_time() {
    const time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    strftime(text, sizeof text, "%m/%d/%Y %H:%M:%S", &parts);
    return text;
}

// "12.3456" -> as printf %.*f would give it.
std::string fixed(double value, int digits) {
    char text[64];
    snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

Json summary(const MetricSummary& metric) {
    return Json::object({{"sum", metric.sum}, {"count", metric.count}, {"min", metric.min}, {"max", metric.max}});
}

}  // namespace

void MetricSummary::add(double value) {
    min = count == 0 ? value : std::min(min, value);
    max = count == 0 ? value : std::max(max, value);
    sum += value;
    count += 1;
}

std::string python_float(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
    // Shortest digits as d[.ddd]e±xx; Python uses that form below 1e-4 and from 1e16 on, plain digits
    // between.
    char shortest[40];
    const auto end = std::to_chars(shortest, shortest + sizeof shortest, value, std::chars_format::scientific).ptr;
    const std::string_view text(shortest, static_cast<size_t>(end - shortest));
    const size_t e = text.find('e');
    const int exponent = atoi(std::string(text.substr(e + 1)).c_str());
    if (value != 0 && (exponent < -4 || exponent >= 16)) return std::string(text);
    std::string out = value < 0 || std::signbit(value) ? "-" : "";
    std::string digits;
    for (const char c : text.substr(0, e)) {
        if (c >= '0' && c <= '9') digits += c;
    }
    if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
    const size_t whole = static_cast<size_t>(exponent) + 1;
    if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
    return out + digits.substr(0, whole) + "." + digits.substr(whole);
}

JobLog::JobLog(std::string algorithm, std::string host, std::FILE* out)
    : algorithm_(std::move(algorithm)), host_(std::move(host)), out_(out) {}

void JobLog::line(std::string_view text) {
    std::string bytes(text.substr(0, kMaxLineBytes - 1));
    bytes += '\n';
    const MutexLock lock(mutex_);
    fwrite(bytes.data(), 1, bytes.size(), out_);
    fflush(out_);
}

void JobLog::write(std::string_view level, std::string_view message) {
    const uint64_t thread = std::hash<std::thread::id>{}(std::this_thread::get_id());
    const std::string start = "[" + local_log_time() + " " + std::string(level) + " " + std::to_string(thread) + "] ";
    for (const std::string_view part : split(message, '\n')) line(start + std::string(part));
}

void JobLog::metrics(const MetricsLine& metrics) {
    Json dimensions = Json::object({{"Algorithm", algorithm_}, {"Host", host_}, {"Operation", metrics.operation}});
    if (metrics.epoch) dimensions.set("epoch", *metrics.epoch);
    if (!metrics.meta.empty()) dimensions.set("Meta", metrics.meta);
    Json values = Json::object();
    for (const auto& [name, metric] : metrics.metrics) values.set(name, summary(metric));
    line("#metrics " + Json::object({{"StartTime", metrics.start_time},
                                     {"EndTime", metrics.end_time},
                                     {"Dimensions", std::move(dimensions)},
                                     {"Metrics", std::move(values)}})
                           .dump());
}

void JobLog::quality_metric(std::string_view split_name, std::string_view name, QualityKind kind, double value,
                            std::optional<int64_t> epoch, std::optional<int64_t> batch) {
    std::string text = "#quality_metric: host=" + host_ + ", ";
    if (epoch) text += "epoch=" + std::to_string(*epoch) + ", ";
    if (batch) text += "batch=" + std::to_string(*batch) + " ";
    text += std::string(split_name) + " " + std::string(name) + (kind == QualityKind::Loss ? " <loss>=" : " <score>=");
    line(text + python_float(value));
}

void JobLog::progress_metric(double percent_of_epochs) {
    line("#progress_metric: host=" + host_ + ", completed " + fixed(percent_of_epochs, 1) + " % of epochs");
}

void JobLog::throughput_metric(double records_per_second) {
    line("#throughput_metric: host=" + host_ + ", train throughput=" + python_float(records_per_second) +
         " records/second");
}

void JobLog::score(std::string_view split_name, std::string_view name, double value) {
    line("#" + std::string(split_name) + "_score (" + host_ + ") : ('" + std::string(name) + "', " +
         python_float(value) + ")");
}

void JobLog::configuration(const Json& defaults, const Json& provided, const Json& final_values) {
    info(
        "Reading default configuration from "
        "/opt/amazon/lib/python3.8/site-packages/algorithm/resources/default-conf.json: " +
        defaults.dump());
    info("Merging with provided configuration from /opt/ml/input/config/hyperparameters.json: " + provided.dump());
    info("Final configuration: " + final_values.dump());
}

}  // namespace millwright::algorithms
