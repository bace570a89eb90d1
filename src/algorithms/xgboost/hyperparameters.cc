#include "algorithms/xgboost/hyperparameters.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "algorithms/xgboost/custom_metrics.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

using Type = HyperparameterType;

constexpr std::array<std::string_view, 16> kMaximized = {"accuracy",
                                                         "auc",
                                                         "aucpr",
                                                         "balanced_accuracy",
                                                         "f1",
                                                         "f1_binary",
                                                         "f1_macro",
                                                         "map",
                                                         "ndcg",
                                                         "precision",
                                                         "r2",
                                                         "recall",
                                                         "precision_macro",
                                                         "precision_micro",
                                                         "recall_macro",
                                                         "recall_micro"};
constexpr std::array<std::string_view, 17> kMinimized = {"aft-nloglik",
                                                         "cox-nloglik",
                                                         "error",
                                                         "gamma-deviance",
                                                         "gamma-nloglik",
                                                         "interval-regression-accuracy",
                                                         "logloss",
                                                         "mae",
                                                         "mape",
                                                         "merror",
                                                         "mlogloss",
                                                         "mphe",
                                                         "mse",
                                                         "poisson-nloglik",
                                                         "rmse",
                                                         "rmsle",
                                                         "tweedie-nloglik"};

constexpr Version kFirstParty{0, 72, 1};

std::function<bool(std::string_view)> from(Version first) {
    return [first](std::string_view tag) { return parse_version(tag) >= first; };
}
std::function<bool(std::string_view)> before(Version last) {
    return [last](std::string_view tag) { return parse_version(tag) < last; };
}

// Python's list of strings for error texts.
std::string quoted_list(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "'" : ", '") + word + "'";
    return out;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

const std::vector<std::string> kTreeUpdaters = {
    "grow_colmaker", "distcol", "grow_histmaker", "grow_local_histmaker", "grow_skmaker", "grow_quantile_histmaker",
    "sync",          "refresh", "prune"};
const std::vector<std::string> kTreeGrowers = {"grow_colmaker", "distcol", "grow_histmaker", "grow_local_histmaker",
                                               "grow_quantile_histmaker"};
const std::vector<std::string> kLinearUpdaters = {"shotgun", "coord_descent"};

std::vector<Hyperparameter> core_hyperparameters() {
    return {
        {.name = "num_round",
         .type = Type::Integer,
         .required = true,
         .range = at_least(1),
         .description = "Boosting rounds.",
         .tunable = true},
        {.name = "booster",
         .type = Type::Enum,
         .documented_default = "gbtree",
         .values = {"gbtree", "gblinear", "dart"},
         .description = "Trees, a linear model, or trees with dropout."},
        {.name = "objective",
         .type = Type::Enum,
         .documented_default = "reg:squarederror",
         .values = {"aft_loss_distribution",
                    "binary:logistic",
                    "binary:logitraw",
                    "binary:hinge",
                    "count:poisson",
                    "multi:softmax",
                    "multi:softprob",
                    "rank:pairwise",
                    "rank:ndcg",
                    "rank:map",
                    "reg:linear",
                    "reg:squarederror",
                    "reg:logistic",
                    "reg:gamma",
                    "reg:pseudohubererror",
                    "reg:squaredlogerror",
                    "reg:absoluteerror",
                    "reg:tweedie",
                    "survival:aft",
                    "survival:cox"},
         .description = "Learning task. `reg:linear` is the old name of `reg:squarederror`."},
        {.name = "num_class",
         .type = Type::Integer,
         .range = at_least(2),
         .description = "Number of classes; required by `multi:softmax` and `multi:softprob`."},
        {.name = "eval_metric",
         .type = Type::CommaList,
         .documented_default = "by objective",
         .description = "Metrics to print after each round, from the lists below; `error@t`, `map@t` and "
                        "`ndcg@t` take a number."},
        {.name = "early_stopping_rounds",
         .type = Type::Integer,
         .range = at_least(1),
         .description = "Stop when the last metric of the validation channel has not improved for this many "
                        "rounds; the best model is kept."},
        {.name = "seed",
         .type = Type::Integer,
         .documented_default = "0",
         .range = strictly_between(-2147483648.0, 2147483647.0),
         .description = "Seed of all random choices."},
        {.name = "nthread",
         .type = Type::Integer,
         .documented_default = "all processors",
         .range = at_least(1),
         .description = "Threads."},
        {.name = "verbosity",
         .type = Type::Integer,
         .documented_default = "1",
         .range = between(0, 3),
         .description = "Library messages: 0 none to 3 debug.",
         .available_in = "1.0-1 and later",
         .available = from({0, 90, 2})},
        {.name = "silent",
         .type = Type::Integer,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "1: no library messages.",
         .available_in = "up to 1.0-1",
         .available = before({1, 2, 1})},
        {.name = "base_score",
         .type = Type::Float,
         .documented_default = "0.5",
         .range = at_least(0),
         .description = "Prediction of all rows before the first round."},
        {.name = "csv_weights",
         .type = Type::Integer,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "1: the second column of CSV input is the weight of the row."},
        {.name = "save_model_on_termination",
         .type = Type::Boolean,
         .documented_default = "false",
         .description = "Keep the model written after each round when the job is stopped.",
         .available_in = "1.0-1 and later",
         .available = from({1, 0, 1})},
        {.name = "_kfold",
         .type = Type::Integer,
         .range = at_least(2),
         .description = "Cross validation with this many folds.",
         .available_in = "1.2-2 and later",
         .available = from({1, 2, 2})},
        {.name = "_num_cv_round",
         .type = Type::Integer,
         .documented_default = "1",
         .range = at_least(1),
         .description = "How often the cross validation is repeated.",
         .available_in = "1.2-2 and later",
         .available = from({1, 2, 2})},
        {.name = "_tuning_objective_metric",
         .type = Type::String,
         .description = "Set by tuning jobs; `validation:rmse` adds rmse to eval_metric."},
    };
}

