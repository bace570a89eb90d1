#include "executors/container/run_network.h"

#include <cstdlib>

#include "base/files.h"
#include "base/random.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

// Engines have few ranges of their own, 31 in Docker, and rules that other daemons have left behind on a machine are
// about the same ones. 198.18.0.0/15 is what no network outside of test laboratories has.
constexpr uint32_t kRange = 198u << 24 | 18u << 16;
constexpr uint32_t kNetworks = 1024, kNetworkBits = 7;
constexpr int kAttempts = 16;

std::string dotted(uint32_t address) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8)
        text += std::to_string(address >> shift & 255) + (shift > 0 ? "." : "");
    return text;
}

uint32_t hexadecimal(std::string_view text) {
    return __builtin_bswap32(static_cast<uint32_t>(std::strtoul(std::string(text).c_str(), nullptr, 16)));
}

// Whether this machine has a route, other than the default, to a part of it.
bool is_routed(std::string_view routes, uint32_t address) {
    constexpr uint32_t kMask = ~0u << kNetworkBits;
    for (const auto line : split(routes, '\n')) {
        const auto fields = split(line, '\t');
        if (fields.size() < 8 || fields[1].size() != 8) continue;
        const uint32_t destination = hexadecimal(fields[1]), mask = hexadecimal(fields[7]);
        if (mask != 0 && (destination & mask & kMask) == (address & mask & kMask)) return true;
    }
    return false;
}

Result<RunNetwork> make_at(const RunParts& parts, const std::string& run, uint32_t address, bool internal) {
    RunNetwork network;
    network.gateway = dotted(address + 1);
    const auto range = Json::object(
        {{"Subnet", dotted(address) + "/" + std::to_string(32 - kNetworkBits)}, {"Gateway", network.gateway}});
    const auto body = Json::object({{"Name", "millwright-" + run},
                                    {"CheckDuplicate", true},
                                    {"Driver", "bridge"},
                                    {"Internal", internal},
                                    {"IPAM", Json::object({{"Config", Json::array({range})}})},
                                    {"Labels", Json::object({{kOwnerLabel, parts.owner}, {kRunLabel, run}})}});
    const auto made = TRY(parts.engine.post("/networks/create", body));
    network.id = made["Id"].string_or("");
    return network;
}

}  // namespace

Result<RunNetwork> make_run_network(const RunParts& parts, const std::string& run) {
    // Podman's internal networks have no rules of their own, and where Docker is there, too, it forbids what has none.
    // The gates close the way out in either case.
    const auto about = TRY(parts.engine.about());
    const bool internal = about.kind == EngineKind::Docker;
    const auto routes = read_file("/proc/net/route", size_t{1} << 20).value_or("");
    Result<RunNetwork> made = internal_error("all addresses for networks of runs are taken");
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const auto number = static_cast<uint32_t>(system_random().below(kNetworks));
        const uint32_t address = kRange + (number << kNetworkBits);
        if (is_routed(routes, address)) continue;
        made = make_at(parts, run, address, internal);
        // Another network, of which only the engine knows, may have the addresses.
        if (made || made.error().kind == ErrorKind::Unavailable) return made;
    }
    return made;
}

Result<void> remove_run_networks(const RunParts& parts, const std::string& run) {
    const auto networks = TRY(parts.engine.get("/networks?filters=" + label_filter(kRunLabel, run)));
    for (const auto& network : networks.items()) TRY(parts.engine.remove("/networks/" + network["Id"].string_or("")));
    return {};
}

}  // namespace millwright::executors
