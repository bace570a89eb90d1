#include "algorithms/xgboost/boosting.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "algorithms/common/training_environment.h"
#include "algorithms/xgboost/checkpoints.h"
#include "algorithms/xgboost/custom_metrics.h"
#include "base/files.h"

namespace millwright::algorithms::xgboost {
namespace {

std::string fixed(double value, int digits) {
    if (std::isnan(value)) return "nan";
    char text[352];
    snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

// Remembers the best round by the rules of the Python package: an equal score is no improvement.
class EarlyStopping {
  public:
    explicit EarlyStopping(const Settings& settings) : settings_(settings) {}

    Result<bool> should_stop(int round, const std::vector<Score>& scores, Booster& booster) {
        if (settings_.early_stopping_rounds == 0 || scores.empty() || scores.back().data != "validation") return false;
        const Score* score = &scores.back();
        for (const Score& candidate : scores) {
            if (candidate.data == "validation" && candidate.metric == settings_.early_stopping_metric)
                score = &candidate;
        }
        const bool better = !best_ || (is_maximized(score->metric) ? score->value > *best_ : score->value < *best_);
        if (!better) return ++rounds_without_ >= settings_.early_stopping_rounds;
        best_ = score->value;
        best_round_ = round;
        rounds_without_ = 0;
        TRY(booster.set_attribute("best_score", python_float(*best_)));
        TRY(booster.set_attribute("best_iteration", std::to_string(round)));
        return false;
    }

    // The rounds up to the best one; the booster as it is when nothing was watched or it has no rounds to
    // cut.
    Result<Booster> best_model(Booster booster) const {
        if (!best_ || settings_.booster == "gblinear") return booster;
        Booster best = TRY(booster.first_rounds(best_round_ + 1));
        TRY(best.set_attribute("best_score", python_float(*best_)));
        TRY(best.set_attribute("best_iteration", std::to_string(best_round_)));
        TRY(best.set_attribute("best_ntree_limit", std::to_string((best_round_ + 1) * settings_.num_parallel_tree)));
        return best;
    }

  private:
    const Settings& settings_;
    std::optional<double> best_;
    int best_round_ = 0;
    int rounds_without_ = 0;
};

class Boosting {
  public:
    Boosting(const BoostingInput& input, const Settings& settings, const Cluster& cluster, JobLog& log)
        : input_(input), settings_(settings), cluster_(cluster), log_(log), stopping_(settings) {}

    Result<BoostingOutcome> run() {
        Booster booster = TRY(start());
        if (!settings_.custom_metrics.empty()) TRY(prepare_labels());
        if (cluster_.is_leader() && !input_.checkpoint_dir.empty() && !updates_trees()) {
            checkpoints_ = TRY(CheckpointWriter::open(input_.checkpoint_dir));
        }
        BoostingOutcome out{.booster = std::move(booster), .last_scores = {}};
        for (int round = first_round_; round < settings_.num_round; ++round) {
            TRY(out.booster.update(round, input_.train));
            out.last_scores = TRY(scores(round, out.booster));
            if (cluster_.is_leader()) log_.line(evaluation_line(round, out.last_scores));
            const bool stop = TRY(stopping_.should_stop(round, out.last_scores, out.booster));
            TRY(keep(round, out.booster));
            if (stop) {
                if (cluster_.is_leader())
                    log_.info("Stopping. No improvement for " + std::to_string(settings_.early_stopping_rounds) +
                              " rounds.");
                break;
            }
            out.terminated = TRY(cluster_.any(termination_requested()));
            if (out.terminated) return out;
        }
        if (checkpoints_) checkpoints_->finish();
        out.booster = TRY(stopping_.best_model(std::move(out.booster)));
        return out;
    }

  private:
    bool updates_trees() const {
        return std::find(settings_.library.begin(), settings_.library.end(),
                         std::pair<std::string, std::string>("process_type", "update")) != settings_.library.end();
    }

    // A new booster, or the one of the newest checkpoint.
    Result<Booster> start() {
        std::vector<Matrix> cache = {input_.train};
        cache.insert(cache.end(), input_.watched.begin(), input_.watched.end());
        const auto checkpoint = TRY(newest_checkpoint(input_.checkpoint_dir));
        if (updates_trees() && !checkpoint) {
            return invalid_input(
                "process_type 'update' changes the trees of a model: put one as xgboost-checkpoint.N where "
                "the checkpoints are");
        }
        if (checkpoint && !cluster_.distributed()) TRY(check_model_bytes(checkpoint->model));
        Booster booster = checkpoint ? TRY(Booster::load(checkpoint->model, cache)) : TRY(Booster::create(cache));
        for (const auto& [name, value] : settings_.library) TRY(booster.set(name, value));
        if (checkpoint) {
            log_.info("Checkpoint loaded from " + checkpoint->path);
            if (!updates_trees()) first_round_ = checkpoint->completed_rounds;
            log_.info("Resuming from iteration " + std::to_string(first_round_));
        }
        return booster;
    }

    Result<void> prepare_labels() {
        const bool classification =
            std::any_of(settings_.custom_metrics.begin(), settings_.custom_metrics.end(), is_classification_metric);
        for (const Matrix& matrix : input_.watched) {
            labels_.push_back(TRY(matrix.labels()));
            double sums[2] = {0, static_cast<double>(labels_.back().size())};
            for (const float label : labels_.back()) sums[0] += label;
            TRY(cluster_.allreduce_sum(sums));
            label_means_.push_back(sums[1] > 0 ? sums[0] / sums[1] : 0);
        }
        if (classification && (settings_.objective.starts_with("reg:") || settings_.objective.starts_with("count:")) &&
            settings_.objective != "reg:logistic") {
            return invalid_input(
                "Classification metrics can't handle a mix of binary and continuous targets: the objective "
                "is " +
                settings_.objective);
        }
        return {};
    }

    Result<std::vector<Score>> scores(int round, Booster& booster) {
        const std::vector<Score> native = TRY(booster.evaluate(round, input_.watched, input_.watched_names));
        std::vector<Score> out;
        for (size_t i = 0; i < input_.watched.size(); ++i) {
            for (const Score& score : native) {
                if (score.data == input_.watched_names[i]) out.push_back(score);
            }
            TRY(add_custom_scores(i, booster, out));
        }
        return out;
    }

    Result<void> add_custom_scores(size_t watched, const Booster& booster, std::vector<Score>& out) {
        if (settings_.custom_metrics.empty()) return {};
        const size_t classes = settings_.num_class > 0 ? static_cast<size_t>(settings_.num_class) : 2;
        std::vector<double> confusion;
        std::vector<double> sums;
        for (const std::string& metric : settings_.custom_metrics) {
            double value = 0;
            if (is_classification_metric(metric)) {
                if (confusion.empty()) {
                    const Predictions margins = TRY(booster.predict(input_.watched[watched], PredictionKind::Margin));
                    confusion = TRY(
                        count_confusion(labels_[watched], classes_of_margins(margins.values, margins.width), classes));
                    TRY(cluster_.allreduce_sum(confusion));
                }
                value = TRY(classification_metric(metric, confusion, classes));
            } else {
                if (sums.empty()) {
                    const Predictions values = TRY(booster.predict(input_.watched[watched], PredictionKind::Value));
                    if (values.values.size() != labels_[watched].size()) {
                        return invalid_input("Metric '" + metric + "' needs one prediction per row; the objective " +
                                             settings_.objective + " gives several");
                    }
                    sums = sum_regression(labels_[watched], values.values, label_means_[watched]);
                    TRY(cluster_.allreduce_sum(sums));
                }
                value = regression_metric(metric, sums);
            }
            // The container passes these values on as text with six decimals.
            out.push_back({input_.watched_names[watched], metric, std::strtod(fixed(value, 6).c_str(), nullptr)});
        }
        return {};
    }

    Result<void> keep(int round, const Booster& booster) {
        if (!cluster_.is_leader() || (!checkpoints_ && !settings_.save_model_on_termination)) return {};
        if (checkpoints_) TRY(checkpoints_->write(round, TRY(booster.save(ModelForm::Binary))));
        if (settings_.save_model_on_termination)
            TRY(replace_model_file(input_.model_path, TRY(booster.save(model_form(settings_)))));
        return {};
    }

    const BoostingInput& input_;
    const Settings& settings_;
    const Cluster& cluster_;
    JobLog& log_;
    EarlyStopping stopping_;
    int first_round_ = 0;
    std::optional<CheckpointWriter> checkpoints_;
    std::vector<std::vector<float>> labels_;
    std::vector<double> label_means_;
};

}  // namespace

Result<BoostingOutcome> boost(const BoostingInput& input, const Settings& settings, const Cluster& cluster,
                              JobLog& log) {
    return Boosting(input, settings, cluster, log).run();
}

std::string evaluation_line(int round, const std::vector<Score>& scores) {
    std::string line = "[" + std::to_string(round) + "]";
    for (const Score& score : scores) line += "#011" + score.data + "-" + score.metric + ":" + fixed(score.value, 5);
    return line;
}

ModelForm model_form(const Settings& settings) {
    return settings.version >= Version{2, 1, 0} ? ModelForm::Ubj : ModelForm::Binary;
}

}  // namespace millwright::algorithms::xgboost