std::vector<Hyperparameter> tree_hyperparameters() {
    return {
        {.name = "eta",
         .type = Type::Float,
         .documented_default = "0.3",
         .range = between(0, 1),
         .aliases = {"learning_rate"},
         .description = "Shrinkage of each step.",
         .tunable = true},
        {.name = "gamma",
         .type = Type::Float,
         .documented_default = "0",
         .range = at_least(0),
         .aliases = {"min_split_loss"},
         .description = "Smallest loss reduction for a split.",
         .tunable = true},
        {.name = "max_depth",
         .type = Type::Integer,
         .documented_default = "6",
         .range = at_least(0),
         .description = "Depth limit; 0: none (with lossguide or hist).",
         .tunable = true},
        {.name = "min_child_weight",
         .type = Type::Float,
         .documented_default = "1",
         .range = at_least(0),
         .description = "Smallest sum of instance weights in a child.",
         .tunable = true},
        {.name = "max_delta_step",
         .type = Type::Float,
         .documented_default = "0",
         .range = at_least(0),
         .description = "Limit of a leaf's output; 0: none.",
         .tunable = true},
        {.name = "subsample",
         .type = Type::Float,
         .documented_default = "1",
         .range = above_up_to(0, 1),
         .description = "Share of rows for each tree.",
         .tunable = true},
        {.name = "colsample_bytree",
         .type = Type::Float,
         .documented_default = "1",
         .range = above_up_to(0, 1),
         .description = "Share of columns for each tree.",
         .tunable = true},
        {.name = "colsample_bylevel",
         .type = Type::Float,
         .documented_default = "1",
         .range = above_up_to(0, 1),
         .description = "Share of columns for each level.",
         .tunable = true},
        {.name = "colsample_bynode",
         .type = Type::Float,
         .documented_default = "1",
         .range = above_up_to(0, 1),
         .description = "Share of columns for each split.",
         .tunable = true,
         .available_in = "0.90-1 and later",
         .available = from({0, 90, 1})},
        {.name = "lambda",
         .type = Type::Float,
         .documented_default = "1",
         .range = at_least(0),
         .aliases = {"reg_lambda"},
         .description = "L2 regularisation.",
         .tunable = true},
        {.name = "alpha",
         .type = Type::Float,
         .documented_default = "0",
         .range = at_least(0),
         .aliases = {"reg_alpha"},
         .description = "L1 regularisation.",
         .tunable = true},
        {.name = "tree_method",
         .type = Type::Enum,
         .documented_default = "auto",
         .values = {"auto", "exact", "approx", "hist", "gpu_hist"},
         .description = "How splits are found."},
        {.name = "sketch_eps",
         .type = Type::Float,
         .documented_default = "0.03",
         .range = strictly_between(0, 1),
         .description = "Accuracy of the sketch of approx."},
        {.name = "scale_pos_weight",
         .type = Type::Float,
         .documented_default = "1",
         .range = above(0),
         .description = "Weight of positive rows."},
        {.name = "updater",
         .type = Type::CommaList,
         .values = {"grow_colmaker", "distcol", "grow_histmaker", "grow_local_histmaker", "grow_skmaker",
                    "grow_quantile_histmaker", "sync", "refresh", "prune", "shotgun", "coord_descent"},
         .description = "Steps that build or change trees (or, for gblinear, the solver)."},
        {.name = "dsplit",
         .type = Type::Enum,
         .values = {"row", "col"},
         .description = "How data is split over hosts; only `row` works."},
        {.name = "refresh_leaf",
         .type = Type::Integer,
         .documented_default = "1",
         .range = between(0, 1),
         .description = "1: the refresh updater renews leaves too."},
        {.name = "process_type",
         .type = Type::Enum,
         .documented_default = "default",
         .values = {"default", "update"},
         .description = "update: change the trees of the checkpoint instead of adding new ones."},
        {.name = "grow_policy",
         .type = Type::Enum,
         .documented_default = "depthwise",
         .values = {"depthwise", "lossguide"},
         .description = "Which node is split next."},
        {.name = "max_leaves",
         .type = Type::Integer,
         .documented_default = "0",
         .range = at_least(0),
         .description = "Leaf limit; 0: none."},
        {.name = "max_bin",
         .type = Type::Integer,
         .documented_default = "256",
         .range = at_least(0),
         .description = "Bins of hist."},
        {.name = "predictor",
         .type = Type::Enum,
         .documented_default = "auto",
         .values = {"auto", "cpu_predictor", "gpu_predictor"},
         .description = "Prediction algorithm."},
        {.name = "monotone_constraints",
         .type = Type::IntegerTuple,
         .range = between(-1, 1),
         .description = "Sign of each column's effect; needs tree_method exact or hist.",
         .available_in = "1.0-1 and later",
         .available = from({1, 0, 1})},
        {.name = "interaction_constraints",
         .type = Type::NestedList,
         .range = at_least(0),
         .description = "Groups of columns that may occur together; needs tree_method exact, hist or approx.",
         .available_in = "1.0-1 and later",
         .available = from({1, 0, 1})},
        {.name = "num_parallel_tree",
         .type = Type::Integer,
         .documented_default = "1",
         .range = at_least(1),
         .description = "Trees per round.",
         .available_in = "0.90-2 and later",
         .available = from({0, 90, 2})},
        {.name = "single_precision_histogram",
         .type = Type::Boolean,
         .documented_default = "false",
         .description = "Histograms of floats.",
         .available_in = "1.2-1 to 1.5-1",
         .available =
             [](std::string_view tag) {
                 return parse_version(tag) >= Version{1, 2, 1} && parse_version(tag) < Version{1, 7, 1};
             }},
        {.name = "deterministic_histogram",
         .type = Type::Boolean,
         .documented_default = "true",
         .description = "A GPU option; no effect on CPU.",
         .available_in = "1.2-1 and later",
         .available = from({1, 2, 1})},
        {.name = "sampling_method",
         .type = Type::Enum,
         .documented_default = "uniform",
         .values = {"uniform", "gradient_based"},
         .description = "How subsample draws rows; gradient_based needs a GPU.",
         .available_in = "1.3-1 and later",
         .available = from({1, 3, 1})},
        {.name = "prob_buffer_row",
         .type = Type::Integer,
         .range = above(1),
         .description = "An option of GPU sampling that no library of these tags reads.",
         .available_in = "1.3-1 and later",
         .available = from({1, 3, 1})},
    };
}

