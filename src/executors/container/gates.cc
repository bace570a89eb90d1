#include "executors/container/gates.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr size_t kMaxProgram = size_t{64} << 20;
constexpr size_t kMaxKept = 8;
constexpr int kReadyMs = 30000;
constexpr const char* kProgramInside = "/gate/millwright-gate";
// As many connections at once, a child each.
constexpr int kMaxProcesses = 300;
constexpr int64_t kMemory = int64_t{256} << 20;
constexpr int64_t kCpuShares = 1024;  // as one CPU

void add_to_tar(std::string& tar, const std::string& name, int mode, char kind, std::string_view content) {
    std::array<char, 512> head{};
    const auto field = [&](size_t at, size_t size, const std::string& text) {
        std::memcpy(head.data() + at, text.data(), std::min(size, text.size()));
    };
    const auto octal = [](uint64_t value, int digits) {
        char text[24];
        std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
        return std::string(text);
    };
    field(0, 100, name);
    field(100, 8, octal(static_cast<uint64_t>(mode), 7));
    field(108, 8, octal(0, 7));
    field(116, 8, octal(0, 7));
    field(124, 12, octal(content.size(), 11));
    field(136, 12, octal(0, 11));
    head[156] = kind;
    field(257, 8, std::string("ustar\00000", 8));
    field(148, 8, "        ");
    uint64_t sum = 0;
    for (const char byte : head) sum += static_cast<unsigned char>(byte);
    field(148, 8, octal(sum, 6) + std::string("\0 ", 2));
    tar.append(head.data(), head.size());
    tar.append(content);
    tar.append((512 - content.size() % 512) % 512, '\0');
}

std::string image_tar(std::string_view program) {
    std::string tar;
    for (const char* folder : {"gate/", "gate/run/", "doors/", "egress/"}) add_to_tar(tar, folder, 0755, '5', "");
    add_to_tar(tar, kProgramInside + 1, 0755, '0', program);
    tar.append(1024, '\0');
    return tar;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Json bind_mount(const std::string& source, const std::string& target, bool read_only) {
    return Json::object({{"Type", "bind"}, {"Source", source}, {"Target", target}, {"ReadOnly", read_only}});
}

}  // namespace

Gates::Gates(EngineClient& engine, const ContainerSettings& settings, std::string owner)
    : engine_(engine), settings_(settings), owner_(std::move(owner)) {
    worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

// Runs may be alive and have gates; those that nobody uses go.
Gates::~Gates() {
    {
        const MutexLock lock(mutex_);
        stopping_ = true;
        changed_.notify_all();
    }
    worker_.join();
    for (const auto& kept : kept_) remove_quietly(kept.gate);
}

Result<std::string> Gates::image() {
    const MutexLock lock(image_mutex_);
    if (!image_.empty()) return image_;
    const auto program = TRY(read_file(settings_.gate_program, kMaxProgram));
    const auto name = "millwright-gate-" + sha256_hex(program).substr(0, 16);
    auto known = engine_.get("/images/" + name + "/json");
    if (!known && known.error().kind == ErrorKind::NotFound) {
        TRY(engine_.post_tar("/images/create?fromSrc=-&repo=" + name, image_tar(program)));
        known = engine_.get("/images/" + name + "/json");
    }
    if (!known) return known.error();
    image_ = (*known)["Id"].string_or(name);
    return image_;
}

Result<Gate> Gates::take(const GateWish& wish) {
    // One that was kept may have ended, with the engine's last restart.
    while (const auto kept = take_kept(wish)) {
        const auto about = engine_.get("/containers/" + kept->container + "/json");
        if (about && (*about)["State"]["Running"].bool_or(false)) return *kept;
        remove_quietly(*kept);
    }
    return make(wish);
}

std::optional<Gate> Gates::take_kept(const GateWish& wish) {
    const MutexLock lock(mutex_);
    const auto fits = [&](const Kept& kept) { return kept.wish == wish; };
    // One that is just being made is sooner there than another.
    while (making_ && std::none_of(kept_.begin(), kept_.end(), fits)) changed_.wait(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), fits);
    if (found == kept_.end()) return std::nullopt;
    const auto gate = found->gate;
    kept_.erase(found);
    return gate;
}

