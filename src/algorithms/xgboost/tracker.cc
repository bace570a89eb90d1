// Messages are 32-bit integers in host order and strings as length and bytes.
//
//   worker:  magic                tracker: magic
//   worker:  rank (-1) world_size (-1) task_id command
//   command "print":     worker: text
//   command "shutdown":  nothing more
//   command "start", once all workers have come, for each in rank order:
//     tracker: rank parent world_size count(tree neighbours) neighbour… previous next   (ring; -1: none)
//     repeat
//       worker:  count(links it has) rank…
//       tracker: count(workers to connect to) count(connections to wait for), then for each to connect to:
//       host port rank worker:  count(failed connections)
//     until 0
//     worker:  its own listening port
#include "algorithms/xgboost/tracker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>
#include <stop_token>
#include <thread>

#include "base/files.h"
#include "base/mutex.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr int32_t kMagic = 0xff99;
constexpr int32_t kMaxText = 64 * 1024;
constexpr std::chrono::seconds kSilenceLimit{120};
constexpr int kPollMilliseconds = 100;

// A blocking connection that gives up when asked to stop or after kSilenceLimit.
class Peer {
  public:
    Peer(Fd fd, std::stop_token stop) : fd_(std::move(fd)), stop_(std::move(stop)) {}

    Result<int32_t> receive_number() {
        int32_t value = 0;
        TRY(receive(&value, sizeof value));
        return value;
    }
    Result<std::string> receive_text() {
        const int32_t size = TRY(receive_number());
        if (size < 0 || size > kMaxText)
            return internal_error("tracker: a worker sent a text of " + std::to_string(size) + " bytes");
        std::string text(static_cast<size_t>(size), '\0');
        TRY(receive(text.data(), text.size()));
        return text;
    }
    Result<void> send_number(int32_t value) {
        return write_all(fd_.get(), {reinterpret_cast<const char*>(&value), sizeof value});
    }
    Result<void> send_text(const std::string& text) {
        TRY(send_number(static_cast<int32_t>(text.size())));
        return write_all(fd_.get(), text);
    }

  private:
    Result<void> receive(void* out, size_t size) {
        const auto deadline = std::chrono::steady_clock::now() + kSilenceLimit;
        for (size_t done = 0; done < size;) {
            if (stop_.stop_requested()) return internal_error("tracker: stopped");
            if (std::chrono::steady_clock::now() > deadline) return internal_error("tracker: a worker is silent");
            pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
            if (poll(&ready, 1, kPollMilliseconds) <= 0) continue;
            const ssize_t got = recv(fd_.get(), static_cast<char*>(out) + done, size - done, 0);
            if (got == 0) return internal_error("tracker: a worker closed the connection");
            if (got < 0 && errno != EINTR) return error_from_errno("tracker: cannot read from a worker");
            if (got > 0) done += static_cast<size_t>(got);
        }
        return {};
    }

    Fd fd_;
    std::stop_token stop_;
};

class RabitTracker : public Tracker {
  public:
    RabitTracker(std::vector<std::string> workers, Fd listener, uint16_t port)
        : workers_(std::move(workers)), listener_(std::move(listener)), port_(port) {
        thread_ = std::jthread([this](std::stop_token stop) {
            const auto result = run(stop);
            if (!result) {
                const MutexLock lock(mutex_);
                problem_ = result.error().message;
            }
            finished_.store(true);
        });
    }

    uint16_t port() const override { return port_; }
    bool finished() const override { return finished_.load(); }
    std::string problem() const override {
        const MutexLock lock(mutex_);
        return problem_;
    }

  private:
    struct Waiting {
        int32_t port = 0;
        int connections = 0;  // still to come
    };

    int size() const { return static_cast<int>(workers_.size()); }

    Result<void> run(const std::stop_token& stop) {
        std::map<int, Peer> starting;
        size_t gone = 0;
        while (gone < workers_.size()) {
            if (stop.stop_requested()) return {};
            pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
            if (poll(&ready, 1, kPollMilliseconds) <= 0) continue;
            Fd accepted(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!accepted) continue;
            Peer peer(std::move(accepted), stop);
            // A stranger on the port is no reason to fail the job.
            const auto command = greet(peer);
            if (!command) continue;
            if (command->name == "print") {
                if (const auto text = peer.receive_text())
                    std::fprintf(stderr, "%s\n", std::string(trim(*text)).c_str());
            } else if (command->name == "shutdown") {
                ++gone;
            } else if (command->name == "start") {
                const auto task = parse_int(command->task);
                if (!task || *task < 0 || *task >= size())
                    return internal_error("tracker: unknown task " + command->task);
                starting.insert_or_assign(static_cast<int>(*task), std::move(peer));
                if (starting.size() < workers_.size()) continue;
                TRY(introduce_all(starting));
                starting.clear();
            } else {
                return internal_error("tracker: a worker wants to " + command->name);
            }
        }
        return {};
    }

