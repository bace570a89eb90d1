#include "executors/container/container_runtime.h"

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "base/files.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/strings.h"
#include "executors/container/container_run.h"
#include "executors/container/engine_images.h"
#include "executors/container/engine_traits.h"

namespace millwright::executors {
namespace {

constexpr std::chrono::seconds kBetweenRemovals{1};

// Written on our containers, so that a server knows those of its data directory from others'.
Result<std::string> owner_of(const std::string& state_folder) {
    const std::string path = state_folder + "/id";
    if (const auto known = read_file(path, 256); known && !trim(*known).empty()) return std::string(trim(*known));
    const std::string fresh = system_random().hex(32);
    TRY(replace_file_durably(path, fresh + "\n", 0600));
    return fresh;
}

class Runtime final : public ContainerRuntime, public Executor {
  public:
    Runtime(ContainerSettings settings, std::string owner)
        : settings_(std::move(settings)),
          engine_(settings_.socket),
          gates_(engine_, settings_, owner),
          parts_{engine_, gates_, settings_, owner, [this] { return traits(); }},
          images_(make_engine_images(engine_, settings_, [this] {
              // A gate that is made before the sweep would be swept away.
              if (swept_) gates_.warm(usual_wish());
          })) {
        remover_ = std::jthread([this] { remove_later(); });
        // Ahead of the first run, where the engine is there.
        first_look_ = std::jthread([this] {
            if (const auto seen = traits(); !seen) log::info("the container engine: " + seen.error().message);
        });
    }
    ~Runtime() override;

    Executor& executor() override { return *this; }
    Images& images() override { return *images_; }
    Result<void> works() override {
        TRY(engine_.about());
        TRY(engine_.get("/_ping", std::chrono::seconds(10)));
        return {};
    }

    Result<void> start(const RunSpec& spec, RunListener& listener) override;
    Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) override;
    Result<void> request_stop(const std::string& id) override;
    Result<void> kill(const std::string& id) override;
    void clean_up(const std::string& id, const std::string& folder) override;
    Result<std::vector<HostUsage>> usage(const std::string& id) override;
    Result<std::string> served_at(const std::string& id, int host) override;
    Result<void> end_leftover(const std::string& folder) override;
    Json describe() const override;

  private:
    std::shared_ptr<ContainerRun> find(const std::string& id);
    Result<void> add(const std::string& id, const std::function<std::shared_ptr<ContainerRun>()>& make);
    void forget(const std::string& id);
    void reap();
    void remove(RunRemains remains);
    void remove_later();
    Result<EngineTraits> traits();
    Result<void> sweep();
    GateWish usual_wish();

    const ContainerSettings settings_;
    EngineClient engine_;
    Gates gates_;
    const RunParts parts_;
    const std::unique_ptr<Images> images_;

