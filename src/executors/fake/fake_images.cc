#include "executors/fake/fake_images.h"

namespace millwright::executors {

Result<void> FakeImages::look(const ImageRequest& request) {
    const MutexLock lock(mutex_);
    if (images_.contains(oci::to_string(request.reference))) return {};
    return not_found("there is no image " + oci::to_string(request.reference));
}

Result<RunImage> FakeImages::prepare(const ImageRequest& request, const ImageProgress& progress,
                                     const std::function<bool()>& stop) {
    {
        const MutexLock lock(mutex_);
        prepared_.push_back(request);
        if (next_error_) {
            auto error = std::move(*next_error_);
            next_error_.reset();
            return error;
        }
    }
    TRY(look(request));
    progress("layer 1 of 2");
    {
        const MutexLock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        while (held_ && !stop())
            changed_.wait_until(mutex_, std::chrono::steady_clock::now() + std::chrono::milliseconds(5));
        --waiting_;
    }
    if (stop()) return Error{ErrorKind::Conflict, "stopped", ""};
    progress("layer 2 of 2");
    const MutexLock lock(mutex_);
    const auto image = images_.find(oci::to_string(request.reference));
    if (image == images_.end()) return not_found("the image has gone meanwhile");
    return image->second;
}

void FakeImages::add(const std::string& reference, RunImage image) {
    const MutexLock lock(mutex_);
    images_[reference] = std::move(image);
}

void FakeImages::remove(const std::string& reference) {
    const MutexLock lock(mutex_);
    images_.erase(reference);
}

void FakeImages::fail_next_prepare(Error error) {
    const MutexLock lock(mutex_);
    next_error_ = std::move(error);
}

void FakeImages::hold() {
    const MutexLock lock(mutex_);
    held_ = true;
}

void FakeImages::release() {
    const MutexLock lock(mutex_);
    held_ = false;
    changed_.notify_all();
}

void FakeImages::wait_until_held() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    const MutexLock lock(mutex_);
    while (waiting_ == 0) CHECK(changed_.wait_until(mutex_, deadline));
}

std::vector<ImageRequest> FakeImages::prepared() const {
    const MutexLock lock(mutex_);
    return prepared_;
}

}  // namespace millwright::executors
