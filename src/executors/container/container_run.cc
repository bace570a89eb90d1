#include "executors/container/container_run.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "base/encoding.h"
#include "base/fail_point.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "base/time.h"
#include "executors/container/companions.h"
#include "executors/container/host_watch.h"
#include "executors/container/run_network.h"

namespace millwright::executors {
namespace {

using Cause = RunOutcome::Cause;
using Phase = RunRecord::Phase;
using std::chrono::milliseconds;

constexpr milliseconds kFirstPause{50}, kLongestPause{1000};

int64_t now_ms() { return to_epoch_milliseconds(system_clock().now()); }

std::string host_name(int host) { return "algo-" + std::to_string(host + 1); }

std::string text_of(const Error& error) {
    return error.message + (error.detail.empty() ? "" : " (" + error.detail + ")");
}

Result<void> write_hosts_files(const RunRecord& record, const std::string& folder) {
    std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
    for (size_t i = 0; i < record.hosts.size(); ++i)
        text += record.hosts[i].gate.address + " " + host_name(static_cast<int>(i)) + "\n";
    for (size_t i = 0; i < record.hosts.size(); ++i)
        TRY(write_file(host_folder(folder, static_cast<int>(i)) + "/hosts", text));
    return {};
}

// Whether somebody else's files lie there, or ones that we cannot see.
bool has_foreign_files(const std::string& folder) {
    std::error_code failure;
    const auto foreign = [](const std::string& path) {
        struct stat status {};
        return lstat(path.c_str(), &status) != 0 || status.st_uid != geteuid() ||
               (S_ISDIR(status.st_mode) && (status.st_mode & 0700) != 0700);
    };
    if (foreign(folder)) return true;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failure))
        if (foreign(entry.path().string())) return true;
    return static_cast<bool>(failure);
}

void own_as_root(const std::string& folder) {
    std::error_code failure;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, failure)) {
        struct stat status {};
        if (lstat(entry.path().c_str(), &status) != 0 || status.st_uid == geteuid()) continue;
        static_cast<void>(lchown(entry.path().c_str(), geteuid(), getegid()) == 0);
    }
}

// What a container writes belongs to whoever runs the server.
Result<void> own_files(const RunParts& parts, const EngineTraits& traits, const std::vector<std::string>& folders) {
    std::vector<std::string> there;
    for (const auto& folder : folders)
        if (file_exists(folder)) there.push_back(folder);
    if (geteuid() == 0 && !traits.own_users) {
        for (const auto& folder : there) own_as_root(folder);
        return {};
    }
    if (std::none_of(there.begin(), there.end(), has_foreign_files)) return {};
    // Root of an engine without root is the user himself.
    const uid_t user = traits.rootless ? 0 : geteuid();
    const gid_t group = traits.rootless ? 0 : getegid();
    std::vector<std::string> arguments = {"own", std::to_string(user), std::to_string(group)};
    arguments.insert(arguments.end(), there.begin(), there.end());
    return parts.gates.run_helper(arguments, there);
}

class Run final : public ContainerRun {
  public:
    Run(const RunParts& parts, std::string folder, RunListener& listener, Done done)
        : parts_(parts), folder_(std::move(folder)), listener_(listener), done_(std::move(done)) {}
    ~Run() override;

    void begin(const RunSpec& spec);
    void begin_adoption(const std::string& id);

    void request_stop() override { ask(Wish::Stop); }
    void kill() override { ask(Wish::Kill); }
    Result<std::vector<HostUsage>> usage() override;
    Result<std::string> served_at(int host) override;

  private:
    enum class Wish { Nothing, Stop, Kill };
    void ask(Wish wish);
    bool wait(milliseconds longest);  // false: the server ends
    bool shutting_down();
    Wish wished();

    void live(const RunSpec* spec);
    Result<void> launch(const RunSpec& spec);
    Result<void> take_gates(const RunSpec& spec);
    Result<void> make_network();
    Result<void> create_containers(const RunSpec& spec, const EngineTraits& traits);
    Result<void> start_containers();
    Result<bool> find_again();
    Result<bool> has_begun(RunRecord& record);

