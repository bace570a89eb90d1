#include "simulation/engine.h"

#include "base/time.h"

namespace millwright::simulation {

Engine::Engine(const EngineSettings& settings, Launchers& launchers, Random& random, Dice& dice)
    : launchers_(launchers) {
    using namespace resources;
    const auto& clock = system_clock();  // virtual by now
    database_ = with_fault(settings.fault, dice,
                           must(metadata_store::Database::open(settings.root + "/db"), "opening the database"));
    objects_ = must(object_store::ObjectStore::open(settings.root + "/objects", *database_, clock, random),
                    "opening the objects");
    identity_ = must(Identity::open(settings.root, *database_, clock, random, {}), "opening the identities");
    logs_ = must(Logs::open(settings.root + "/logs", *database_, clock, random), "opening the logs");
    metrics_ = must(Metrics::open(*database_, clock), "opening the metrics");
    tags_ = must(Tags::open(*database_), "opening the tags");
    executor_ = with_fault(settings.fault, dice, launchers.attach());
    supervisor_ = with_fault(
        settings.fault, dice,
        jobs::Supervisor::start(
            {.machine = {.cpus = 4, .memory_bytes = uint64_t{16} << 30}, .workers = 2, .provisioners = 2}, *executor_));
    if (settings.environments)
        environments_ = std::make_unique<SimulatedEnvironments>(*Scheduler::current(), *settings.environments);
    TrainingJobSettings job_settings;
    job_settings.runner_program = "/bin/millwright-runner";
    job_settings.python_folder = settings.root;
    job_settings.folder = settings.root + "/jobs";
    job_settings.algorithms_program = "/bin/millwright-algorithms";
    job_settings.forward_to = "127.0.0.1:9770";
    job_settings.quotas = settings.quotas;
    job_settings.host_metrics_interval = std::chrono::milliseconds(60'000);
    job_settings.spot.mean_between_interruptions = settings.mean_between_interruptions;
    job_settings.keep_failed = 2;
    jobs_ = must(TrainingJobs::open(job_settings, {*database_, *objects_, *executor_, *supervisor_, *identity_, *logs_,
                                                   *metrics_, *tags_, clock, random, environments_.get()}),
                 "opening the training jobs");
}

Engine::~Engine() {
    jobs_->release_waiting();
    supervisor_->shut_down();
    // The order of the server's end: the executor first, so that its reports end.
    launchers_.end_executor();
    static_cast<void>(executor_.release());
    jobs_.reset();
    supervisor_.reset();
    tags_.reset();
    metrics_.reset();
    logs_.reset();
    identity_.reset();
    objects_.reset();
    database_.reset();
}

}  // namespace millwright::simulation