std::vector<Hyperparameter> other_hyperparameters() {
    return {
        {.name = "sample_type",
         .type = Type::Enum,
         .documented_default = "uniform",
         .values = {"uniform", "weighted"},
         .description = "dart: how trees to drop are drawn."},
        {.name = "normalize_type",
         .type = Type::Enum,
         .documented_default = "tree",
         .values = {"tree", "forest"},
         .description = "dart: weight of new trees."},
        {.name = "rate_drop",
         .type = Type::Float,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "dart: share of trees dropped."},
        {.name = "one_drop",
         .type = Type::Integer,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "dart: 1: drop at least one tree."},
        {.name = "skip_drop",
         .type = Type::Float,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "dart: chance to drop none in a round."},
        {.name = "lambda_bias",
         .type = Type::Float,
         .documented_default = "0",
         .range = between(0, 1),
         .description = "gblinear: L2 regularisation of the bias; the libraries since 1.0 have none."},
        {.name = "tweedie_variance_power",
         .type = Type::Float,
         .documented_default = "1.5",
         .range = strictly_between(1, 2),
         .description = "reg:tweedie: power of the variance."},
        {.name = "aft_loss_distribution",
         .type = Type::Enum,
         .documented_default = "normal",
         .values = {"normal", "logistic", "extreme"},
         .description = "survival:aft: distribution of the noise.",
         .available_in = "1.2-1 and later",
         .available = from({1, 2, 1})},
        {.name = "aft_loss_distribution_scale",
         .type = Type::Float,
         .documented_default = "1",
         .range = at_least(0),
         .description = "survival:aft: scale of the noise.",
         .available_in = "1.2-1 and later",
         .available = from({1, 2, 1})},
        {.name = "use_dask_gpu_training",
         .type = Type::Boolean,
         .documented_default = "false",
         .description = "Training over several GPUs with Dask; refused here.",
         .available_in = "1.7-1 and later",
         .available = from({1, 7, 1})},
    };
}

