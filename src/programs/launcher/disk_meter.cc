#include "programs/launcher/disk_meter.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "executors/process/usage_file.h"
#include "programs/launcher/channel.h"
#include "programs/launcher/disk_walk.h"

namespace millwright::launcher {
namespace {

using executors::LaunchMount;
using executors::LaunchSpec;
using std::chrono::milliseconds;

constexpr milliseconds kPeriod{250};
constexpr milliseconds kHurry{50};              // while much is written
constexpr milliseconds kLeisure{1000};          // nothing to enforce
constexpr uint64_t kMuch = uint64_t{32} << 20;  // per period
constexpr uint64_t kNoticeable = uint64_t{4} << 20;
constexpr int64_t kWalkSoonNs = 1'000'000'000;
constexpr int64_t kWalkAnywayNs = 5'000'000'000;
constexpr int64_t kRest = 10;      // times as long as the walk took
constexpr int64_t kShortRest = 3;  // when a limit may be near
constexpr uint64_t kFullBytes = uint64_t{1} << 20;
constexpr uint64_t kGrowthThatCounts = uint64_t{16} << 20;
constexpr int kNice = 10;
constexpr size_t kMaxMountsOfSpare = 64;  // a spare's own overlays come before those of its work

std::string in_mib(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

bool is_below(const std::string& path, const std::string& folder) { return path.starts_with(folder + "/"); }

std::vector<std::string> folders_of(const LaunchSpec& spec, int host) {
    const std::string own = spec.folder + "/" + executors::host_name(host);
    std::vector<std::string> folders = {own + "/ml", own + "/scratch"};
    if (!spec.image_layers.empty()) folders.push_back(own + "/layers/image/upper");
    for (size_t layer = 0; layer < spec.mounts.size() + kMaxMountsOfSpare; ++layer)
        for (const char* part : {"/upper", "/copy"})
            if (const std::string folder = own + "/layers/" + std::to_string(layer) + part; file_exists(folder))
                folders.push_back(folder);
    for (const LaunchMount& mount : spec.mounts) {
        std::string source = mount.source;
        if (const size_t at = source.find("{host}"); at != std::string::npos)
            source.replace(at, 6, executors::host_name(host));
        if (mount.mode == 'w' && is_below(source, spec.folder) && !is_below(source, own + "/ml"))
            folders.push_back(source);
    }
    return folders;
}

}  // namespace

Result<std::unique_ptr<DiskMeter>> DiskMeter::start(const LaunchSpec& spec, std::vector<pid_t> inits) {
    std::unique_ptr<DiskMeter> meter(new DiskMeter);
    meter->folder_ = spec.folder;
    meter->usage_path_ = spec.folder + "/" + executors::kUsageFile;
    meter->limit_ = spec.max_disk_bytes;
    meter->event_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    meter->quit_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!meter->event_ || !meter->quit_) return error_from_errno("cannot make an eventfd");
    meter->folder_fd_ = TRY(open_file(spec.folder, O_RDONLY | O_DIRECTORY));
    meter->reserve_ = std::min(spec.disk_reserve_bytes, meter->space().total / 20);
    for (int host = 0; host < spec.hosts; ++host) {
        auto entry = std::make_unique<Host>();
        entry->folders = folders_of(spec, host);
        entry->init = inits[static_cast<size_t>(host)];
        meter->hosts_.push_back(std::move(entry));
    }
    meter->publish();
    DiskMeter* self = meter.get();
    meter->thread_ = std::jthread([self](const std::stop_token& stop) { self->loop(stop); });
    return meter;
}

DiskMeter::~DiskMeter() {
    thread_.request_stop();
    eventfd_write(quit_.get(), 1);  // the end of a run does not wait for the next look
}

DiskMeter::Space DiskMeter::space() {
    struct statfs status {};
    if (fstatfs(folder_fd_.get(), &status) != 0) return {};
    const auto block = static_cast<uint64_t>(status.f_bsize);
    Space space{status.f_bavail * block, status.f_blocks * block, status.f_ffree, status.f_files};
    if (space.free < kFullBytes || (space.all_inodes > 0 && space.inodes < 16)) full_ = true;
    return space;
}

bool DiskMeter::disk_was_full() {
    space();
    return full_;
}

void DiskMeter::loop(const std::stop_token& stop) {
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);
    uint64_t free_before = space().free;
    while (!stop.stop_requested()) {
        const Space space = this->space();
        if (walk_is_due(space, now().monotonic_ns)) walk(stop, space);
        const bool busy = free_before > space.free + kMuch;
        free_before = space.free;
        const milliseconds pause = limit_ == 0 && reserve_ == 0 ? kLeisure : busy ? kHurry : kPeriod;
        pollfd quit{quit_.get(), POLLIN, 0};
        poll(&quit, 1, static_cast<int>(pause.count()));
    }
}

