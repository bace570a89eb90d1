// Child processes of the runner: started, heard, told to stop, waited for.
//
// Signals that stop a job are passed on to the child in the foreground from the handler itself, so that nothing the
// runner does can delay them. One thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "script_mode/failure_text.h"

namespace millwright::runner {

using Variables = std::map<std::string, std::string>;

struct Command {
    std::vector<std::string> arguments;  // [0] absolute, relative to the folder, or found on the PATH of `variables`
    Variables variables;                 // the whole environment
    std::string folder;
};

struct Exit {
    int code = 0;  // 128 + signal when killed
    int signal = 0;
    bool failed() const { return code != 0; }
};

// From here on SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 go to the child in the foreground.
void forward_signals();
// SIGTERM, SIGINT, SIGHUP or SIGQUIT has come.
bool stop_requested();

// A process in the background, such as a parameter server. Its end gets SIGTERM, and SIGKILL after `grace`.
class Background {
  public:
    static Result<Background> start(const Command& command, int error_output);
    Background(Background&& other) noexcept;
    Background& operator=(Background&&) = delete;
    ~Background() { end(std::chrono::seconds(5)); }
    void end(std::chrono::milliseconds grace);
    pid_t pid() const { return pid_; }
    const Fd& pidfd() const { return pidfd_; }

  private:
    Background(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
    pid_t pid_ = 0;
    Fd pidfd_;
};

// The pipe that carries standard error of children: to our own standard error, unchanged, and into the tail.
class ErrorPipe {
  public:
    static Result<ErrorPipe> make();
    int writing_end() const { return writing_.get(); }
    int reading_end() const { return reading_.get(); }
    // Passes on what is there. False: no process holds the other end any more.
    bool pass_on(script_mode::ErrorTail& tail);
    void close_writing_end() { writing_.reset(); }

  private:
    ErrorPipe(Fd reading, Fd writing) : reading_(std::move(reading)), writing_(std::move(writing)) {}
    Fd reading_, writing_;
};

// Runs the command in the foreground to its end, and passes its standard error on. Ends early, with the failure of that
// process, when one of `essential` fails. What descendants of the command write after its end is not waited for.
// NotFound: it cannot be executed; the message says why. Conflict: the job is to stop already.
Result<Exit> run_in_foreground(const Command& command, ErrorPipe& errors, script_mode::ErrorTail& tail,
                               const std::vector<const Background*>& essential = {});

// Where a program lies, by the PATH of `variables`; empty: nowhere.
std::string find_program(const std::string& name, const Variables& variables, const std::string& folder);

}  // namespace millwright::runner