std::string base_name(std::string_view metric) { return std::string(trim(metric.substr(0, metric.find('@')))); }

Result<void> check_metric(const std::string& metric) {
    const size_t at = metric.find('@');
    if (metric.find("<function") != std::string::npos) {
        return invalid_input("User defined evaluation metric " + metric + " is not supported yet.");
    }
    const std::string name = base_name(metric);
    if (at == std::string::npos) {
        const bool known = std::find(kMaximized.begin(), kMaximized.end(), name) != kMaximized.end() ||
                           std::find(kMinimized.begin(), kMinimized.end(), name) != kMinimized.end();
        if (known) return {};
        std::vector<std::string> all(kMaximized.begin(), kMaximized.end());
        all.insert(all.end(), kMinimized.begin(), kMinimized.end());
        return invalid_input("Hyperparameter eval_metric: value ['" + metric + "'] not in range [" + quoted_list(all) +
                             "]");
    }
    if (name != "error" && name != "ndcg" && name != "map") {
        return invalid_input("Metric '" + metric +
                             "' is not supported. Parameter 'eval_metric' with customized threshold should "
                             "be one of these options: 'error', 'ndcg', 'map'.");
    }
    std::string_view threshold = trim(std::string_view(metric).substr(at + 1));
    if (threshold.ends_with('-')) threshold.remove_suffix(1);  // ndcg@3-: 0 instead of 1 for groups without positives
    if (!parse_double(threshold)) return invalid_input("Threshold value 't' in '" + name + "@t' expects float input.");
    return {};
}

