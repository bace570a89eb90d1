#include "simulation/launchers.h"

#include <fcntl.h>

#include <algorithm>

#include "base/event_file.h"
#include "base/files.h"

namespace millwright::simulation {

using executors::RunListener;
using executors::RunOutcome;
using executors::RunSpec;
using std::chrono::milliseconds;

struct Run {
    enum class State { Spare, Starting, Running, Ended };
    RunSpec spec;
    std::string job;
    State state = State::Starting;
    bool stop = false, kill = false;
    Timestamp started{};
    int64_t started_ns = 0;
    bool recorded = false;  // Ended: left an exit record
    RunOutcome outcome;
    // Who is told, and how far.
    RunListener* listener = nullptr;
    uint64_t server = 0;
    bool told_start = false, told_end = false;
    bool is_live() const { return state != State::Ended; }
};

namespace {

Timestamp wall(const Scheduler& scheduler) { return from_epoch_milliseconds(scheduler.wall_ns() / kMillisecond); }

RunOutcome lost(const std::string& why) {
    RunOutcome outcome;
    outcome.cause = RunOutcome::Cause::Lost;
    outcome.message = why;
    return outcome;
}

// The name of the job, and which of those that had this name one after another.
std::string job_of(const RunSpec& spec) {
    const auto path = spec.folder + "/algo-1/ml/input/config/hyperparameters.json";
    const auto text = read_file(path);
    if (!text) fail("a run is started without its configuration: " + path);
    const auto parameters = Json::parse(*text);
    if (!parameters) fail("a run is started with half of its configuration: " + path);
    return spec.environment.at("TRAINING_JOB_NAME") + "#" + (*parameters)["seed"].string_or("?");
}

std::string name_of(const std::string& job) { return job.substr(0, job.find('#')); }

void write_log(const RunSpec& spec, int64_t time_ms, const std::string& line) {
    std::string text;
    append_event(text, time_ms, line);
    for (const auto& path : spec.log_files) {
        const auto file = open_file(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
        if (!file || !write_all(file->get(), text)) fail("a launcher cannot write " + path);
    }
}

}  // namespace

// One server's view; its notifications come from a thread of that server.
class SimulatedExecutor : public executors::Executor {
  public:
    explicit SimulatedExecutor(Launchers& world) : world_(world), server_(world.server_) {
        reporter_ = world_.scheduler_.spawn("executor", [this] { tell(); });
    }
    void end() {
        ended_ = true;
        world_.scheduler_.wake_all(&queue_);
        world_.scheduler_.join(reporter_);
        world_.detach();
    }

    Result<void> start(const RunSpec& spec, RunListener& listener) override;
    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override;
    Result<void> request_stop(const std::string& id) override { return ask(id, false); }
    Result<void> kill(const std::string& id) override { return ask(id, true); }
    void clean_up(const std::string& id, const std::string& folder) override;
    Result<std::vector<executors::HostUsage>> usage(const std::string& id) override;
    Result<void> start_spare(const RunSpec& spec, RunListener& listener) override;
    Result<void> adopt_spare(const std::string& id, const std::string& folder, RunListener& listener) override {
        return adopt(id, folder, listener);
    }
    Result<void> end_leftover(const std::string& folder) override;
    Json describe() const override { return Json::object({{"tier", "simulated"}}); }

    void enqueue(const std::shared_ptr<Run>& run) {
        queue_.push_back(run);
        world_.scheduler_.wake_all(&queue_);
    }

  private:
    Result<void> ask(const std::string& id, bool kill);
    void listen(Run& run, RunListener& listener) {
        run.listener = &listener;
        run.server = server_;
        run.told_start = run.told_end = false;
    }
    // Takes its time, as the real one.
    void pause() {
        check_in_use();
        world_.scheduler_.sleep(world_.scheduler_.dice().spread(10 * kMicrosecond, 50 * kMillisecond));
    }
    void check_in_use() const {
        if (ended_) fail("the executor is used after its end");
    }
    void tell();

