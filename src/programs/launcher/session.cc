#include "programs/launcher/session.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/files.h"
#include "programs/launcher/execution.h"

namespace millwright::launcher {
namespace {

constexpr size_t kMaxSessions = 16;

// Fields that end with NUL.
std::vector<std::string> fields(std::string_view text) {
    std::vector<std::string> found;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\0'), text.size());
        found.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return found;
}

// Of the host's own devpts, so the caller's terminal stays out of the run's reach.
Result<Fd> open_terminal(Fd& master) {
    master = TRY(open_file("/dev/ptmx", O_RDWR | O_NOCTTY));
    const int unlocked = 0;
    if (ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0) return error_from_errno("cannot unlock a terminal");
    Fd slave(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!slave) return error_from_errno("cannot open a terminal");
    return slave;
}

bool read_head(const Message& message, SessionHead& head) {
    if (message.payload.size() < sizeof head) return false;
    std::memcpy(&head, message.payload.data(), sizeof head);
    return true;
}

}  // namespace

void Sessions::handle(const Message& message) {
    SessionHead head;
    if (!read_head(message, head)) return;
    if (message.kind == 'H') return begin(message);
    if (message.kind != 'K') return;
    for (const auto& [pid, ticket] : tickets_)
        if (ticket == head.ticket) kill(-pid, SIGKILL);
}

void Sessions::begin(const Message& message) {
    SessionHead head;
    static_cast<void>(read_head(message, head));
    Fd master;
    const auto started = start(message, master);
    if (!started) {
        const std::string text = std::string(bytes_of(head)) + started.error().message;
        static_cast<void>(send_message(channel_, 'F', text).has_value());
        return;
    }
    tickets_[*started] = head.ticket;
    std::vector<int> files;
    if (master) files.push_back(master.get());
    static_cast<void>(send_message(channel_, 'M', bytes_of(head), files).has_value());
}

// The payload: head, "NAME=value" for the environment, then the command.
Result<pid_t> Sessions::start(const Message& message, Fd& master) {
    if (tickets_.size() >= kMaxSessions) return Error{ErrorKind::LimitExceeded, "too many shells are open here", ""};
    std::vector<std::string> command = fields(std::string_view(message.payload).substr(sizeof(SessionHead)));
    if (command.empty()) return invalid_input("the request for a shell is not understood");
    std::vector<std::string> environment = spec_.environment;
    std::erase_if(environment, [](const std::string& variable) { return variable.starts_with("TERM="); });
    environment.push_back(command.front());
    command.erase(command.begin());
    if (command.empty()) command = {access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh"};
    if (message.files.size() == 3)
        return execute(command, environment, host_,
                       {message.files[0].get(), message.files[1].get(), message.files[2].get(), false});
    const Fd slave = TRY(open_terminal(master));
    return execute(command, environment, host_, {slave.get(), slave.get(), slave.get(), true});
}

void Sessions::ended(pid_t pid, int status) {
    const auto found = tickets_.find(pid);
    if (found == tickets_.end()) return;
    const SessionHead head{found->second, status};
    tickets_.erase(found);
    static_cast<void>(send_message(channel_, 'Q', bytes_of(head)).has_value());
}

}  // namespace millwright::launcher