Result<void> check_updater(const HyperparameterValues& values) {
    if (!values.has("updater")) return {};
    const std::vector<std::string> updaters = values.list("updater");
    const auto all_in = [&](const std::vector<std::string>& allowed) {
        return std::all_of(updaters.begin(), updaters.end(),
                           [&](const std::string& one) { return contains(allowed, one); });
    };
    if (values.text_or("booster", "gbtree") == "gblinear") {
        if (updaters.size() == 1 && all_in(kLinearUpdaters)) return {};
        return invalid_input("Linear updater should be one of these options: " + quoted_list(kLinearUpdaters) + ".");
    }
    if (values.text_or("process_type", "default") == "update") {
        if (all_in({"refresh", "prune"})) return {};
        return invalid_input("process_type 'update' can only be used with updater 'refresh' and 'prune'");
    }
    if (!all_in(kTreeUpdaters)) {
        return invalid_input("Tree updater should be selected from these options: " + quoted_list(kTreeUpdaters) +
                             ", 'shotgun', 'coord_descent'.");
    }
    const auto growers = std::count_if(updaters.begin(), updaters.end(),
                                       [](const std::string& one) { return contains(kTreeGrowers, one); });
    if (growers > 1) {
        return invalid_input("Only one tree grow plugin can be selected. Choose one from the following: " +
                             quoted_list(kTreeGrowers));
    }
    for (const char* gone : {"distcol", "grow_local_histmaker", "grow_skmaker"}) {
        if (contains(updaters, gone)) {
            return invalid_input("Hyperparameter updater: '" + std::string(gone) +
                                 "' is not in the XGBoost 1.7 library that runs this job");
        }
    }
    return {};
}

Result<void> check_objective(const HyperparameterValues& values, const Version& version) {
    const std::string objective = values.text_or("objective", "reg:squarederror");
    const bool multi = objective.starts_with("multi:");
    if (multi && !values.has("num_class"))
        return invalid_input("Require input for parameter 'num_class' for multi-classification");
    if (!multi && values.has("num_class")) {
        return invalid_input(
            "Do not need to setup parameter 'num_class' for learning task other than multi-classification.");
    }
    if (objective == "aft_loss_distribution") {
        return invalid_input("Hyperparameter objective: aft_loss_distribution is not an objective; use survival:aft");
    }
    const std::vector<std::pair<std::string_view, Version>> since = {
        {"reg:squarederror", {0, 90, 1}},    {"binary:hinge", {0, 90, 1}}, {"reg:squaredlogerror", {1, 0, 1}},
        {"reg:pseudohubererror", {1, 2, 1}}, {"survival:aft", {1, 2, 1}},  {"reg:absoluteerror", {1, 7, 1}}};
    for (const auto& [name, first] : since) {
        const bool by_default = !values.has("objective");
        if (!by_default && objective == name && version < first) {
            return invalid_input("Hyperparameter objective: " + objective +
                                 " is not known to this image tag; it came with " + std::to_string(first.major) + "." +
                                 std::to_string(first.minor) + "-" + std::to_string(first.build));
        }
    }
    return {};
}

Result<void> check_constraints(const HyperparameterValues& values) {
    const std::string method = values.text_or("tree_method", "");
    if (values.has("monotone_constraints") && method != "exact" && method != "hist") {
        return invalid_input(
            "monotone_constraints can be used only when the tree_method parameter is set to either 'exact' "
            "or 'hist'.");
    }
    if (values.has("interaction_constraints") && method != "exact" && method != "hist" && method != "approx") {
        return invalid_input(
            "interaction_constraints can be used only when the tree_method parameter is set to either "
            "'exact', 'hist' or 'approx'.");
    }
    return {};
}

// What needs a GPU, another library or a version we do not have.
Result<void> check_supported(const HyperparameterValues& values) {
    const auto needs_gpu = [](std::string_view name, const std::string& value) {
        return invalid_input("Hyperparameter " + std::string(name) + ": " + value +
                             " needs a GPU build of XGBoost, which Millwright does not have");
    };
    if (values.text_or("tree_method", "") == "gpu_hist") return needs_gpu("tree_method", "gpu_hist");
    if (values.text_or("predictor", "") == "gpu_predictor") return needs_gpu("predictor", "gpu_predictor");
    if (values.text_or("sampling_method", "") == "gradient_based")
        return needs_gpu("sampling_method", "gradient_based");
    if (values.has("use_dask_gpu_training") && values.boolean("use_dask_gpu_training"))
        return needs_gpu("use_dask_gpu_training", "true");
    if (values.text_or("dsplit", "row") == "col") {
        return invalid_input(
            "Hyperparameter dsplit: col is not supported by the XGBoost 1.7 library that runs this job; rows "
            "are split over hosts");
    }
    return {};
}

