// Where a run lives: one interface for processes in namespaces, containers and pods.
//
// A run is one job or one serving replica: `hosts` copies of one command, named algo-1 … algo-N, that see a private
// /opt/ml each and end together. Everything the executor needs to find it again lies in `folder`, so a restarted server
// adopts runs it never started.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "oci/image.h"

namespace millwright::executors {

// What one host may use. Enforced by cgroup v1 or v2, else by a watchdog (memory) and CPU affinity.
struct Limits {
    double cpus = 1;
    uint64_t memory_bytes = uint64_t{1} << 30;
    int64_t max_processes = 4096;
    uint64_t shared_memory_bytes = 0;  // size of /dev/shm; 0: half the memory
    int gpus = 0;                      // NVIDIA devices, given by container engines only
};

// Shows the files of `source` at `target` inside the run. With an overlay the run may write: changes go to a private
// layer and the files below `source` (hard links into the object store) are never touched.
struct Mount {
    enum class Mode { ReadOnly, Writable, Overlay };
    std::string source;  // absolute, on the host; the same for all hosts, or with "{host}" for algo-N
    std::string target;  // absolute, inside
    Mode mode = Mode::ReadOnly;
    std::vector<int> hosts{};   // only on these, by index; empty: on all
    bool through_links = true;  // false: fails when a part of `source` is a symbolic link by then
};

// The image whose file system the hosts of a run have instead of the host's own. Prepared by executors/images.h.
struct RunImage {
    std::string reference, digest;    // for people
    std::string engine_image;         // what the container engine knows it by; empty: without an engine
    std::vector<std::string> layers;  // without an engine: folders of unpacked layers, the lowest first, never written
    oci::ImageConfig config;
    // Replaces the image's; with it, the image's Cmd is dropped, also when RunSpec::command is empty.
    std::optional<std::vector<std::string>> entrypoint;
    // Of <folder>/<algo-N>/ml the sub-folders are mounted below /opt/ml, which is the image's own otherwise.
};

struct RunSpec {
    std::string id;      // hex; unique for all time
    std::string folder;  // exists; <folder>/<algo-N>/ml becomes /opt/ml of host N (writable)
    int hosts = 1;
    // argv[0] absolute (a path of the host's file system) or found on PATH. With an image: takes the place of its Cmd,
    // behind the entry point; empty: Cmd.
    std::vector<std::string> command;
    std::map<std::string, std::string> environment;  // with an image: over the image's own
    std::optional<RunImage> image;
    std::vector<Mount> mounts;
    std::vector<std::string> log_files;  // one per host: stdout and stderr, in the form of base/event_file.h
    Limits limits;
    // No route out and no forwarded endpoint; hosts of the run still reach each other.
    bool network_isolation = false;
    // Inside, 169.254.170.2:80 is forwarded to this address of the server (credentials and the AWS API). Empty: not.
    std::string forward_to;                           // "127.0.0.1:9770"
    std::optional<std::chrono::seconds> max_runtime;  // from the first instruction; then as after request_stop
    std::chrono::seconds stop_grace{120};             // SIGTERM … SIGKILL of the whole tree
    // One entry per host where hosts differ (instance groups); empty: all as `limits`.
    std::vector<Limits> host_limits;
    std::string working_folder = "/opt/ml";  // of the commands, inside; exists there. With an image: the image's own
    uint16_t served_port = 0;                // inside; reached from outside by served_at(). 0: none
    // Inside, 169.254.170.2:3128 is forwarded to the HTTP proxy behind this unix socket. Empty: not.
    std::string egress_socket;
    // Programs of ours that accompany the run outside of its namespaces, as the server's user: feeders of pipes.
    // Started before the commands, ended (SIGTERM, then SIGKILL) when all hosts have; stdout and stderr go to
    // <folder>/companion.log. One that fails ends nothing.
    std::vector<std::vector<std::string>> companions;
    uint64_t max_disk_bytes = 0;  // what each host may write below `folder`, layers of overlays included; 0: no limit
    uint64_t max_log_bytes = 0;   // stdout and stderr of each host; what is more is dropped, with a note; 0: no limit
    // start(): the run of this id is a spare that waits (see start_spare); it gets this work.
    bool on_spare = false;
};

// What a host uses at the moment; zeros where the machine cannot tell.
struct HostUsage {
    std::chrono::milliseconds cpu{};  // since the start, all processes together
    uint64_t memory_bytes = 0, memory_limit_bytes = 0;
    uint64_t disk_bytes = 0, disk_limit_bytes = 0;
};

struct HostOutcome {
    int exit_code = 0;  // 128 + signal when killed
    int signal = 0;
    bool out_of_memory = false;  // by the kernel's or the watchdog's word
    bool out_of_disk = false;    // stopped because it wrote more than max_disk_bytes, or the disk was full
};

struct RunOutcome {
    enum class Cause { Exited, StopRequested, MaxRuntime, LaunchFailed, Lost };
    Cause cause = Cause::Exited;
    std::vector<HostOutcome> hosts;   // in order; empty when LaunchFailed or Lost
    std::string message;              // LaunchFailed: what did not work; Lost: what is known
    Timestamp started{}, ended{};     // wall clock, by the launcher
    std::chrono::milliseconds ran{};  // monotonic, first instruction to last exit; what is billed
    int first_failure = -1;  // Exited: index of the host whose failure made the executor stop the others; -1: none
};

// Called from the executor's own threads, one call per run at a time; must return quickly.
class RunListener {
  public:
    virtual ~RunListener() = default;
    virtual void run_started(const std::string& id, Timestamp started) = 0;        // the commands were executed
    virtual void run_ended(const std::string& id, const RunOutcome& outcome) = 0;  // exactly once per watch
};

// Thread-safe.
class Executor {
  public:
    virtual ~Executor() = default;
    // Returns as soon as the run has its own life (survives the server). Reports to `listener` from then on.
    virtual Result<void> start(const RunSpec& spec, RunListener& listener) = 0;
    // After a restart: watches the run of `folder`, which may have ended meanwhile (reported at once). A run that left
    // no record is reported Lost. `id` and `folder` as they were given to start().
    virtual Result<void> adopt(const std::string& id, const std::string& folder, RunListener& listener) = 0;
    // SIGTERM, the grace, SIGKILL. Fine when it has ended.
    virtual Result<void> request_stop(const std::string& id) = 0;
    // SIGKILL of everything, now.
    virtual Result<void> kill(const std::string& id) = 0;
    // Removes what the run left on the machine outside `folder` (cgroups, mounts). After run_ended.
    virtual void clean_up(const std::string& id, const std::string& folder) = 0;
    // Of each host, in order. NotFound: the run is not known, or has ended.
    virtual Result<std::vector<HostUsage>> usage(const std::string& id) {
        return not_found("this executor does not measure " + id);
    }

