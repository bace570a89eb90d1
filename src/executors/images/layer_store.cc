#include "executors/images/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "base/log.h"
#include "base/random.h"
#include "base/time.h"

namespace millwright::executors {
namespace {

constexpr const char* kLock = "lock";
constexpr const char* kRecord = "layer.json";
// Layers with the owners of the image are other layers: a server that runs as somebody else cannot use them.
constexpr std::string_view kWithOwners = "-owners";
constexpr auto kPatience = std::chrono::milliseconds(200);

bool lock_file(const Fd& file, short type) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return fcntl(file.get(), F_OFD_SETLK, &lock) == 0;
}

std::vector<std::string> entries_of(const std::string& folder) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> list(opendir(folder.c_str()), closedir);
    while (const dirent* entry = list ? readdir(list.get()) : nullptr)
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    return names;
}

bool is_layer_name(std::string_view name) {
    if (name.ends_with(kWithOwners)) name.remove_suffix(kWithOwners.size());
    return (name.size() == 64 || name.size() == 128) && name.find_first_not_of("0123456789abcdef") == name.npos;
}

}  // namespace

LayerStore::LayerStore(const UnpackSettings& settings)
    : folder_(settings.folder),
      limits_{settings.max_layer_bytes, UnpackLimits{}.max_entries, settings.disk_reserve_bytes, settings.keep_owners},
      grace_(settings.grace) {}

Result<std::unique_ptr<LayerStore>> LayerStore::open(const UnpackSettings& settings) {
    std::unique_ptr<LayerStore> store(new LayerStore(settings));
    // What users of the machine could look into would be files of private images.
    for (const char* name : {"", "/layers", "/unpacking"}) TRY(make_directories(settings.folder + name, 0700));
    store->remove_unfinished();
    return store;
}

std::string LayerStore::place_of(const std::string& digest) const {
    return folder_ + "/layers/" + digest.substr(digest.find(':') + 1) +
           std::string(limits_.keep_owners ? kWithOwners : "");
}

std::string LayerStore::folder_of(const std::string& digest) const { return place_of(digest) + "/root"; }

bool LayerStore::use(const std::string& digest, const std::string& diff_id) {
    MutexLock lock(mutex_);
    const std::string place = place_of(digest);
    const auto text = read_file(place + "/" + kRecord, 4096);
    if (!text) return false;
    const auto record = Json::parse(*text);
    if (!record || (*record)["diff_id"].string_or("") != diff_id) return false;
    return utimensat(AT_FDCWD, (place + "/" + kLock).c_str(), nullptr, 0) == 0;
}

Result<void> LayerStore::make(const WantedLayer& layer, const UnpackProgress& progress) {
    for (;;) {
        if (use(layer.digest, layer.diff_id)) return {};
        {
            MutexLock lock(mutex_);
            if (being_made_.insert(layer.digest).second) break;
            changed_.wait_until(mutex_, std::chrono::steady_clock::now() + kPatience);
        }
        TRY(progress(0));  // asks whether to go on
    }
    auto made = unpack(layer, progress);
    MutexLock lock(mutex_);
    being_made_.erase(layer.digest);
    changed_.notify_all();
    return made;
}

// A folder that nobody else takes for a leftover, because it is locked.
Result<Fd> LayerStore::begin(std::string& folder) const {
    folder = folder_ + "/unpacking/" + system_random().hex(16);
    TRY(make_directories(folder, 0700));
    Fd lock = TRY(open_file(folder + "/" + kLock, O_RDWR | O_CREAT, 0600));
    if (!lock_file(lock, F_WRLCK)) return internal_error("cannot lock a new layer");
    TRY(make_directories(folder + "/root"));
    return lock;
}