Result<Gate> Gates::make(const GateWish& wish) {
    const auto image_id = TRY(image());
    Gate gate;
    gate.folder = settings_.state_folder + "/gates/" + system_random().hex(16);
    TRY(make_directories(settings_.state_folder + "/gates", 0700));
    TRY(make_directories(gate.folder));
    // With an engine whose root is another user than we are, the gate makes its socket in there; who may reach the
    // folder at all is decided by its parent.
    if (chmod(gate.folder.c_str(), 0777) != 0) return error_from_errno("cannot open " + gate.folder);
    const auto fifo_path = gate.folder + "/ready";
    if (mkfifo(fifo_path.c_str(), 0666) != 0 || chmod(fifo_path.c_str(), 0666) != 0)
        return error_from_errno("cannot make " + fifo_path);
    const Fd fifo = TRY(open_file(fifo_path, O_RDWR | O_NONBLOCK));

    auto mounts = Json::array({bind_mount(gate.folder, "/gate/run", false)});
    auto command = Json::array({"hold", std::to_string(wish.served_port), wish.network.empty() ? "-" : wish.gateway});
    if (!wish.isolated && !settings_.api_socket.empty()) {
        mounts.push_back(bind_mount(folder_of(settings_.api_socket), "/doors", true));
        command.push_back("/doors/" + name_of(settings_.api_socket));
        if (!wish.egress_socket.empty()) {
            mounts.push_back(bind_mount(folder_of(wish.egress_socket), "/egress", true));
            command.push_back("/egress/" + name_of(wish.egress_socket));
        }
    }
    auto host = Json::object({{"NetworkMode", wish.network.empty() ? "none" : wish.network},
                              {"CapDrop", Json::array({"ALL"})},
                              {"CapAdd", Json::array({"NET_ADMIN", "NET_BIND_SERVICE", "DAC_OVERRIDE"})},
                              {"SecurityOpt", Json::array({"no-new-privileges"})},
                              {"ReadonlyRootfs", true},
                              {"PidsLimit", kMaxProcesses},
                              {"Memory", kMemory},
                              {"CpuShares", kCpuShares},
                              {"Mounts", std::move(mounts)},
                              {"LogConfig", Json::object({{"Type", "json-file"}})}});
    // Link-local addresses of the bridge would lead around what the gate blocks.
    if (file_exists("/proc/sys/net/ipv6/conf/all/disable_ipv6"))
        host.set("Sysctls", Json::object({{"net.ipv6.conf.all.disable_ipv6", "1"}}));
    auto labels = Json::object({{kOwnerLabel, owner_}, {kGateLabel, gate.folder}});
    if (!wish.run.empty()) labels.set(kRunLabel, wish.run);
    const auto body = Json::object({{"Image", image_id},
                                    {"Entrypoint", Json::array({kProgramInside})},
                                    {"Cmd", std::move(command)},
                                    {"Hostname", "algo-" + std::to_string(wish.host + 1)},
                                    {"Labels", std::move(labels)},
                                    {"HostConfig", std::move(host)}});
    const auto created = TRY(engine_.post("/containers/create?name=millwright-gate-" + name_of(gate.folder), body));
    gate.container = created["Id"].string_or("");
    auto ready = [&]() -> Result<std::string> {
        TRY(engine_.post("/containers/" + gate.container + "/start"));
        return wait_until_ready(fifo.get(), gate.container);
    }();
    if (!ready) {
        remove_quietly(gate);
        return ready.error();
    }
    gate.address = *ready;
    return gate;
}

// "ready <address>"
Result<std::string> Gates::wait_until_ready(int fifo, const std::string& container) {
    pollfd waiting{fifo, POLLIN, 0};
    std::string text;
    while (text.find('\n') == std::string::npos) {
        // In pieces, so that the end of the gate is noticed.
        for (int waited = 0; poll(&waiting, 1, 250) == 0; waited += 250) {
            const auto state = engine_.get("/containers/" + container + "/json");
            if (waited < kReadyMs && state && (*state)["State"]["Running"].bool_or(false)) continue;
            std::string said;
            static_cast<void>(engine_
                                  .stream("GET", "/containers/" + container + "/logs?stderr=1&stdout=1&tail=5", {},
                                          [&](std::string_view piece) {
                                              said += piece.substr(std::min<size_t>(piece.size(), 8));
                                              return said.size() < 2000;
                                          })
                                  .has_value());
            return internal_error("the network of a container could not be prepared",
                                  "the gate said: " + valid_utf8(trim(said)));
        }
        char buffer[128];
        const ssize_t got = read(fifo, buffer, sizeof buffer);
        if (got > 0) text.append(buffer, static_cast<size_t>(got));
        if (got < 0 && errno != EAGAIN && errno != EINTR) return error_from_errno("cannot hear from a gate");
    }
    const auto words = split(std::string_view(text).substr(0, text.find('\n')), ' ');
    if (words.size() != 2 || words[0] != "ready") return internal_error("a gate speaks another language", text);
    return std::string(words[1]);
}

