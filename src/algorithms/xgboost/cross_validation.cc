#include "algorithms/xgboost/cross_validation.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>

#include "algorithms/xgboost/checkpoints.h"
#include "base/files.h"

namespace millwright::algorithms::xgboost {
namespace {

// Same numbers on every platform, unlike the distributions of <random>.
void shuffle(std::vector<size_t>& items, std::mt19937_64& random) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random() % i]);
}

// What the folds predicted for each row, summed up over repetitions.
class Recorder {
  public:
    Recorder(std::vector<float> labels, const Settings& settings)
        : labels_(std::move(labels)),
          scores_(labels_.size()),
          counts_(labels_.size()),
          votes_(labels_.size()),
          settings_(settings) {}

    void record(std::span<const int> rows, const Predictions& predictions) {
        for (size_t i = 0; i < rows.size(); ++i) {
            const auto row = static_cast<size_t>(rows[i]);
            const std::span<const float> values(predictions.values.data() + i * predictions.width, predictions.width);
            const auto best = std::max_element(values.begin(), values.end());
            scores_[row] += *best;
            counts_[row] += 1;
            votes_[row][label_of(values)] += 1;
        }
    }

    std::string csv() const {
        std::string out;
        char line[128];
        for (size_t row = 0; row < labels_.size(); ++row) {
            const double mean = scores_[row] / std::max(counts_[row], 1);
            if (is_classification()) {
                // The smallest of the most frequent ones.
                const auto winner = std::max_element(votes_[row].begin(), votes_[row].end(),
                                                     [](const auto& a, const auto& b) { return a.second < b.second; });
                const int label = winner == votes_[row].end() ? 0 : winner->first;
                snprintf(line, sizeof line, "%f,%f,%f\n", static_cast<double>(labels_[row]), mean,
                         static_cast<double>(label));
            } else {
                snprintf(line, sizeof line, "%f,%f\n", static_cast<double>(labels_[row]), mean);
            }
            out += line;
        }
        return out;
    }

    bool is_classification() const { return settings_.num_class > 0 || settings_.objective.starts_with("binary:"); }

  private:
    int label_of(std::span<const float> values) const {
        if (values.size() > 1) return static_cast<int>(std::max_element(values.begin(), values.end()) - values.begin());
        if (settings_.objective == "multi:softmax") return static_cast<int>(values[0]);
        return values[0] > (settings_.objective == "binary:logitraw" ? 0.0F : 0.5F) ? 1 : 0;
    }

    std::vector<float> labels_;
    std::vector<double> scores_;
    std::vector<int> counts_;
    std::vector<std::map<int, int>> votes_;
    const Settings& settings_;
};

// "[rounds]#011train-rmse:…": means over the models; metrics outside, data sets inside.
std::string mean_line(int rounds, std::span<const std::vector<Score>> scores) {
    std::vector<Score> means;
    if (scores.empty()) return evaluation_line(rounds, means);
    std::vector<std::string> metrics;
    for (const Score& score : scores.front()) {
        if (std::find(metrics.begin(), metrics.end(), score.metric) == metrics.end()) metrics.push_back(score.metric);
    }
    for (const std::string& metric : metrics) {
        for (size_t i = 0; i < scores.front().size(); ++i) {
            if (scores.front()[i].metric != metric) continue;
            Score mean = scores.front()[i];
            mean.value = 0;
            for (const auto& one : scores) mean.value += one[i].value / static_cast<double>(scores.size());
            means.push_back(mean);
        }
    }
    return evaluation_line(rounds, means);
}

}  // namespace

Result<std::vector<int>> assign_folds(size_t rows, std::span<const float> classes, int folds, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::map<float, std::vector<size_t>> groups;
    for (size_t row = 0; row < rows; ++row) groups[classes.empty() ? 0.0F : classes[row]].push_back(row);
    if (rows < static_cast<size_t>(folds)) {
        return invalid_input("Cannot have number of splits n_splits=" + std::to_string(folds) +
                             " greater than the number of samples: n_samples=" + std::to_string(rows) + ".");
    }
    const bool enough = std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
        return group.second.size() >= static_cast<size_t>(folds);
    });
    if (!enough)
        return invalid_input("n_splits=" + std::to_string(folds) +
                             " cannot be greater than the number of members in each class.");
    std::vector<int> out(rows);
    size_t next = 0;  // goes on over classes, so that folds stay equal in size
    for (auto& [label, members] : groups) {
        shuffle(members, random);
        for (const size_t row : members) out[row] = static_cast<int>(next++ % static_cast<size_t>(folds));
    }
    return out;
}

Result<void> cross_validate(const Matrix& all, const BoostingInput& input, const Settings& settings,
                            const TrainingEnvironment& environment, const Cluster& cluster, JobLog& log) {
    log.info("Run " + std::to_string(settings.cross_validation_rounds) + "-round of " + std::to_string(settings.folds) +
             "-fold cross validation with " + std::to_string(all.rows()) + " rows");
    const std::vector<float> labels = TRY(all.labels());
    Recorder recorder(labels, settings);
    uint64_t seed = 0;
    for (const auto& [name, value] : settings.library) {
        if (name == "seed") seed = static_cast<uint64_t>(std::strtoll(value.c_str(), nullptr, 10));
    }
    std::vector<std::vector<Score>> scores;
    for (int repetition = 0; repetition < settings.cross_validation_rounds; ++repetition) {
        const std::span<const float> classes =
            recorder.is_classification() ? std::span<const float>(labels) : std::span<const float>();
        const auto folds =
            TRY(assign_folds(all.rows(), classes, settings.folds, seed * 1000003 + static_cast<uint64_t>(repetition)));
        for (int fold = 0; fold < settings.folds; ++fold) {
            const std::string model = std::to_string(scores.size());
            std::vector<int> training;
            std::vector<int> held_out;
            for (size_t row = 0; row < folds.size(); ++row)
                (folds[row] == fold ? held_out : training).push_back(static_cast<int>(row));
            log.info("Train cross validation fold " + std::to_string(fold + 1));
            BoostingInput one = input;
            one.train = TRY(all.rows_of(training));
            if (!input.checkpoint_dir.empty()) one.checkpoint_dir = input.checkpoint_dir + "/model-" + model;
            one.model_path = environment.model_dir + "/xgboost-model-" + model;
            const BoostingOutcome outcome = TRY(boost(one, settings, cluster, log));
            if (outcome.terminated) return internal_error("The job was stopped by SIGTERM during cross validation");
            TRY(replace_model_file(one.model_path, TRY(outcome.booster.save(model_form(settings)))));
            recorder.record(held_out, TRY(outcome.booster.predict(TRY(all.rows_of(held_out)), PredictionKind::Value)));
            scores.push_back(outcome.last_scores);
        }
        log.info("The metrics of round " + std::to_string(repetition + 1) + " cross validation");
        log.line(mean_line(settings.num_round, std::span(scores).last(static_cast<size_t>(settings.folds))));
    }
    if (settings.cross_validation_rounds > 1) {
        log.info("The overall metrics of " + std::to_string(settings.cross_validation_rounds) +
                 "-round cross validation");
        log.line(mean_line(settings.num_round, scores));
    }
    log.info("Storing predictions on validation set(s) in " + environment.output_data_dir + "/predictions.csv");
    TRY(make_directories(environment.output_data_dir));
    return write_file(environment.output_data_dir + "/predictions.csv", recorder.csv());
}

}  // namespace millwright::algorithms::xgboost