    Launchers& world_;
    const uint64_t server_;
    std::deque<std::shared_ptr<Run>> queue_;
    bool ended_ = false;
    int reporter_ = 0;
};

namespace {
SimulatedExecutor* attached = nullptr;  // of the living server
}

// Reports of one run come in order, each once per watch; some of them late.
void SimulatedExecutor::tell() {
    auto& scheduler = world_.scheduler_;
    for (;;) {
        while (queue_.empty() && !ended_) scheduler.block(&queue_);
        if (ended_) return;
        const auto run = queue_.front();
        queue_.pop_front();
        if (scheduler.dice().chance(world_.chances_.late_report))
            scheduler.sleep(scheduler.dice().spread(kMillisecond, 5 * kSecond));
        if (run->server != server_ || !run->listener) continue;
        if (!run->told_start && run->started != Timestamp{}) {
            run->told_start = true;
            run->listener->run_started(run->spec.id, run->started);
        }
        if (run->told_end || run->is_live()) continue;
        run->told_end = true;
        run->listener->run_ended(run->spec.id, run->outcome);
    }
}

Result<void> SimulatedExecutor::start(const RunSpec& spec, RunListener& listener) {
    pause();
    const auto known = world_.runs_.find(spec.id);
    if (spec.on_spare) {
        if (known == world_.runs_.end() || known->second->state != Run::State::Spare) {
            // The spare has ended meanwhile: lost without having started.
            auto gone = std::make_shared<Run>();
            gone->spec = spec;
            gone->state = Run::State::Ended;
            gone->outcome = lost("the spare is gone");
            listen(*gone, listener);
            world_.runs_[spec.id] = gone;
            enqueue(gone);
            return {};
        }
        world_.check_alone(spec);
        auto& run = *known->second;
        run.spec = spec;
        run.job = job_of(spec);
        run.state = Run::State::Starting;
        listen(run, listener);
        world_.scheduler_.wake_all(&run);
        pause();
        return {};
    }
    if (known != world_.runs_.end()) fail("the id of a run is used twice: " + spec.id);
    if (!file_exists(spec.folder)) fail("a run is started without its folder: " + spec.id);
    if (world_.scheduler_.dice().chance(world_.chances_.start_fails))
        return internal_error("the launcher cannot be started");
    world_.check_alone(spec);
    auto run = std::make_shared<Run>();
    run->spec = spec;
    run->job = job_of(spec);
    listen(*run, listener);
    world_.launch(run);
    pause();
    return {};
}

Result<void> SimulatedExecutor::start_spare(const RunSpec& spec, RunListener& listener) {
    pause();
    if (world_.runs_.contains(spec.id)) fail("the id of a spare is used twice: " + spec.id);
    if (world_.scheduler_.dice().chance(world_.chances_.start_fails))
        return internal_error("the spare cannot be started");
    auto run = std::make_shared<Run>();
    run->spec = spec;
    run->state = Run::State::Spare;
    listen(*run, listener);
    world_.launch(run);
    pause();
    return {};
}

Result<void> SimulatedExecutor::adopt(const std::string& id, const std::string& folder, RunListener& listener) {
    pause();
    if (world_.scheduler_.dice().chance(world_.chances_.adopt_fails))
        return Error{ErrorKind::Unavailable, "not now", ""};
    auto& entry = world_.runs_[id];
    if (!entry) {
        entry = std::make_shared<Run>();
        entry->spec.id = id;
        entry->spec.folder = folder;
        entry->state = Run::State::Ended;
        entry->outcome = lost("the run left no record");
    } else if (entry->state == Run::State::Ended && !entry->recorded) {
        entry->outcome = lost("the run left no record");
    }
    listen(*entry, listener);
    enqueue(entry);
    pause();
    return {};
}

Result<void> SimulatedExecutor::ask(const std::string& id, bool kill) {
    pause();
    const auto run = world_.runs_.find(id);
    if (run == world_.runs_.end() || !run->second->is_live()) return {};
    (kill ? run->second->kill : run->second->stop) = true;
    world_.scheduler_.wake_all(run->second.get());
    return {};
}

void SimulatedExecutor::clean_up(const std::string& id, const std::string&) {
    check_in_use();
    const auto run = world_.runs_.find(id);
    if (run != world_.runs_.end() && run->second->is_live())
        fail("a living run is cleaned up: " + id + " of " + run->second->job);
}

Result<std::vector<executors::HostUsage>> SimulatedExecutor::usage(const std::string& id) {
    check_in_use();
    const auto run = world_.runs_.find(id);
    if (run == world_.runs_.end() || !run->second->is_live()) return not_found("no such run");
    return std::vector<executors::HostUsage>(static_cast<size_t>(run->second->spec.hosts));
}

Result<void> SimulatedExecutor::end_leftover(const std::string& folder) {
    for (const auto& [id, run] : world_.runs_) {
        if (run->spec.folder != folder || !run->is_live()) continue;
        if (run->state != Run::State::Spare) fail("a living run is taken for a leftover: " + id + " of " + run->job);
        run->kill = true;
        world_.scheduler_.wake_all(run.get());
        while (run->is_live()) pause();
    }
    return {};
}

Launchers::~Launchers() = default;

std::unique_ptr<executors::Executor> Launchers::attach() {
    auto executor = std::make_unique<SimulatedExecutor>(*this);
    attached = executor.get();
    return executor;
}

void Launchers::end_executor() {
    attached->end();
    attached = nullptr;
}

void Launchers::launch(const std::shared_ptr<Run>& run) {
    runs_[run->spec.id] = run;
    scheduler_.spawn("launcher", kLauncherGroup, [this, run] { live(*run); });
}

// True when it was asked to stop or killed, false at the deadline.
bool Launchers::wait_until(Run& run, int64_t deadline) {
    while (!run.stop && !run.kill && scheduler_.steady_ns() < deadline) scheduler_.block(&run, deadline);
    return run.stop || run.kill;
}

void Launchers::live(Run& run) {
    auto& dice = scheduler_.dice();
    while (run.state == Run::State::Spare && !run.kill) scheduler_.block(&run);
    if (run.state == Run::State::Spare) return end(run, lost("unused"), false);
    ++starts_;
    ++records_[run.job].starts;
    if (wait_until(run, scheduler_.steady_ns() + dice.spread(kMillisecond, kSecond)) ||
        dice.chance(chances_.vanishes)) {
        const bool asked = run.stop && !run.kill;
        RunOutcome outcome = lost("killed");
        if (asked) outcome.cause = RunOutcome::Cause::StopRequested;
        return end(run, outcome, asked);
    }
    if (dice.chance(chances_.vanishes)) {
        RunOutcome outcome;
        outcome.cause = RunOutcome::Cause::LaunchFailed;
        outcome.message = "a mount did not work";
        return end(run, outcome, true);
    }
    begin(run);
    const auto limit = run.spec.max_runtime ? run.started_ns + run.spec.max_runtime->count() * kSecond : kNever;
    const auto wanted = run.started_ns + duration(run.spec);
    const bool vanishes = dice.chance(chances_.vanishes);
    const bool asked = wait_until(run, std::min(limit, wanted));
    if (run.kill || (vanishes && !asked)) return end(run, lost("the launcher vanished"), false);
    RunOutcome outcome = executors::RunOutcome{};
    if (asked || limit < wanted) {
        scheduler_.sleep(dice.spread(kMillisecond, 10 * kSecond));  // within the grace
        outcome.cause = asked ? RunOutcome::Cause::StopRequested : RunOutcome::Cause::MaxRuntime;
        outcome.hosts.assign(static_cast<size_t>(run.spec.hosts), {.exit_code = 143, .signal = 15});
    } else {
        const int code = dice.chance(chances_.run_fails) ? 1 : 0;
        outcome.hosts.assign(static_cast<size_t>(run.spec.hosts), {.exit_code = code});
        if (code == 0) write_model(run);
    }
    end(run, outcome, true);
}

int64_t Launchers::duration(const RunSpec& spec) {
    auto& dice = scheduler_.dice();
    if (dice.chance(chances_.too_long) && spec.max_runtime) return 2 * spec.max_runtime->count() * kSecond;
    return dice.spread(kMillisecond, 30 * kSecond);
}

void Launchers::begin(Run& run) {
    if (!file_exists(run.spec.folder)) fail("the folder of a living run is gone: " + run.job);
    run.state = Run::State::Running;
    run.started = wall(scheduler_);
    run.started_ns = scheduler_.steady_ns();
    write_log(run.spec, to_epoch_milliseconds(run.started), "begins");
    report(run);
}

void Launchers::write_model(Run& run) {
    if (!file_exists(run.spec.folder)) fail("the folder of a living run is gone: " + run.job);
    for (int host = 0; host < run.spec.hosts; ++host) {
        const auto folder = run.spec.folder + "/algo-" + std::to_string(host + 1) + "/ml/model";
        if (!write_file(folder + "/model", "the model of " + run.spec.id))
            fail("a run cannot write its model: " + folder);
    }
    records_[run.job].model = "the model of " + run.spec.id;
}

void Launchers::end(Run& run, RunOutcome outcome, bool recorded) {
    if (run.started != Timestamp{}) {
        outcome.started = run.started;
        outcome.ended = wall(scheduler_);
        outcome.ran = milliseconds((scheduler_.steady_ns() - run.started_ns) / kMillisecond);
        if (!recorded)
            outcome.ran = {}, outcome.started = {};
        else
            records_[run.job].ran += outcome.ran;
    }
    run.state = Run::State::Ended;
    run.recorded = recorded;
    run.outcome = std::move(outcome);
    ++ends_;
    report(run);
}

void Launchers::report(Run& run) {
    if (run.listener && run.server == server_ && attached) attached->enqueue(runs_.at(run.spec.id));
}

void Launchers::check_alone(const RunSpec& spec) const {
    const auto& job = spec.environment.at("TRAINING_JOB_NAME");
    for (const auto& [id, run] : runs_)
        if (run->is_live() && run->state != Run::State::Spare && name_of(run->job) == job && id != spec.id)
            fail("two runs of " + job + " live at once: " + id + " and " + spec.id);
}

void Launchers::power_cut() {
    scheduler_.end_group(kLauncherGroup);
    for (auto& [id, run] : runs_) {
        if (!run->is_live()) continue;
        run->state = Run::State::Ended;
        run->recorded = false;
        run->outcome = lost("the machine restarted");
    }
}

std::vector<std::string> Launchers::alive() const {
    std::vector<std::string> ids;
    for (const auto& [id, run] : runs_)
        if (run->is_live()) ids.push_back(id);
    return ids;
}

std::vector<std::string> Launchers::alive_spares() const {
    std::vector<std::string> ids;
    for (const auto& [id, run] : runs_)
        if (run->state == Run::State::Spare) ids.push_back(id);
    return ids;
}

}  // namespace millwright::simulation