struct Metrics {
    std::vector<std::string> native;
    std::vector<std::string> custom;
    std::string last;  // decides early stopping
};

Result<Metrics> choose_metrics(const HyperparameterValues& values) {
    std::vector<std::string> asked;
    if (values.has("eval_metric")) asked = values.list("eval_metric");
    for (const std::string& metric : asked) TRY(check_metric(metric));
    Metrics out;
    if (!asked.empty()) out.last = asked.back();
    if (values.has("_tuning_objective_metric")) {
        const std::string text = values.text("_tuning_objective_metric");
        for (const std::string_view part : split(std::string_view(text).substr(text.find(':') + 1), ',')) {
            const std::string metric(trim(part));
            TRY(check_metric(metric));
            if (!contains(asked, metric)) asked.push_back(metric);
            out.last = metric;
        }
    }
    const std::string objective = values.text_or("objective", "reg:squarederror");
    for (const std::string& metric : asked) {
        if (metric == "auc" && !objective.starts_with("binary:") && !objective.starts_with("rank:")) {
            return invalid_input("Metric 'auc' can only be applied for classification and ranking problems.");
        }
        if (metric == "aft-nloglik" && objective != "survival:aft") {
            return invalid_input("Metric 'aft-nloglik' can only be applied for 'survival:aft' objective.");
        }
        std::vector<std::string>& list = is_custom_metric(metric) ? out.custom : out.native;
        if (!contains(list, metric)) list.push_back(metric);
    }
    return out;
}

bool is_ours(std::string_view name) {
    constexpr std::array<std::string_view, 18> kOurs = {"num_round",
                                                        "csv_weights",
                                                        "early_stopping_rounds",
                                                        "save_model_on_termination",
                                                        "_kfold",
                                                        "_num_cv_round",
                                                        "_tuning_objective_metric",
                                                        "eval_metric",
                                                        "use_dask_gpu_training",
                                                        "dsplit",
                                                        "predictor",
                                                        "deterministic_histogram",
                                                        "sampling_method",
                                                        "prob_buffer_row",
                                                        "silent",
                                                        "lambda_bias",
                                                        "sketch_eps",
                                                        "single_precision_histogram"};
    return std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
}

// Lists in the one form that the library parses: a,b and (1,-1) and [[0,1],[2]].
std::string library_form(const std::string& name, const HyperparameterValues& values) {
    if (name == "updater") return join(values.list(name), ",");
    if (name != "monotone_constraints" && name != "interaction_constraints")
        return std::string(trim(values.text(name)));
    const bool nested = name == "interaction_constraints";
    std::string out;
    for (const auto& row : values.nested(name)) {
        std::vector<std::string> numbers;
        for (const int64_t number : row) numbers.push_back(std::to_string(number));
        if (!out.empty()) out += ",";
        out += (nested ? "[" : "(") + join(numbers, ",") + (nested ? "]" : ")");
    }
    return nested ? "[" + out + "]" : out;
}

void add_tag_defaults(const HyperparameterValues& values, Settings& settings) {
    const std::string method = values.text_or("tree_method", "auto");
    const bool trees = settings.booster != "gblinear" && !values.has("updater");
    if (settings.version >= Version{2, 0, 0} && method == "auto" && trees) {
        settings.library.emplace_back("tree_method", "hist");
        settings.notes.push_back("tree_method auto is hist, as in XGBoost 2.0 and later.");
    }
    if (settings.version.major != 1 || settings.version.minor != 7) {
        settings.notes.push_back("This image tag stands for XGBoost " + std::to_string(settings.version.major) + "." +
                                 std::to_string(settings.version.minor) +
                                 "; the job runs on XGBoost 1.7 with the defaults of the tag.");
    }
    if (values.has("sketch_eps") && method == "approx" && !values.has("max_bin")) {
        const int bins = std::max(2, static_cast<int>(std::lround(1 / values.number("sketch_eps"))));
        settings.library.emplace_back("max_bin", std::to_string(bins));
        settings.notes.push_back("sketch_eps became max_bin " + std::to_string(bins) +
                                 ", as the library has it since 1.6.");
    }
    for (const char* inert :
         {"lambda_bias", "deterministic_histogram", "prob_buffer_row", "single_precision_histogram"}) {
        if (values.given(inert))
            settings.notes.push_back("Hyperparameter " + std::string(inert) + " has no effect on the model.");
    }
}

}  // namespace

