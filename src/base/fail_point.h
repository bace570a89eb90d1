// Named places at which a test makes the server die or dawdle. Always compiled in, one load and one branch where no
// test asks for them.
//
//   FAIL_POINT("training_jobs.after_create");            when it is reached
//   FAIL_POINT_AT_EXIT("endpoints.after_create");        when the block is left: after the commit of a `return
//   write(…)`
//
//   MILLWRIGHT_FAIL_POINTS = point *(";" point)
//   point  = name "=" ("kill" | "sleep:" milliseconds) ["@" n]      the n-th time it is reached only; else each time
//
// `kill` is SIGKILL of the process itself. Names are "<module>.<place>", and each is used once in the sources.
#pragma once

#include <string_view>

namespace millwright::fail_points {

// False unless the environment names one.
bool armed();
void reach(std::string_view name);

class AtExit {
  public:
    explicit AtExit(std::string_view name) : name_(name) {}
    ~AtExit() {
        if (armed()) reach(name_);
    }
    AtExit(const AtExit&) = delete;
    AtExit& operator=(const AtExit&) = delete;

  private:
    const std::string_view name_;
};

}  // namespace millwright::fail_points

#define FAIL_POINT(name) \
    (::millwright::fail_points::armed() ? ::millwright::fail_points::reach(name) : static_cast<void>(0))
#define FAIL_POINT_AT_EXIT(name) const ::millwright::fail_points::AtExit fail_point_at_exit(name)
