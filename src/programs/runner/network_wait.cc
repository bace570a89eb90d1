#include "programs/runner/network_wait.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "base/strings.h"
#include "programs/runner/process.h"

namespace millwright::runner {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kFirstPauseMs = 5, kLongestPauseMs = 500;

Error stopped() { return {ErrorKind::Conflict, "the job is to stop", ""}; }

// First field of the line of /etc/hosts that has the name.
std::string address_in(std::string_view hosts, std::string_view name) {
    for (std::string_view line : split(hosts, '\n')) {
        line = line.substr(0, line.find('#'));
        std::string_view address;
        while (!trim(line).empty()) {
            line = line.substr(line.find_first_not_of(" \t\r"));
            const std::string_view word = line.substr(0, line.find_first_of(" \t\r"));
            line.remove_prefix(word.size());
            if (address.empty()) {
                address = word;
            } else if (word == name && address.find(':') == std::string_view::npos) {
                return std::string(address);
            }
        }
    }
    return "";
}

// Output of `getent ahostsv4 NAME`: lines that begin with an address.
std::string asked_of_resolver(const std::string& name) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return "";
    const Fd reading(ends[0]);
    Fd writing(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, writing.get(), STDOUT_FILENO);
    char* arguments[] = {const_cast<char*>("getent"), const_cast<char*>("ahostsv4"), const_cast<char*>(name.c_str()),
                         nullptr};
    pid_t child = 0;
    const int failure = posix_spawnp(&child, "getent", &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    writing.reset();
    if (failure != 0) return "";
    char buffer[512];
    const ssize_t count = read(reading.get(), buffer, sizeof buffer);
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    if (count <= 0) return "";
    const std::string_view text(buffer, static_cast<size_t>(count));
    return std::string(text.substr(0, text.find_first_of(" \t\n")));
}

std::string address_of(const std::string& name) {
    in_addr ignored{};
    if (inet_pton(AF_INET, name.c_str(), &ignored) == 1) return name;
    const auto hosts = read_file("/etc/hosts");
    std::string found = hosts ? address_in(*hosts, name) : "";
    return found.empty() ? asked_of_resolver(name) : found;
}

bool accepts(const std::string& host, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, address_of(host).c_str(), &address.sin_addr) != 1) return false;
    const Fd socket_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    if (errno != EINPROGRESS) return false;
    pollfd wait = {socket_fd.get(), POLLOUT, 0};
    int failure = 1;
    socklen_t size = sizeof failure;
    if (poll(&wait, 1, 1000) != 1) return false;
    getsockopt(socket_fd.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
    return failure == 0;
}

// Asks again and again, at growing distances, until the time is over or the job is to stop.
template <typename Question>
Result<void> wait_until(Question question, std::chrono::seconds limit, const std::string& otherwise) {
    const auto deadline = Clock::now() + limit;
    for (int pause = kFirstPauseMs;; pause = std::min(2 * pause, kLongestPauseMs)) {
        if (question()) return {};
        if (stop_requested()) return stopped();
        if (Clock::now() >= deadline) return Error{ErrorKind::Unavailable, otherwise, ""};
        poll(nullptr, 0, pause);
        if (stop_requested()) return stopped();
    }
}

// So that it stays known when the engine's resolver has a bad moment, and to who does not ask that resolver. As another
// user than root this cannot be, and need not.
void keep_in_hosts_file(const std::string& name) {
    const auto hosts = read_file("/etc/hosts");
    in_addr literal{};
    if (!hosts || !address_in(*hosts, name).empty() || inet_pton(AF_INET, name.c_str(), &literal) == 1) return;
    const std::string address = asked_of_resolver(name);
    const auto file = open_file("/etc/hosts", O_WRONLY | O_APPEND);
    if (!address.empty() && file) static_cast<void>(write_all(file->get(), address + "\t" + name + "\n").has_value());
}

}  // namespace

Result<void> wait_for_names(const std::vector<std::string>& hosts, std::chrono::seconds limit) {
    for (const std::string& host : hosts) {
        const std::string otherwise =
            "the host " + host + " has no address after " + std::to_string(limit.count()) + " s";
        TRY(wait_until([&] { return !address_of(host).empty(); }, limit, otherwise));
        keep_in_hosts_file(host);
    }
    return {};
}

Result<void> wait_for_peer(const script_mode::Peer& peer) {
    return wait_until([&] { return accepts(peer.host, peer.port); }, peer.limit,
                      "nobody listens at " + peer.host + ":" + std::to_string(peer.port) + " after " +
                          std::to_string(peer.limit.count()) + " s");
}

}  // namespace millwright::runner
