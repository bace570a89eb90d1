// Tells a client that waits for something from one that just looks at it.
//
// The resource classes of the newer SDKs describe what they have created, and again for each get() and refresh(), and
// nothing in the request distinguishes that from their wait(). A look is one of a wait when it follows another of the
// same client closely: they wait in steps of 5 s.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "base/mutex.h"

namespace millwright::services {

// Thread-safe. Remembers a bounded number of looks.
class RecentLooks {
  public:
    using Time = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kClose{8};

    // Whether a look with this key was answered shortly before `now`.
    bool follows_another(const std::string& key, Time now);
    void answered(const std::string& key, Time now);

  private:
    Mutex mutex_;
    std::map<std::string, Time> answered_ GUARDED_BY(mutex_);
};

}  // namespace millwright::services
