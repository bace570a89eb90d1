// A whole file mapped for reading.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace millwright::algorithms {

// REQUIRES: nobody shortens the file while it is mapped (input of a job never changes).
class MappedFile {
  public:
    static Result<MappedFile> open(const std::string& path);
    MappedFile() = default;
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept
        : path_(std::move(other.path_)),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)) {}
    MappedFile& operator=(MappedFile&&) = delete;

    const std::string& path() const { return path_; }
    std::string_view bytes() const { return {data_, size_}; }

  private:
    std::string path_;
    const char* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace millwright::algorithms