Result<void> LayerStore::unpack(const WantedLayer& layer, const UnpackProgress& progress) {
    auto blob = TRY(layer.open());
    std::string folder;
    const Fd lock = TRY(begin(folder));
    const auto work = [&]() -> Result<void> {
        const Unpacked done =
            TRY(unpack_layer(*blob, layer.digest, layer.diff_id, folder + "/root", limits_, progress));
        const Json record = Json::object({{"diff_id", layer.diff_id}, {"bytes", done.bytes}, {"files", done.files}});
        TRY(write_file(folder + "/" + kRecord, record.dump()));
        // A layer that is there is whole, also after a power cut.
        if (syncfs(lock.get()) != 0) return error_from_errno("cannot write a layer to the disk");
        const std::string place = place_of(layer.digest);
        if (rename(folder.c_str(), place.c_str()) == 0) return sync_directory(folder_ + "/layers");
        const Error failure = error_from_errno("cannot put a layer into its place");
        if (use(layer.digest, layer.diff_id)) return {};  // another process was quicker
        return failure;
    };
    auto result = work();
    static_cast<void>(remove_tree(folder).has_value());  // where it still has this name
    return result;
}

void LayerStore::remove_unfinished() const {
    for (const std::string& name : entries_of(folder_ + "/unpacking")) {
        const std::string folder = folder_ + "/unpacking/" + name;
        const auto lock = open_file(folder + "/" + kLock, O_RDWR);
        if (lock && !lock_file(*lock, F_WRLCK)) continue;  // somebody is at it
        const auto removed = remove_tree(folder);
        if (!removed) log::warning("cannot remove an unfinished layer", removed.error());
    }
}

std::vector<UnpackedLayer> LayerStore::list() {
    std::vector<UnpackedLayer> layers;
    for (const std::string& name : entries_of(folder_ + "/layers")) {
        if (!is_layer_name(name)) continue;
        const std::string place = folder_ + "/layers/" + name;
        struct stat status {};
        const auto lock = open_file(place + "/" + kLock, O_RDWR);
        if (!lock || fstat(lock->get(), &status) != 0) continue;
        const auto text = read_file(place + "/" + kRecord, 4096);
        const auto record = text ? Json::parse(*text) : Result<Json>(Json());
        UnpackedLayer layer;
        layer.folder = place;
        const std::string hex = name.substr(0, name.find('-'));
        layer.digest = (hex.size() == 64 ? "sha256:" : "sha512:") + hex;
        layer.bytes = record ? static_cast<uint64_t>((*record)["bytes"].int_or(0)) : 0;
        layer.files = record ? static_cast<uint64_t>((*record)["files"].int_or(0)) : 0;
        layer.used = std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec);
        layer.in_use = !lock_file(*lock, F_WRLCK);
        layers.push_back(std::move(layer));
    }
    std::sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) { return a.used < b.used; });
    return layers;
}

// Out of the way at once; what takes time comes after. False: somebody uses it, or did a moment ago.
bool LayerStore::take_away(const UnpackedLayer& layer, std::string& removed) {
    MutexLock mutex(mutex_);
    struct stat status {};
    const auto lock = open_file(layer.folder + "/" + kLock, O_RDWR);
    if (!lock || fstat(lock->get(), &status) != 0 || !lock_file(*lock, F_WRLCK)) return false;
    if (std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec) != layer.used) return false;
    removed = folder_ + "/unpacking/" + system_random().hex(16);
    return rename(layer.folder.c_str(), removed.c_str()) == 0;
}

uint64_t LayerStore::remove_unused(std::chrono::seconds unused_for,
                                   const std::function<bool(const UnpackedLayer&)>& wanted) {
    remove_unfinished();
    const auto before = std::chrono::system_clock::now() - std::max(unused_for, grace_);
    uint64_t freed = 0;
    for (const UnpackedLayer& layer : list()) {
        std::string removed;
        if (layer.in_use || layer.used > before || wanted(layer) || !take_away(layer, removed)) continue;
        const auto gone = remove_tree(removed);
        if (!gone) log::warning("cannot remove the layer " + layer.digest, gone.error());
        freed += layer.bytes;
    }
    return freed;
}

uint64_t LayerStore::free_bytes() const {
    struct statvfs disk {};
    if (statvfs(folder_.c_str(), &disk) != 0) return UINT64_MAX;
    return disk.f_bavail * disk.f_frsize;
}

}  // namespace millwright::executors