bool DiskMeter::walk_is_due(const Space& space, int64_t time_ns) const {
    const int64_t since_ns = time_ns - walked_at_ns_;
    if (walked_at_ns_ == 0) return true;
    if (since_ns < kShortRest * walk_took_ns_) return false;
    const uint64_t written = free_at_walk_ > space.free ? free_at_walk_ - space.free : 0;
    if (written > 0 && space.free < reserve_) return true;
    for (const auto& host : hosts_)
        if (limit_ > 0 && host->bytes + written > limit_ && written > 0) return true;
    const int64_t anyway_ns = written >= kNoticeable ? kWalkSoonNs : kWalkAnywayNs;
    return since_ns >= std::max(anyway_ns, kRest * walk_took_ns_);
}

void DiskMeter::walk(const std::stop_token& stop, const Space& space) {
    const int64_t begun_ns = now().monotonic_ns;
    const ProcessTree processes = list_processes();
    for (const auto& host : hosts_) {
        DiskWalk walk(stop);
        for (const std::string& folder : host->folders) walk.add_tree(folder);
        walk.add_deleted(host->init, processes);
        if (stop.stop_requested()) return;
        host->bytes = walk.total();
        if (walk.too_deep() && limit_ > 0) condemn(*host, "made folders too deep inside each other to be measured");
    }
    free_at_walk_ = space.free;
    walked_at_ns_ = now().monotonic_ns;
    walk_took_ns_ = walked_at_ns_ - begun_ns;
    judge(space);
    publish();
}

void DiskMeter::judge(const Space& space) {
    const bool room = space.free >= reserve_;
    const uint64_t growth_that_counts = std::min(kGrowthThatCounts, reserve_);
    for (const auto& host : hosts_) {
        const uint64_t bytes = host->bytes;
        if (limit_ > 0 && bytes > limit_)
            condemn(*host, "wrote " + in_mib(bytes) + " of disk, more than the " + in_mib(limit_) + " of its volume");
        if (room)
            host->when_there_was_room = bytes;
        else if (bytes > host->when_there_was_room + growth_that_counts)
            condemn(*host, "went on writing with only " + in_mib(space.free) + " left on the disk of the server");
    }
}

void DiskMeter::condemn(Host& host, std::string reason) {
    if (host.over) return;
    host.reason = std::move(reason);
    host.over = true;
    eventfd_write(event_.get(), 1);
}

std::vector<DiskMeter::Excess> DiskMeter::take_excesses() {
    std::vector<Excess> found;
    eventfd_t ignored = 0;
    eventfd_read(event_.get(), &ignored);
    for (size_t i = 0; i < hosts_.size(); ++i) {
        Host& host = *hosts_[i];
        if (!host.over || host.reported) continue;
        host.reported = true;
        found.push_back({static_cast<int>(i), host.reason});
    }
    return found;
}

// For usage() of the executor; replaced as a whole, read by whoever likes.
void DiskMeter::publish() const {
    std::vector<executors::PublishedUsage> usage;
    for (const auto& host : hosts_) usage.push_back({host->init, host->bytes, limit_});
    const std::string next = usage_path_ + ".new";
    if (write_file(next, executors::encode_usage(usage), 0600))
        static_cast<void>(rename(next.c_str(), usage_path_.c_str()));
}

}  // namespace millwright::launcher