    // How to connect from here to RunSpec::served_port of a host: "unix:/path" or "tcp:127.0.0.1:49153". Known once the
    // run has started and for as long as it runs, also after adopt(). NotFound: no such run or port.
    virtual Result<std::string> served_at(const std::string& id, int host) {
        return not_found("this executor serves no port of " + id + " host " + std::to_string(host));
    }

    // A spare is a run that has everything but its work: hosts, limits, network and the mounts of `spec`, and in each
    // host `spec.command` (an interpreter that loads modules and waits), without /opt/ml and with its output dropped.
    // start() with `on_spare`, the same id, folder, hosts, limits and network makes it a run like any other: the mounts
    // that the spare lacks are added, the new command is executed beside the old one, and `listener` changes. When the
    // spare has ended by then the run is reported Lost without having started.
    // A spare reports only its end (Lost, never started). It ends with kill(), and when no server has asked for it for
    // ten minutes.
    virtual Result<void> start_spare(const RunSpec& spec, RunListener& listener) {
        static_cast<void>(listener);
        return invalid_input("this executor keeps no spares: " + spec.id);
    }
    // After a restart, as adopt(), for a spare that has not got work. adopt() is for runs that had been given to
    // start(): a spare among them gets its work again, or, where that was not written, ends.
    virtual Result<void> adopt_spare(const std::string& id, const std::string& folder, RunListener& listener) {
        return adopt(id, folder, listener);
    }
    // After a restart: kills what owns `folder` (a spare or a run that nobody asks for any more), and waits for it, at
    // most a few seconds. Fine when nobody does.
    virtual Result<void> end_leftover(const std::string& folder) {
        static_cast<void>(folder);
        return {};
    }

    // What `millwright doctor` shows: tier, limits in force, and why a better tier is not available.
    virtual Json describe() const = 0;
};

}  // namespace millwright::executors