const HyperparameterTable& hyperparameter_table() {
    static const HyperparameterTable table(ErrorStyle::XGBoostContainer, [] {
        std::vector<Hyperparameter> all = core_hyperparameters();
        for (auto& group : {tree_hyperparameters(), other_hyperparameters()})
            all.insert(all.end(), group.begin(), group.end());
        return all;
    }());
    return table;
}

Version parse_version(std::string_view tag) {
    if (tag == "1" || tag == "latest") return kFirstParty;
    const size_t dash = tag.find('-');
    const std::string_view release = tag.substr(0, dash);
    const size_t dot = release.find('.');
    if (dot == std::string_view::npos) return {};
    const auto major = parse_int(release.substr(0, dot));
    const auto minor = parse_int(release.substr(dot + 1));
    if (!major || !minor) return {};
    int64_t build = 1;
    if (dash != std::string_view::npos) build = parse_int(split(tag.substr(dash + 1), '-').front()).value_or(1);
    return {static_cast<int>(*major), static_cast<int>(*minor), static_cast<int>(build)};
}

bool is_maximized(std::string_view metric) {
    return std::find(kMaximized.begin(), kMaximized.end(), base_name(metric)) != kMaximized.end();
}

Result<Settings> check_hyperparameters(const std::map<std::string, std::string>& given, std::string_view tag) {
    if (given.contains("sagemaker_program") || given.contains("sagemaker_submit_directory")) {
        return invalid_input(
            "An entry point script was given: script mode is not supported yet, only the built-in algorithm");
    }
    const HyperparameterValues values = TRY(hyperparameter_table().parse(given, tag));
    Settings out;
    out.version = parse_version(tag);
    TRY(check_objective(values, out.version));
    TRY(check_updater(values));
    TRY(check_constraints(values));
    TRY(check_supported(values));
    Metrics metrics = TRY(choose_metrics(values));

    out.num_round = static_cast<int>(values.integer("num_round"));
    out.objective = values.text_or("objective", "reg:squarederror");
    if (out.objective == "reg:linear") out.objective = "reg:squarederror";
    out.booster = values.text_or("booster", "gbtree");
    out.num_class = static_cast<int>(values.integer_or("num_class", 0));
    out.threads = static_cast<int>(values.integer_or("nthread", 0));
    out.num_parallel_tree = static_cast<int>(values.integer_or("num_parallel_tree", 1));
    out.csv_weights = values.integer_or("csv_weights", 0) == 1;
    out.early_stopping_rounds = static_cast<int>(values.integer_or("early_stopping_rounds", 0));
    out.early_stopping_metric = metrics.last;
    out.save_model_on_termination =
        values.has("save_model_on_termination") && values.boolean("save_model_on_termination");
    out.folds = static_cast<int>(values.integer_or("_kfold", 0));
    out.cross_validation_rounds = static_cast<int>(values.integer_or("_num_cv_round", 1));
    out.custom_metrics = metrics.custom;

    add_tag_defaults(values, out);
    for (const auto& entry : values.all()) {
        const std::string& name = entry.first;
        if (is_ours(name) || name == "objective") continue;
        const bool decided_by_tag =
            std::any_of(out.library.begin(), out.library.end(), [&](const auto& one) { return one.first == name; });
        if (decided_by_tag) continue;
        out.library.emplace_back(name, library_form(name, values));
    }
    if (values.integer_or("silent", 0) == 1) out.library.emplace_back("verbosity", "0");
    out.library.emplace_back("objective", out.objective);
    for (const std::string& metric : metrics.native) out.library.emplace_back("eval_metric", metric);
    return out;
}

}  // namespace millwright::algorithms::xgboost
