#include <thread>

#include "algorithms/xgboost/boosting.h"
#include "algorithms/xgboost/checkpoints.h"
#include "algorithms/xgboost/cluster.h"
#include "algorithms/xgboost/cross_validation.h"
#include "algorithms/xgboost/data.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/files.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr std::string_view kDivideData =
    " Please divide the data across instances properly. See "
    "https://docs.aws.amazon.com/sagemaker/latest/dg/"
    "xgboost.html#Instance-XGBoost-distributed-training-divide-data.";

// One host needs all its channels filled; of several, those with empty ones stay out.
Result<bool> has_all_data(const TrainingData& data, const TrainingEnvironment& environment, JobLog& log) {
    const bool alone = environment.hosts.size() == 1;
    if (!data.train) {
        if (alone) return invalid_input("No data in training channel path " + train_channel(environment)->path);
        log.warning("Host " + environment.current_host +
                    " does not have training data. It will not be used in distributed training." +
                    std::string(kDivideData));
        return false;
    }
    if (data.has_validation_channel && !data.validation) {
        if (alone)
            return invalid_input("No data in validation channel path " + environment.channel("validation")->path);
        log.warning("Host " + environment.current_host +
                    " does not have validation data. It will not be used in distributed training." +
                    std::string(kDivideData));
        return false;
    }
    return true;
}

Result<BoostingInput> make_input(const TrainingData& data, const Settings& settings,
                                 const TrainingEnvironment& environment) {
    Matrix train = TRY(Matrix::create(*data.train, settings.threads));
    BoostingInput input{.train = train,
                        .watched = {train},
                        .watched_names = {"train"},
                        .checkpoint_dir = environment.checkpoint_dir,
                        .model_path = environment.model_dir + "/xgboost-model"};
    if (data.validation) {
        input.watched.push_back(TRY(Matrix::create(*data.validation, settings.threads)));
        input.watched_names.emplace_back("validation");
    }
    return input;
}

Result<void> train_one_model(const BoostingInput& input, const Settings& settings,
                             const TrainingEnvironment& environment, Cluster& cluster, JobLog& log) {
    const BoostingOutcome outcome = TRY(boost(input, settings, cluster, log));
    if (outcome.terminated && !settings.save_model_on_termination) {
        return internal_error(
            "The job was stopped by SIGTERM before its last round; save_model_on_termination keeps the model "
            "next time");
    }
    if (outcome.terminated) log.info("Stopped by SIGTERM; the model of the last round is kept.");
    if (cluster.is_leader()) {
        TRY(make_directories(environment.model_dir));
        TRY(replace_model_file(input.model_path, TRY(outcome.booster.save(model_form(settings)))));
    }
    return cluster.leave();
}

Result<void> cross_validate_alone(TrainingData& data, const BoostingInput& input, const Settings& settings,
                                  const TrainingEnvironment& environment, const Cluster& cluster, JobLog& log) {
    Matrix all = input.train;
    if (data.validation) {
        Dataset both = *std::move(data.train);
        TRY(append(both, *std::move(data.validation)));
        all = TRY(Matrix::create(both, settings.threads));
    }
    TRY(make_directories(environment.model_dir));
    return cross_validate(all, input, settings, environment, cluster, log);
}

}  // namespace

Result<void> train(TrainingEnvironment& environment) {
    JobLog log("XGBoost", environment.current_host);
    redirect_library_messages();
    Settings settings = TRY(check_hyperparameters(environment.hyperparameters, environment.algorithm_version));
    TRY(check_channels(environment));
    if (settings.folds > 0 && environment.hosts.size() > 1) {
        return invalid_input("Cross validation (_kfold) runs on one instance; the job has " +
                             std::to_string(environment.hosts.size()));
    }
    for (const std::string& note : settings.notes) log.info(note);
    TrainingData data = TRY(read_channels(environment, settings, log));
    const bool ready = TRY(has_all_data(data, environment, log));
    log.info(environment.hosts.size() == 1
                 ? "Single node training."
                 : "Distributed node training with " + std::to_string(environment.hosts.size()) + " hosts.");
    Cluster cluster = TRY(Cluster::join(environment, ready));
    if (!cluster.takes_part()) return cluster.leave();

    const BoostingInput input = TRY(make_input(data, settings, environment));
    log.info("Train matrix has " + std::to_string(input.train.rows()) + " rows and " +
             std::to_string(input.train.columns()) + " columns");
    if (data.validation) log.info("Validation matrix has " + std::to_string(input.watched[1].rows()) + " rows");
    if (settings.folds > 0) return cross_validate_alone(data, input, settings, environment, cluster, log);
    data = {};  // the library has its own copy
    return train_one_model(input, settings, environment, cluster, log);
}

const Algorithm kXgboost{.name = "xgboost", .train = train, .load = load};

}  // namespace millwright::algorithms::xgboost