bool Gates::keep(const GateWish& wish, const Gate& gate) {
    const MutexLock lock(mutex_);
    // A replica's clients may have left connections behind that keep its port for a while.
    const bool kept = wish.network.empty() && wish.served_port == 0 && kept_.size() < kMaxKept && !stopping_;
    if (kept) kept_.push_back({wish, gate});
    changed_.notify_all();
    return kept;
}

void Gates::warm(const GateWish& wish) {
    const MutexLock lock(mutex_);
    const auto same = [&](const Kept& kept) { return kept.wish == wish; };
    if (making_ || !wanted_.empty() || std::any_of(kept_.begin(), kept_.end(), same)) return;
    wanted_.push_back(wish);
    changed_.notify_all();
}

void Gates::work(const std::stop_token&) {
    for (;;) {
        GateWish wish;
        {
            const MutexLock lock(mutex_);
            while (!stopping_ && wanted_.empty()) changed_.wait(mutex_);
            if (stopping_) return;
            wish = wanted_.back();
            wanted_.pop_back();
            making_ = true;
        }
        const auto made = make(wish);
        if (!made) log::debug("no gate could be made ahead of its use: " + made.error().message);
        const MutexLock lock(mutex_);
        making_ = false;
        if (made) kept_.push_back({wish, *made});
        changed_.notify_all();
    }
}

Result<void> Gates::remove(const Gate& gate) {
    TRY(engine_.remove("/containers/" + gate.container + "?force=1&v=1"));
    return remove_tree(gate.folder);
}

void Gates::remove_quietly(const Gate& gate) {
    if (const auto removed = remove(gate); !removed) log::warning("cannot remove a helper container", removed.error());
}

void Gates::remove_folders_but(const std::set<std::string>& used) {
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.state_folder + "/gates", failure))
        if (const auto folder = entry.path().string(); !used.contains(folder))
            if (const auto gone = remove_tree(folder); !gone) log::warning("cannot remove " + folder, gone.error());
}

Result<void> Gates::run_helper(const std::vector<std::string>& arguments, const std::vector<std::string>& folders,
                               Json host_config) {
    const auto image_id = TRY(image());
    auto mounts = host_config["Mounts"].is_array() ? host_config["Mounts"] : Json::array();
    for (const auto& folder : folders) mounts.push_back(bind_mount(folder, folder, false));
    auto command = Json::array();
    for (const auto& argument : arguments) command.push_back(argument);
    host_config.set("Mounts", std::move(mounts));
    host_config.set("NetworkMode", "none");
    host_config.set("CapDrop", Json::array({"ALL"}));
    host_config.set("CapAdd", Json::array({"CHOWN", "DAC_OVERRIDE", "FOWNER"}));
    host_config.set("SecurityOpt", Json::array({"no-new-privileges"}));
    host_config.set("ReadonlyRootfs", true);
    // Where the engine's containers have users of their own, this one has the machine's.
    host_config.set("UsernsMode", "host");
    const auto about = TRY(engine_.about());
    if (about.kind == EngineKind::Podman) host_config.erase("UsernsMode");
    const auto body = Json::object({{"Image", image_id},
                                    {"Entrypoint", Json::array({kProgramInside})},
                                    {"Cmd", std::move(command)},
                                    {"Labels", Json::object({{kOwnerLabel, owner_}, {kGateLabel, ""}})},
                                    {"HostConfig", std::move(host_config)}});
    const auto created = TRY(engine_.post("/containers/create", body));
    const auto container = "/containers/" + created["Id"].string_or("");
    auto status = [&]() -> Result<int64_t> {
        TRY(engine_.post(container + "/start"));
        const auto ended = TRY(engine_.post(container + "/wait", Json(), std::chrono::minutes(30)));
        return ended["StatusCode"].int_or(-1);
    }();
    static_cast<void>(engine_.remove(container + "?force=1&v=1").has_value());
    if (!status) return status.error();
    if (*status != 0)
        return internal_error("a helper container failed with " + std::to_string(*status), join(arguments, " "));
    return {};
}

}  // namespace millwright::executors
