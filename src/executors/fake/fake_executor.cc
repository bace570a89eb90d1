#include "executors/fake/fake_executor.h"

namespace millwright::executors {

Result<void> FakeExecutor::start(const RunSpec& spec, RunListener& listener) {
    MutexLock lock(mutex_);
    if (next_error_) {
        auto error = std::move(*next_error_);
        next_error_.reset();
        return error;
    }
    const auto known = runs_.find(spec.id);
    CHECK(spec.on_spare == (known != runs_.end() && known->second.spare));
    runs_[spec.id] = {.spec = spec, .listener = &listener, .started = std::nullopt, .outcome = std::nullopt};
    starts_.push_back(spec);
    changed_.notify_all();
    return {};
}

Result<void> FakeExecutor::adopt(const std::string& id, const std::string&, RunListener& listener) {
    std::optional<RunOutcome> outcome;
    std::optional<Timestamp> started;
    {
        MutexLock lock(mutex_);
        const auto run = runs_.find(id);
        if (run == runs_.end()) {
            outcome = RunOutcome{};
            outcome->cause = RunOutcome::Cause::Lost;
            outcome->message = "the run left no record";
        } else {
            run->second.listener = &listener;
            started = run->second.started;
            outcome = run->second.outcome;
        }
    }
    if (started) listener.run_started(id, *started);
    if (outcome) listener.run_ended(id, *outcome);
    return {};
}

Result<void> FakeExecutor::request_stop(const std::string& id) {
    MutexLock lock(mutex_);
    stops_.push_back(id);
    changed_.notify_all();
    return {};
}

Result<void> FakeExecutor::start_spare(const RunSpec& spec, RunListener& listener) {
    MutexLock lock(mutex_);
    CHECK(runs_.find(spec.id) == runs_.end());
    auto& run = runs_[spec.id];
    run.spec = spec;
    run.listener = &listener;
    run.spare = true;
    spares_.push_back(spec);
    changed_.notify_all();
    return {};
}

Result<void> FakeExecutor::kill(const std::string& id) {
    if (!is_spare(id)) return request_stop(id);
    RunListener* listener = nullptr;
    {
        MutexLock lock(mutex_);
        auto& run = runs_.at(id);
        run.spare = false;
        listener = run.listener;
    }
    RunOutcome unused;
    unused.cause = RunOutcome::Cause::Lost;
    if (listener) listener->run_ended(id, unused);
    return {};
}

std::vector<RunSpec> FakeExecutor::spares() const {
    MutexLock lock(mutex_);
    return spares_;
}

bool FakeExecutor::is_spare(const std::string& id) const {
    MutexLock lock(mutex_);
    const auto run = runs_.find(id);
    return run != runs_.end() && run->second.spare;
}

void FakeExecutor::clean_up(const std::string& id, const std::string&) {
    MutexLock lock(mutex_);
    cleaned_up_.insert(id);
    changed_.notify_all();
}

Result<std::vector<HostUsage>> FakeExecutor::usage(const std::string& id) {
    MutexLock lock(mutex_);
    const auto run = runs_.find(id);
    if (run == runs_.end() || run->second.outcome) return not_found("no such run: " + id);
    return run->second.usage;
}

void FakeExecutor::set_usage(const std::string& id, std::vector<HostUsage> usage) {
    MutexLock lock(mutex_);
    runs_.at(id).usage = std::move(usage);
}

RunSpec FakeExecutor::wait_for_start(size_t nth) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    MutexLock lock(mutex_);
    while (starts_.size() <= nth) CHECK(changed_.wait_until(mutex_, deadline));
    return starts_[nth];
}

void FakeExecutor::report_started(const std::string& id, Timestamp when) {
    RunListener* listener = nullptr;
    {
        MutexLock lock(mutex_);
        auto& run = runs_.at(id);
        run.started = when;
        listener = run.listener;
    }
    if (listener) listener->run_started(id, when);
}

void FakeExecutor::end(const std::string& id, const RunOutcome& outcome) {
    RunListener* listener = nullptr;
    {
        MutexLock lock(mutex_);
        auto& run = runs_.at(id);
        run.outcome = outcome;
        listener = run.listener;
    }
    if (listener) listener->run_ended(id, outcome);
}

void FakeExecutor::fail_next_start(Error error) {
    MutexLock lock(mutex_);
    next_error_ = std::move(error);
}

void FakeExecutor::forget_listeners() {
    MutexLock lock(mutex_);
    for (auto& [id, run] : runs_) run.listener = nullptr;
}

size_t FakeExecutor::starts() const {
    MutexLock lock(mutex_);
    return starts_.size();
}

std::vector<std::string> FakeExecutor::stop_requests() const {
    MutexLock lock(mutex_);
    return stops_;
}

std::set<std::string> FakeExecutor::cleaned_up() const {
    MutexLock lock(mutex_);
    return cleaned_up_;
}

RunOutcome exited(int hosts, int exit_code, std::chrono::milliseconds ran) {
    RunOutcome outcome;
    HostOutcome host;
    host.exit_code = exit_code;
    outcome.hosts.assign(static_cast<size_t>(hosts), host);
    outcome.started = Timestamp(std::chrono::milliseconds(1'000'000));
    outcome.ended = outcome.started + ran;
    outcome.ran = ran;
    return outcome;
}

}  // namespace millwright::executors
