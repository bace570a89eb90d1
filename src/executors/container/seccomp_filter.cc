#include "executors/container/seccomp_filter.h"

#include <algorithm>

#include "base/json.h"

namespace millwright::executors {
namespace {

constexpr std::string_view kAllow = "SCMP_ACT_ALLOW";
// clone3 is refused, so that the C library falls back to clone, whose flags a filter can see.
constexpr std::string_view kRefused[] = {"add_key",       "keyctl",
                                         "request_key",   "clone",
                                         "clone3",        "unshare",
                                         "setns",         "mount",
                                         "umount",        "umount2",
                                         "fsconfig",      "fsmount",
                                         "fsopen",        "fspick",
                                         "move_mount",    "open_tree",
                                         "pivot_root",    "bpf",
                                         "mount_setattr", "perf_event_open",
                                         "userfaultfd",   "open_by_handle_at"};
constexpr int64_t kNewNamespaces = 0x7e020000;  // all CLONE_NEW…

Json clone_without_namespaces() {
    const auto no_flags =
        Json::object({{"index", 0}, {"value", kNewNamespaces}, {"valueTwo", 0}, {"op", "SCMP_CMP_MASKED_EQ"}});
    return Json::object({{"names", Json::array({"clone"})}, {"action", kAllow}, {"args", Json::array({no_flags})}});
}

}  // namespace

Result<std::string> narrower_filter(std::string_view profile) {
    auto filter = TRY(Json::parse(profile));
    if (!filter["syscalls"].is_array() || filter["defaultAction"].string_or("") == kAllow)
        return invalid_input("the engine's filter of system calls is none that permits only what it names");
    auto rules = Json::array();
    for (Json rule : filter["syscalls"].items()) {
        auto names = Json::array();
        const bool allows = rule["action"].string_or("") == kAllow;
        for (const auto& name : rule["names"].items())
            if (!allows ||
                std::find(std::begin(kRefused), std::end(kRefused), name.string_or("")) == std::end(kRefused))
                names.push_back(name);
        if (names.size() == 0) continue;
        rule.set("names", std::move(names));
        rules.push_back(std::move(rule));
    }
    rules.push_back(clone_without_namespaces());
    filter.set("syscalls", std::move(rules));
    return filter.dump();
}

}  // namespace millwright::executors
