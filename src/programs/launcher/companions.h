// Programs of ours beside a run: outside of its namespaces, as the user of the server, in the launcher's care.
//
// Their output goes to <folder>/companion.log. They die with the launcher; one that ends early is only waited for.
#pragma once

#include <sys/types.h>

#include <memory>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "executors/process/launch_spec.h"
#include "programs/launcher/event_loop.h"

namespace millwright::launcher {

class Companions {
  public:
    // Returns when all are executed; an error when one of them cannot be.
    static Result<std::unique_ptr<Companions>> start(EventLoop& loop, const executors::LaunchSpec& spec);
    ~Companions();

    // SIGTERM to each and its children, SIGKILL to those that are still there two seconds later.
    void end();

  private:
    struct Companion {
        pid_t pid = -1;
        Fd pidfd;
    };
    explicit Companions(EventLoop& loop) : loop_(loop) {}
    Result<void> add(const std::vector<std::string>& command, int log);
    void ended(int pidfd);

    EventLoop& loop_;
    std::vector<Companion> running_;
};

}  // namespace millwright::launcher