    void watch();
    void watch_hosts();
    bool handle_ends();
    void stop_hosts(Cause cause, const std::string& message);
    void signal_hosts(const char* signal);
    int64_t next_deadline_ms() const;
    RunOutcome outcome_of_hosts() const;
    void finish(RunOutcome outcome);
    void give_up_launch(const Error& error);

    const RunParts& parts_;
    const std::string folder_;
    RunListener& listener_;
    const Done done_;
    RunRecord record_;                               // of the run's own thread
    std::vector<std::unique_ptr<HostWatch>> hosts_;  // likewise
    bool killed_ = false;

    Mutex mutex_;
    Condition changed_;
    Wish wish_ GUARDED_BY(mutex_) = Wish::Nothing;
    bool news_ GUARDED_BY(mutex_) = false;  // of a host
    bool shutdown_ GUARDED_BY(mutex_) = false;
    std::vector<HostRecord> running_ GUARDED_BY(mutex_);  // for others than the run's own thread
    uint16_t served_port_ GUARDED_BY(mutex_) = 0;
    std::jthread thread_;
};

Run::~Run() {
    {
        const MutexLock lock(mutex_);
        shutdown_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

void Run::ask(Wish wish) {
    const MutexLock lock(mutex_);
    wish_ = std::max(wish_, wish);
    changed_.notify_all();
}

bool Run::wait(milliseconds longest) {
    const MutexLock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + longest;
    while (!shutdown_ && std::chrono::steady_clock::now() < deadline) changed_.wait_until(mutex_, deadline);
    return !shutdown_;
}

bool Run::shutting_down() {
    const MutexLock lock(mutex_);
    return shutdown_;
}

Run::Wish Run::wished() {
    const MutexLock lock(mutex_);
    return wish_;
}

void Run::begin(const RunSpec& spec) {
    record_.id = spec.id;
    record_.boot = boot_id();
    record_.wish.isolated = spec.network_isolation || spec.forward_to.empty();
    record_.wish.egress_socket = record_.wish.isolated ? "" : spec.egress_socket;
    record_.wish.served_port = spec.served_port;
    record_.hosts.resize(static_cast<size_t>(spec.hosts));
    record_.log_files = spec.log_files;
    record_.max_log_bytes = spec.max_log_bytes;
    record_.max_disk_bytes = spec.max_disk_bytes;
    if (spec.max_runtime) record_.max_runtime_s = spec.max_runtime->count();
    record_.stop_grace_s = spec.stop_grace.count();
    thread_ = std::jthread([this, spec] { live(&spec); });
}

void Run::begin_adoption(const std::string& id) {
    record_.id = id;
    thread_ = std::jthread([this] { live(nullptr); });
}

void Run::live(const RunSpec* spec) {
    if (spec != nullptr) {
        if (const auto launched = launch(*spec); !launched) {
            if (!shutting_down()) give_up_launch(launched.error());
            return;
        }
        FAIL_POINT("containers.after_start");
    } else {
        const auto found = find_again();
        if (!found && shutting_down()) return;
        if (!found) {
            RunOutcome lost;
            lost.cause = Cause::Lost;
            lost.message = text_of(found.error());
            return finish(std::move(lost));
        }
        if (!*found) return finish(*record_.outcome);
    }
    watch();
}

Result<void> Run::launch(const RunSpec& spec) {
    const auto traits = TRY(parts_.traits());
    if (!record_.wish.isolated && parts_.settings.api_socket.empty())
        return invalid_input("this server has no way for containers to reach it");
    for (int host = 0; host < spec.hosts; ++host) TRY(make_directories(host_folder(folder_, host) + "/ml"));
    if (chmod(folder_.c_str(), 0700) != 0) return error_from_errno("cannot close " + folder_ + " to others");
    TRY(save(record_, folder_));
    TRY(take_gates(spec));
    TRY(write_hosts_files(record_, folder_));
    TRY(create_containers(spec, traits));
    record_.companions = TRY(start_companions(spec.companions, folder_));
    FAIL_POINT("containers.before_start");
    if (wished() != Wish::Nothing) return Error{ErrorKind::Conflict, "stopped before it began", ""};
    TRY(start_containers());
    record_.phase = Phase::Started;
    return save(record_, folder_);
}

Result<void> Run::make_network() {
    const auto network = TRY(make_run_network(parts_, record_.id));
    record_.network = record_.wish.network = network.id;
    record_.wish.gateway = network.gateway;
    record_.wish.run = record_.id;
    return {};
}

Result<void> Run::take_gates(const RunSpec& spec) {
    if (spec.hosts == 1) {
        record_.hosts[0].gate = TRY(parts_.gates.take(record_.wish));
        return {};
    }
    TRY(make_network());
    // Side by side: each takes the engine some time, most of it waiting.
    std::vector<Result<Gate>> gates(record_.hosts.size(), Result<Gate>(internal_error("not made")));
    {
        std::vector<std::jthread> threads;
        for (size_t i = 0; i < gates.size(); ++i)
            threads.emplace_back([this, &gates, i] {
                auto wish = record_.wish;
                wish.host = static_cast<int>(i);
                gates[i] = parts_.gates.take(wish);
            });
    }
    for (size_t i = 0; i < gates.size(); ++i)
        if (gates[i]) record_.hosts[i].gate = *gates[i];
    for (const auto& gate : gates)
        if (!gate) return gate.error();
    return {};
}

Result<void> Run::create_containers(const RunSpec& spec, const EngineTraits& traits) {
    for (int i = 0; i < spec.hosts; ++i) {
        auto& host = record_.hosts[static_cast<size_t>(i)];
        HostContainer container;
        container.owner = parts_.owner;
        container.gate = host.gate.container;
        container.hosts_file = host_folder(folder_, i) + "/hosts";
        container.mounts = TRY(prepare_mounts(spec, i, traits));
        record_.owned.insert(record_.owned.end(), container.mounts.owned.begin(), container.mounts.owned.end());
        if (traits.own_users) {
            std::vector<std::string> arguments = {"own", std::to_string(traits.root_user),
                                                  std::to_string(traits.root_group)};
            for (const auto& folder : container.mounts.owned) arguments.push_back(folder);
            TRY(parts_.gates.run_helper(arguments, container.mounts.owned));
        }
        const auto body = TRY(container_body(spec, i, traits, container));
        const auto name = "millwright-" + spec.id + "-" + host_name(i);
        const auto created = parts_.engine.post("/containers/create?name=" + name, body);
        if (!created) return created.error();
        host.container = (*created)["Id"].string_or("");
    }
    return {};
}

Result<void> Run::start_containers() {
    std::vector<Result<Json>> started(record_.hosts.size(), Result<Json>(Json()));
    {
        std::vector<std::jthread> threads;
        for (size_t i = 1; i < started.size(); ++i)
            threads.emplace_back([this, &started, i] {
                started[i] = parts_.engine.post("/containers/" + record_.hosts[i].container + "/start");
            });
        started[0] = parts_.engine.post("/containers/" + record_.hosts[0].container + "/start");
    }
    for (const auto& one : started)
        if (!one) return one.error();
    return {};
}

// Nothing of it may come to life later: what is there goes.
void Run::give_up_launch(const Error& error) {
    for (const auto& host : record_.hosts)
        if (!host.container.empty()) {
            const auto removed = parts_.engine.remove("/containers/" + host.container + "?force=1&v=1");
            if (!removed) log::warning("cannot remove a container", removed.error());
        }
    RunOutcome outcome;
    outcome.message = text_of(error);
    // An engine that is away will be back: the run counts as never begun.
    outcome.cause = error.kind == ErrorKind::Unavailable ? Cause::Lost : Cause::LaunchFailed;
    if (wished() != Wish::Nothing) {
        outcome.cause = Cause::StopRequested;
        outcome.message.clear();
        outcome.started = outcome.ended = system_clock().now();
        outcome.hosts.assign(record_.hosts.size(), HostOutcome{.exit_code = 128 + SIGTERM, .signal = SIGTERM});
    }
    finish(std::move(outcome));
}

// False: it has ended, and its outcome is in the record.
Result<bool> Run::find_again() {
    auto loaded = load_run_record(folder_);
    if (!loaded && loaded.error().kind == ErrorKind::NotFound) {
        RunOutcome lost;
        lost.cause = Cause::Lost;
        lost.message = "the run was not begun";
        record_.outcome = lost;
        return false;
    }
    if (!loaded) return loaded.error();
    record_ = std::move(*loaded);
    if (record_.phase == Phase::Ended && record_.outcome) return false;
    milliseconds pause = kFirstPause;
    for (;;) {
        auto begun = has_begun(record_);
        if (begun) {
            if (*begun) return true;
            RunOutcome lost;
            lost.cause = Cause::Lost;
            lost.message = "the run was not begun";
            record_.outcome = lost;
            return false;
        }
        if (begun.error().kind != ErrorKind::Unavailable) return begun.error();
        if (!wait(pause)) return begun.error();
        pause = std::min(pause * 2, kLongestPause);
    }
}

// Whether every host executes, or has executed, its command; else nothing of the run is left.
Result<bool> Run::has_begun(RunRecord& record) {
    TRY(parts_.traits());
    if (record.phase == Phase::Started) return true;
    const auto list = TRY(parts_.engine.get("/containers/json?all=1&filters=" + label_filter(kRunLabel, record.id)));
    size_t begun = 0;
    for (const auto& container : list.items()) {
        const auto name = container["Labels"][kHostLabel].string_or("");
        if (name.empty()) continue;  // a gate
        const auto about = TRY(parts_.engine.get("/containers/" + container["Id"].string_or("") + "/json"));
        for (size_t i = 0; i < record.hosts.size(); ++i) {
            if (name != host_name(static_cast<int>(i))) continue;
            record.hosts[i].container = container["Id"].string_or("");
            if (started_ms_of(about) > 0) ++begun;
        }
    }
    if (begun == record.hosts.size()) {
        record.phase = Phase::Started;
        return true;
    }
    if (const auto removed = remove_run(parts_, {record.id, record}); !removed)
        log::warning("cannot remove what a run left in the container engine", removed.error());
    return false;
}

void Run::watch_hosts() {
    const auto traits = parts_.traits();
    const bool stays = traits && (traits->kind == EngineKind::Podman || traits->live_restore);
    for (size_t i = 0; i < record_.hosts.size(); ++i) {
        HostWatch::Settings settings;
        settings.container = record_.hosts[i].container;
        settings.log_file = record_.log_files.at(i);
        settings.position_file = host_folder(folder_, static_cast<int>(i)) + "/log-position";
        settings.max_log_bytes = record_.max_log_bytes;
        settings.ends_with_engine = !stays;
        hosts_.push_back(HostWatch::begin(parts_.engine, std::move(settings), [this] {
            const MutexLock lock(mutex_);
            news_ = true;
            changed_.notify_all();
        }));
    }
    const MutexLock lock(mutex_);
    running_ = record_.hosts;
    served_port_ = record_.wish.served_port;
}

void Run::watch() {
    watch_hosts();
    bool started = false;
    for (;;) {
        Wish wish;
        {
            const MutexLock lock(mutex_);
            const auto left = milliseconds(std::clamp<int64_t>(next_deadline_ms() - now_ms(), 0, 3'600'000));
            const auto deadline = std::chrono::steady_clock::now() + left;
            const auto nothing_new = [&]() REQUIRES(mutex_) {
                return !news_ && !shutdown_ && !(wish_ >= Wish::Stop && !record_.stopping) &&
                       !(wish_ == Wish::Kill && !killed_);
            };
            while (nothing_new() && std::chrono::steady_clock::now() < deadline) changed_.wait_until(mutex_, deadline);
            news_ = false;
            if (shutdown_) break;
            wish = wish_;
        }
        if (!started && std::all_of(hosts_.begin(), hosts_.end(), [](auto& host) { return host->started_ms() > 0; })) {
            started = true;
            listener_.run_started(record_.id, outcome_of_hosts().started);
        }
        if (wish != Wish::Nothing && !record_.stopping) stop_hosts(Cause::StopRequested, "");
        if (wish == Wish::Kill && !killed_) {
            killed_ = true;
            signal_hosts("SIGKILL");
        }
        if (handle_ends()) return finish(outcome_of_hosts());
        const int64_t time = now_ms();
        if (record_.stopping && !killed_ && time >= record_.stopped_ms + record_.stop_grace_s * 1000) {
            killed_ = true;
            signal_hosts("SIGKILL");
        }
        const int64_t begun = hosts_[0]->started_ms();
        if (!record_.stopping && record_.max_runtime_s >= 0 && begun > 0 &&
            time >= begun + record_.max_runtime_s * 1000)
            stop_hosts(Cause::MaxRuntime, "");
    }
    hosts_.clear();
}

int64_t Run::next_deadline_ms() const {
    if (record_.stopping) return killed_ ? INT64_MAX / 2 : record_.stopped_ms + record_.stop_grace_s * 1000;
    const int64_t begun = hosts_[0]->started_ms();
    if (record_.max_runtime_s >= 0 && begun > 0) return begun + record_.max_runtime_s * 1000;
    return INT64_MAX / 2;
}

// Whether all have ended.
bool Run::handle_ends() {
    bool all = true;
    for (size_t i = 0; i < hosts_.size(); ++i) {
        const auto end = hosts_[i]->end();
        if (!end) {
            all = false;
            continue;
        }
        const bool failed = end->lost || end->outcome.exit_code != 0;
        if (!failed || record_.stopping || record_.first_failure >= 0) continue;
        record_.first_failure = static_cast<int>(i);
        const auto name = host_name(static_cast<int>(i));
        stop_hosts(end->lost ? Cause::Lost : Cause::Exited,
                   end->lost ? name + ": " + end->lost_reason
                             : name + " ended with " + std::to_string(end->outcome.exit_code));
    }
    return all;
}

void Run::stop_hosts(Cause cause, const std::string& message) {
    record_.stopping = cause;
    record_.message = message;
    record_.stopped_ms = now_ms();
    // So that a restarted server goes on with the same grace.
    if (const auto saved = save(record_, folder_); !saved) log::warning("recording the stop of a run", saved.error());
    signal_hosts("SIGTERM");
}

void Run::signal_hosts(const char* signal) {
    for (size_t i = 0; i < hosts_.size(); ++i) {
        if (hosts_[i]->end()) continue;
        const auto sent =
            parts_.engine.post("/containers/" + record_.hosts[i].container + "/kill?signal=" + std::string(signal));
        // It may have ended just now.
        if (!sent && sent.error().kind != ErrorKind::Conflict && sent.error().kind != ErrorKind::NotFound)
            log::warning("cannot send " + std::string(signal) + " to a container", sent.error());
    }
}

RunOutcome Run::outcome_of_hosts() const {
    RunOutcome outcome;
    outcome.cause = record_.stopping.value_or(Cause::Exited);
    outcome.message = record_.message;
    int64_t started = INT64_MAX, ended = 0;
    for (const auto& host : hosts_) {
        if (host->started_ms() > 0) started = std::min(started, host->started_ms());
        const auto end = host->end();
        if (!end) continue;
        ended = std::max(ended, end->ended_ms);
        outcome.hosts.push_back(end->outcome);
    }
    if (started == INT64_MAX) started = ended;
    outcome.started = from_epoch_milliseconds(started);
    outcome.ended = from_epoch_milliseconds(std::max(ended, started));
    outcome.ran = outcome.ended - outcome.started;
    if (outcome.cause == Cause::Exited) outcome.first_failure = record_.first_failure;
    if (outcome.cause == Cause::Lost) outcome.hosts.clear();
    return outcome;
}

void Run::finish(RunOutcome outcome) {
    hosts_.clear();
    if (record_.phase != Phase::Ended) {
        end_companions(record_.companions);
        if (const auto traits = parts_.traits()) {
            if (const auto owned = own_files(parts_, *traits, record_.owned); !owned)
                log::warning("cannot give the files of run " + record_.id + " to their owner", owned.error());
        }
        const bool ran = outcome.cause != Cause::Lost && outcome.cause != Cause::LaunchFailed;
        if (ran && record_.network.empty() && !record_.hosts[0].gate.container.empty())
            record_.gates_kept = parts_.gates.keep(record_.wish, record_.hosts[0].gate);
        record_.phase = Phase::Ended;
        record_.outcome = outcome;
        FAIL_POINT("containers.before_record");
        // A folder that is not there, or a full disk: the engine knows the outcome as long as its containers are there.
        if (file_exists(folder_)) {
            if (const auto saved = save(record_, folder_); !saved)
                log::warning("recording the end of run " + record_.id, saved.error());
        }
    }
    {
        const MutexLock lock(mutex_);
        running_.clear();
    }
    if (outcome.cause == Cause::Lost) log::warning("run " + record_.id + " is lost: " + outcome.message);
    listener_.run_ended(record_.id, outcome);
    done_(record_.id);
}

Result<std::vector<HostUsage>> Run::usage() {
    std::vector<HostRecord> hosts;
    {
        const MutexLock lock(mutex_);
        hosts = running_;
    }
    if (hosts.empty()) return not_found("the run does not run");
    std::vector<HostUsage> out;
    for (const auto& host : hosts) {
        const auto stats =
            TRY(parts_.engine.get("/containers/" + host.container + "/stats?stream=false&one-shot=true"));
        HostUsage usage;
        usage.cpu = milliseconds(stats["cpu_stats"]["cpu_usage"]["total_usage"].int_or(0) / 1'000'000);
        const auto& memory = stats["memory_stats"];
        const auto& details = memory["stats"];
        const auto cache = details.has("inactive_file") ? details["inactive_file"].int_or(0)
                                                        : details["total_inactive_file"].int_or(0);
        usage.memory_bytes = static_cast<uint64_t>(std::max<int64_t>(0, memory["usage"].int_or(0) - cache));
        usage.memory_limit_bytes = static_cast<uint64_t>(memory["limit"].int_or(0));
        out.push_back(usage);
    }
    return out;
}

Result<std::string> Run::served_at(int host) {
    const MutexLock lock(mutex_);
    if (served_port_ == 0 || host < 0 || static_cast<size_t>(host) >= running_.size())
        return not_found("there is no such host that serves a port");
    return "unix:" + running_[static_cast<size_t>(host)].gate.folder + "/served";
}

}  // namespace

std::unique_ptr<ContainerRun> ContainerRun::start(const RunParts& parts, const RunSpec& spec, RunListener& listener,
                                                  Done done) {
    auto run = std::make_unique<Run>(parts, spec.folder, listener, std::move(done));
    run->begin(spec);
    return run;
}

std::unique_ptr<ContainerRun> ContainerRun::adopt(const RunParts& parts, const std::string& id,
                                                  const std::string& folder, RunListener& listener, Done done) {
    auto run = std::make_unique<Run>(parts, folder, listener, std::move(done));
    run->begin_adoption(id);
    return run;
}

RunRemains remains_of(const std::string& id, const std::string& folder) {
    auto record = load_run_record(folder);
    return {id, record ? std::optional(std::move(*record)) : std::nullopt};
}

Result<void> remove_run(const RunParts& parts, const RunRemains& remains) {
    const auto& record = remains.record;
    Result<void> failed;
    const auto keep_error = [&](const Result<void>& done) {
        if (!done && failed) failed = done.error();
    };
    if (record) end_companions(record->companions);
    const auto list = TRY(parts.engine.get("/containers/json?all=1&filters=" + label_filter(kRunLabel, remains.id)));
    // Gates after those that have joined them: Podman insists.
    for (const bool gates : {false, true})
        for (const auto& container : list.items()) {
            if (container["Labels"].has(kGateLabel) != gates) continue;
            const auto id = container["Id"].string_or("");
            keep_error(gates ? parts.gates.remove({id, container["Labels"][kGateLabel].string_or(""), ""})
                             : parts.engine.remove("/containers/" + id + "?force=1&v=1"));
        }
    if (record && !record->gates_kept)
        for (const auto& host : record->hosts)
            if (!host.gate.container.empty()) keep_error(parts.gates.remove(host.gate));
    if (!record || record->hosts.size() > 1) keep_error(remove_run_networks(parts, remains.id));
    return failed;
}

}  // namespace millwright::executors
