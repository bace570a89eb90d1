// Files: owned descriptors, whole-file reads, and writes that survive a power cut.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace millwright {

// Owns a file descriptor.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(std::exchange(other.fd_, -1));
        return *this;
    }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset(int fd = -1);

  private:
    int fd_ = -1;
};

// open(2) with O_CLOEXEC.
Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0644);
Result<std::string> read_file(const std::string& path, size_t limit = size_t{1} << 30);
// All bytes or an error; retries short writes and EINTR.
Result<void> write_all(int fd, std::string_view bytes);
// Not durable.
Result<void> write_file(const std::string& path, std::string_view bytes, mode_t mode = 0644);
// Temporary file, fsync, rename, fsync of the folder: readers see the old or the new content, also after a crash.
Result<void> replace_file_durably(const std::string& path, std::string_view bytes, mode_t mode = 0644);
Result<void> sync_directory(const std::string& path);
Result<void> make_directories(const std::string& path, mode_t mode = 0755);
// Tells ext4 that the subfolders of this folder have nothing to do with one another: it spreads them over the disk.
// Where trees come and go all the time it would otherwise look for each new inode among all those that were removed
// there in the last minutes, which it does not take again so soon. Other file systems do without.
void spread_subfolders(const std::string& path);
// Removes a tree without following links; missing is fine.
Result<void> remove_tree(const std::string& path);
bool file_exists(const std::string& path);

}  // namespace millwright