    struct Command {
        std::string task;
        std::string name;
    };

    Result<Command> greet(Peer& peer) {
        if (TRY(peer.receive_number()) != kMagic) return internal_error("tracker: not a worker");
        TRY(peer.send_number(kMagic));
        TRY(peer.receive_number());  // the rank it had
        TRY(peer.receive_number());  // world size, -1 as a rule
        Command out;
        out.task = TRY(peer.receive_text());
        out.name = TRY(peer.receive_text());
        return out;
    }

    Result<void> introduce_all(std::map<int, Peer>& peers) {
        std::map<int, Waiting> waiting;
        for (auto& [rank, peer] : peers) TRY(introduce(rank, peer, waiting));
        return {};
    }

    std::set<int> tree_neighbours(int rank) const {
        std::set<int> out;
        if (rank > 0) out.insert((rank + 1) / 2 - 1);
        for (const int child : {2 * rank + 1, 2 * rank + 2}) {
            if (child < size()) out.insert(child);
        }
        return out;
    }

    Result<void> introduce(int rank, Peer& peer, std::map<int, Waiting>& waiting) {
        std::set<int> links = tree_neighbours(rank);
        const int previous = (rank + size() - 1) % size();
        const int next = (rank + 1) % size();
        TRY(peer.send_number(rank));
        TRY(peer.send_number(rank == 0 ? -1 : (rank + 1) / 2 - 1));
        TRY(peer.send_number(size()));
        TRY(peer.send_number(static_cast<int32_t>(links.size())));
        for (const int neighbour : links) TRY(peer.send_number(neighbour));
        for (const int neighbour : {previous, next}) {
            TRY(peer.send_number(neighbour == rank ? -1 : neighbour));
            if (neighbour != rank) links.insert(neighbour);
        }
        return connect_links(rank, peer, links, waiting);
    }

    Result<void> connect_links(int rank, Peer& peer, const std::set<int>& links, std::map<int, Waiting>& waiting) {
        for (int attempt = 0; attempt < 100; ++attempt) {
            std::set<int> missing = links;
            const int32_t good = TRY(peer.receive_number());
            for (int32_t i = 0; i < good && i < size(); ++i) missing.erase(TRY(peer.receive_number()));
            std::vector<int> reachable;
            for (const int neighbour : missing) {
                if (waiting.contains(neighbour)) reachable.push_back(neighbour);
            }
            const int to_accept = static_cast<int>(missing.size() - reachable.size());
            TRY(peer.send_number(static_cast<int32_t>(reachable.size())));
            TRY(peer.send_number(to_accept));
            for (const int neighbour : reachable) {
                TRY(peer.send_text(workers_[static_cast<size_t>(neighbour)]));
                TRY(peer.send_number(waiting[neighbour].port));
                TRY(peer.send_number(neighbour));
            }
            if (TRY(peer.receive_number()) != 0) continue;
            const int32_t port = TRY(peer.receive_number());
            for (const int neighbour : reachable) {
                if (--waiting[neighbour].connections == 0) waiting.erase(neighbour);
            }
            if (to_accept > 0) waiting[rank] = {.port = port, .connections = to_accept};
            return {};
        }
        return internal_error("tracker: host " + workers_[static_cast<size_t>(rank)] + " cannot connect to the others");
    }

    std::vector<std::string> workers_;
    Fd listener_;
    uint16_t port_;
    std::atomic<bool> finished_{false};
    mutable Mutex mutex_;
    std::string problem_ GUARDED_BY(mutex_);
    std::jthread thread_;  // last: joined before the rest goes
};

}  // namespace

Result<std::unique_ptr<Tracker>> Tracker::start(std::vector<std::string> workers) {
    Fd listener(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    socklen_t size = 0;
    if (listener) {
        const int off = 0;
        setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
        v6.sin6_family = AF_INET6;
        v6.sin6_addr = in6addr_any;
        size = sizeof v6;
    }
    if (!listener || bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {  // a kernel without IPv6
        listener.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!listener) return error_from_errno("tracker: socket");
        address = {};
        auto& v4 = reinterpret_cast<sockaddr_in&>(address);
        v4.sin_family = AF_INET;
        size = sizeof v4;
        if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
            return error_from_errno("tracker: bind");
    }
    if (listen(listener.get(), 256) != 0) return error_from_errno("tracker: listen");
    size = sizeof address;
    if (getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return error_from_errno("tracker: getsockname");
    const uint16_t port = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                                              : reinterpret_cast<sockaddr_in&>(address).sin_port);
    return std::unique_ptr<Tracker>(std::make_unique<RabitTracker>(std::move(workers), std::move(listener), port));
}

}  // namespace millwright::algorithms::xgboost