    std::atomic<bool> swept_ = false;
    mutable Mutex probe_mutex_;
    std::optional<EngineReport> report_ GUARDED_BY(probe_mutex_);
    Mutex mutex_;
    std::map<std::string, std::shared_ptr<ContainerRun>> runs_ GUARDED_BY(mutex_);
    // Over; destroyed by another thread than their own.
    std::vector<std::shared_ptr<ContainerRun>> ended_ GUARDED_BY(mutex_);
    GateWish wish_ GUARDED_BY(mutex_);  // of the last run
    Condition changed_;
    std::vector<RunRemains> remains_ GUARDED_BY(mutex_);  // that could not be removed yet
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::jthread first_look_, remover_;
};

Runtime::~Runtime() {
    first_look_.join();
    {
        const MutexLock lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
    }
    remover_.join();
    std::map<std::string, std::shared_ptr<ContainerRun>> runs;
    {
        const MutexLock lock(mutex_);
        runs.swap(runs_);
    }
    runs.clear();
    reap();
}

Result<EngineTraits> Runtime::traits() {
    const MutexLock lock(probe_mutex_);
    if (report_) return report_->traits;
    TRY(sweep());
    swept_ = true;
    auto report = TRY(probe_engine(engine_, gates_, settings_.state_folder));
    report_ = std::move(report);
    return report_->traits;
}

// What servers before this one have left and nobody will ask for: gates that no container uses, containers and networks
// of runs whose folder is gone. Before anything of this server is there.
Result<void> Runtime::sweep() {
    const auto filter = label_filter(kOwnerLabel, parts_.owner);
    const auto containers = TRY(engine_.get("/containers/json?all=1&filters=" + filter));
    std::set<std::string> used, runs;
    std::vector<std::string> unwanted;
    for (const auto& container : containers.items()) {
        const auto id = container["Id"].string_or("");
        const auto& labels = container["Labels"];
        if (labels.has(kGateLabel)) continue;
        if (!file_exists(labels[kFolderLabel].string_or("") + "/" + kRunRecord)) {
            unwanted.push_back(id);
            continue;
        }
        runs.insert(labels[kRunLabel].string_or(""));
        const auto about = engine_.get("/containers/" + id + "/json");
        if (!about) continue;
        const auto mode = (*about)["HostConfig"]["NetworkMode"].string_or("");
        if (mode.starts_with("container:")) used.insert(mode.substr(10));
    }
    std::set<std::string> folders;
    for (const auto& container : containers.items()) {
        const auto id = container["Id"].string_or("");
        if (!container["Labels"].has(kGateLabel)) continue;
        if (used.contains(id))
            folders.insert(container["Labels"][kGateLabel].string_or(""));
        else
            unwanted.push_back(id);
    }
    for (const auto& id : unwanted) {
        const auto removed = engine_.remove("/containers/" + id + "?force=1&v=1");
        if (!removed) log::warning("cannot remove a container that nobody asks for", removed.error());
    }
    gates_.remove_folders_but(folders);
    const auto networks = TRY(engine_.get("/networks?filters=" + filter));
    for (const auto& network : networks.items()) {
        if (runs.contains(network["Labels"][kRunLabel].string_or(""))) continue;
        const auto removed = engine_.remove("/networks/" + network["Id"].string_or(""));
        if (!removed) log::warning("cannot remove a network that nobody asks for", removed.error());
    }
    if (!unwanted.empty())
        log::info("removed " + std::to_string(unwanted.size()) + " containers that nobody asks for any more");
    return {};
}

GateWish Runtime::usual_wish() {
    const MutexLock lock(mutex_);
    return wish_;
}

std::shared_ptr<ContainerRun> Runtime::find(const std::string& id) {
    const MutexLock lock(mutex_);
    const auto found = runs_.find(id);
    return found == runs_.end() ? nullptr : found->second;
}

// Under the lock, so that a run that ends at once is known by then.
Result<void> Runtime::add(const std::string& id, const std::function<std::shared_ptr<ContainerRun>()>& make) {
    reap();
    const MutexLock lock(mutex_);
    if (runs_.contains(id)) return Error{ErrorKind::AlreadyExists, "the run is watched already", id};
    runs_[id] = make();
    return {};
}

void Runtime::forget(const std::string& id) {
    const MutexLock lock(mutex_);
    const auto found = runs_.find(id);
    if (found == runs_.end()) return;
    ended_.push_back(std::move(found->second));
    runs_.erase(found);
}

void Runtime::reap() {
    std::vector<std::shared_ptr<ContainerRun>> ended;
    {
        const MutexLock lock(mutex_);
        ended.swap(ended_);
    }
}

Result<void> Runtime::start(const RunSpec& spec, RunListener& listener) {
    TRY(check_container_spec(spec));
    if (spec.on_spare) return invalid_input("containers are not kept as spares");
    if (file_exists(spec.folder + "/" + kRunRecord))
        return Error{ErrorKind::AlreadyExists, "the run has been started before", spec.folder};
    if (spec.hosts == 1 && spec.served_port == 0) {
        const MutexLock lock(mutex_);
        wish_ = GateWish{};
        wish_.isolated = spec.network_isolation || spec.forward_to.empty();
        wish_.egress_socket = wish_.isolated ? "" : spec.egress_socket;
    }
    return add(spec.id, [&]() -> std::shared_ptr<ContainerRun> {
        return ContainerRun::start(parts_, spec, listener, [this](const std::string& id) { forget(id); });
    });
}

Result<void> Runtime::adopt(const std::string& id, const std::string& folder, RunListener& listener) {
    return add(id, [&]() -> std::shared_ptr<ContainerRun> {
        return ContainerRun::adopt(parts_, id, folder, listener, [this](const std::string& run) { forget(run); });
    });
}

Result<void> Runtime::request_stop(const std::string& id) {
    if (const auto run = find(id)) run->request_stop();
    return {};
}

Result<void> Runtime::kill(const std::string& id) {
    if (const auto run = find(id)) run->kill();
    return {};
}

void Runtime::clean_up(const std::string& id, const std::string& folder) {
    reap();
    remove(remains_of(id, folder));
}

void Runtime::remove(RunRemains remains) {
    if (const auto removed = remove_run(parts_, remains); !removed) {
        log::info("what run " + remains.id + " left in the container engine goes later: " + removed.error().message);
        const MutexLock lock(mutex_);
        remains_.push_back(std::move(remains));
        changed_.notify_all();
    }
}

// While the engine is away.
void Runtime::remove_later() {
    for (;;) {
        std::vector<RunRemains> remains;
        {
            const MutexLock lock(mutex_);
            while (!stopping_ && remains_.empty()) changed_.wait(mutex_);
            const auto deadline = std::chrono::steady_clock::now() + kBetweenRemovals;
            while (!stopping_ && std::chrono::steady_clock::now() < deadline) changed_.wait_until(mutex_, deadline);
            if (stopping_) return;
            remains.swap(remains_);
        }
        for (auto& one : remains) remove(std::move(one));
    }
}

Result<std::vector<HostUsage>> Runtime::usage(const std::string& id) {
    if (const auto run = find(id)) return run->usage();
    return not_found("the run has ended or is not known");
}

Result<std::string> Runtime::served_at(const std::string& id, int host) {
    if (const auto run = find(id)) return run->served_at(host);
    return not_found("the run has ended or is not known");
}

Result<void> Runtime::end_leftover(const std::string& folder) {
    const auto record = load_run_record(folder);
    if (!record && record.error().kind == ErrorKind::NotFound) return {};
    if (!record) return record.error();
    remove({record->id, *record});
    return {};
}

Json Runtime::describe() const {
    const MutexLock lock(probe_mutex_);
    if (report_) return report_->report;
    return Json::object({{"executor", "containers"},
                         {"socket", settings_.socket},
                         {"missing", Json::array({"the engine has not answered yet"})}});
}

}  // namespace

Result<std::unique_ptr<ContainerRuntime>> ContainerRuntime::make(ContainerSettings settings) {
    TRY(make_directories(settings.state_folder, 0700));
    auto owner = TRY(owner_of(settings.state_folder));
    return std::unique_ptr<ContainerRuntime>(std::make_unique<Runtime>(std::move(settings), std::move(owner)));
}

}  // namespace millwright::executors
