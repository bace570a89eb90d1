#include "algorithms/common/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/files.h"

namespace millwright::algorithms {

Result<MappedFile> MappedFile::open(const std::string& path) {
    const Fd file = TRY(open_file(path, O_RDONLY));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return error_from_errno("cannot read " + path);
    if (!S_ISREG(status.st_mode)) return invalid_input(path + " is not a regular file");
    MappedFile mapped;
    mapped.path_ = path;
    if (status.st_size == 0) return mapped;
    const auto size = static_cast<size_t>(status.st_size);
    void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED) return error_from_errno("cannot map " + path);
    madvise(memory, size, MADV_SEQUENTIAL);
    madvise(memory, size, MADV_WILLNEED);
    mapped.data_ = static_cast<const char*>(memory);
    mapped.size_ = size;
    return mapped;
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) munmap(const_cast<char*>(data_), size_);
}

}  // namespace millwright::algorithms
