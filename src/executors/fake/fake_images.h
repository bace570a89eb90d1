// Images for tests: there is what the test says, and it is ready at once, unless the test holds it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "executors/images.h"

namespace millwright::executors {

// Thread-safe.
class FakeImages : public Images {
  public:
    Result<void> look(const ImageRequest& request) override;
    Result<bool> here(const ImageRequest& request) override { return look(request).has_value(); }
    // Says "layer 1 of 2" and "layer 2 of 2".
    Result<RunImage> prepare(const ImageRequest& request, const ImageProgress& progress,
                             const std::function<bool()>& stop) override;

    // `reference` as oci::to_string has it.
    void add(const std::string& reference, RunImage image);
    void remove(const std::string& reference);
    void fail_next_prepare(Error error);
    // From now on prepare() waits, between its two lines, for release() or the caller's stop.
    void hold();
    void release();
    void wait_until_held();  // somebody waits; at most ten seconds

    std::vector<ImageRequest> prepared() const;  // what was asked for, oldest first

  private:
    mutable Mutex mutex_;
    Condition changed_;
    std::map<std::string, RunImage> images_ GUARDED_BY(mutex_);
    std::vector<ImageRequest> prepared_ GUARDED_BY(mutex_);
    std::optional<Error> next_error_ GUARDED_BY(mutex_);
    bool held_ GUARDED_BY(mutex_) = false;
    int waiting_ GUARDED_BY(mutex_) = 0;
};

}  // namespace millwright::executors
