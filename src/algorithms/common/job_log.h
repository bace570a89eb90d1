// The log of a training job, in the forms that AWS's built-in algorithms print and that metric definitions
// match.
//
//   [06/08/2018 20:15:33 INFO 140026520049408] Using default worker.
//   #metrics {"StartTime": …, "EndTime": …, "Dimensions": {…}, "Metrics": {"update.time": {"sum": …, …}}}
//   #quality_metric: host=algo-1, epoch=3, train msd <loss>=0.0640
//   #progress_metric: host=algo-1, completed 10.0 % of epochs
//   #throughput_metric: host=algo-1, train throughput=10804.1 records/second
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/mutex.h"

namespace millwright::algorithms {

// Summary of one measured quantity, as #metrics prints it.
struct MetricSummary {
    double sum = 0;
    int64_t count = 0;
    double min = 0;
    double max = 0;

    void add(double value);
};

// A #metrics line. Operation, host and algorithm become dimensions.
struct MetricsLine {
    double start_time = 0;  // seconds since 1970
    double end_time = 0;
    std::string operation = "training";
    std::optional<int64_t> epoch{};
    std::string meta{};  // such as "training_data_iter"; empty: absent
    std::vector<std::pair<std::string, MetricSummary>> metrics{};
};

enum class QualityKind { Loss, Score };

// Thread-safe; every call is one line, flushed. Lines longer than a log event (256 KiB) are cut.
class JobLog {
  public:
    // `out` stays open longer than the log; stdout for jobs.
    JobLog(std::string algorithm, std::string host, std::FILE* out = stdout);

    void info(std::string_view message) { write("INFO", message); }
    void warning(std::string_view message) { write("WARNING", message); }
    void error(std::string_view message) { write("ERROR", message); }

    void metrics(const MetricsLine& line);
    // `epoch` and `batch` as far as they apply.
    void quality_metric(std::string_view split, std::string_view name, QualityKind kind, double value,
                        std::optional<int64_t> epoch = std::nullopt, std::optional<int64_t> batch = std::nullopt);
    void progress_metric(double percent_of_epochs);
    void throughput_metric(double records_per_second);
    // "#test_score (algo-1) : ('mse', 0.0133)"; `split` is test or validation.
    void score(std::string_view split, std::string_view name, double value);
    // A line as it is; the caller's text holds no line feed.
    void line(std::string_view text);
    // What AWS prints before any algorithm starts: the default, provided and final hyperparameters.
    void configuration(const Json& defaults, const Json& provided, const Json& final_values);

    const std::string& host() const { return host_; }

  private:
    void write(std::string_view level, std::string_view message);

    std::string algorithm_;
    std::string host_;
    std::FILE* out_;
    Mutex mutex_;
};

// As Python prints a float: the shortest form that reads back, "1.0" for whole numbers, "nan", "inf",
// "1e-05".
std::string python_float(double value);

}  // namespace millwright::algorithms
