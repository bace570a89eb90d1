#include "simulation/simulation.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "simulation/disk.h"
#include "simulation/threads.h"

namespace millwright::simulation {
namespace {

constexpr unsigned kMostSeconds = 60;  // of real time

struct Numbers {
    uint64_t fingerprint, switches, runs;
    Totals totals;
};

int report_to = -1;  // the pipe to the parent, in a child

void send_all(int fd, const void* bytes, size_t count) {
    if (::write(fd, bytes, count) != static_cast<ssize_t>(count)) std::abort();
}

}  // namespace

void fail(const std::string& what) {
    std::string text = what;
    if (auto* scheduler = Scheduler::current())
        text += " [at " + std::to_string(scheduler->steady_ns() / kMillisecond) + " ms, step " +
                std::to_string(scheduler->switches()) + "]";
    if (report_to < 0) {
        std::fprintf(stderr, "%s\n", text.c_str());
        std::abort();
    }
    text.resize(std::min<size_t>(text.size(), 4000));
    send_all(report_to, text.data(), text.size());
    _exit(1);
}

Simulation::Simulation() {
    link_threads();
    // One thread only, so SQLite needs no locks of its own; a crash would leave them locked.
    if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK) fail("SQLite cannot be configured");
    std::string pattern = std::string(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/simulationXXXXXX";
    folder_ = mkdtemp(pattern.data());
    const auto prepared = run_apart(0, {}, true);
    if (!prepared.failure.empty()) fail("preparing: " + prepared.failure);
}

Simulation::~Simulation() { std::filesystem::remove_all(folder_); }

Outcome Simulation::run(uint64_t seed, const Options& options) { return run_apart(seed, options, false); }

Outcome Simulation::run_apart(uint64_t seed, const Options& options, bool prepares) {
    int ends[2];
    if (pipe(ends) != 0) fail("no pipe");
    const pid_t child = fork();
    if (child < 0) fail("no process");
    if (child == 0) {
        ::close(ends[0]);
        run_here(seed, options, prepares, ends[1]);
    }
    ::close(ends[1]);
    std::string bytes;
    char buffer[4096];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        bytes.append(buffer, static_cast<size_t>(got));
    ::close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!prepares) std::filesystem::remove_all(folder_ + "/seed");
    Outcome outcome;
    if (WIFSIGNALED(status)) {
        outcome.failure = std::string("the process was ended by ") + strsignal(WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0 || bytes.size() != sizeof(Numbers)) {
        outcome.failure = bytes.empty() ? "no word" : bytes;
    } else {
        Numbers numbers;
        std::memcpy(&numbers, bytes.data(), sizeof numbers);
        outcome.fingerprint = numbers.fingerprint;
        outcome.switches = numbers.switches;
        outcome.runs = numbers.runs;
        outcome.totals = numbers.totals;
    }
    return outcome;
}

void Simulation::run_here(uint64_t seed, const Options& options, bool prepares, int report) {
    report_to = report;
    alarm(kMostSeconds);
    // Written in any case, because what is written takes its time.
    if (!options.trace && !prepares) dup2(::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
    const auto root = folder_ + (prepares ? "/prepared" : "/seed");
    if (!prepares) std::filesystem::copy(folder_ + "/prepared", root, std::filesystem::copy_options::recursive);
    mount_disk({root, {root + "/db", root + "/objects"}});
    auto& scheduler = *new Scheduler(seed);  // for as long as the process
    if (prepares) {
        scheduler.run([&] {
            scheduler.join(scheduler.spawn("server", 2, [&] {
                Launchers launchers(scheduler, {});
                SimulatedRandom random(scheduler.dice());
                Engine engine({.root = root, .quotas = {}}, launchers, random, scheduler.dice());
                must(engine.objects().create_bucket(engine.account(), kRegion, kBucket), "a bucket");
                must(engine.objects().put(kBucket, "data/train/a.csv", {}, object_store::source_of("1,2\n")),
                     "an object");
                must(engine.objects().put(kBucket, "code/source.tar", {}, object_store::source_of(source_archive())),
                     "the source code");
            }));
        });
        std::filesystem::remove_all(root + "/.saved");
        const Numbers none{};
        send_all(report, &none, sizeof none);
        _exit(0);
    }
    if (options.fault == Fault::LostNotifications) scheduler.lose_notifications(0.02);
    auto& story = *new Story(scheduler, root, options.fault);
    scheduler.run([&] { story.tell(); });
    const Numbers numbers{scheduler.fingerprint(), scheduler.switches(), story.runs(), story.totals()};
    send_all(report, &numbers, sizeof numbers);
    _exit(0);
}

}  // namespace millwright::simulation
