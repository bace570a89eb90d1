// Archives: unpacked into a folder of memory, or refused. Whatever they hold, only plain things appear below the
// folder.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>

#include "base/check.h"
#include "base/files.h"
#include "executors/contract/archive.h"

namespace {

namespace fs = std::filesystem;

void check_tree(const std::string& folder) {
    for (const auto& item : fs::recursive_directory_iterator(folder)) {
        struct stat status {};
        CHECK(lstat(item.path().c_str(), &status) == 0);
        CHECK(S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode));
        CHECK((status.st_mode & (S_ISUID | S_ISGID)) == 0);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright;
    static const std::string top = [] {
        char name[] = "/dev/shm/mw_archive_fuzz_XXXXXX";
        return std::string(mkdtemp(name));
    }();
    const std::string folder = top + "/model";
    fs::create_directory(folder);
    const Fd file(memfd_create("archive", MFD_CLOEXEC));
    CHECK(write_all(file.get(), {reinterpret_cast<const char*>(data), size}).has_value());
    executors::ArchiveLimits limits;
    limits.max_bytes = 1 << 20;
    limits.max_entries = 200;
    static_cast<void>(executors::extract_archive(file.get(), size, folder, limits));
    check_tree(folder);
    CHECK(std::distance(fs::directory_iterator(top), fs::directory_iterator()) == 1);
    fs::remove_all(folder);
    if (const auto member = executors::read_archive_member(file.get(), "code/train.py", 1 << 16))
        CHECK(member->size() <= 1 << 16);
    if (const auto parts = executors::clean_archive_path({reinterpret_cast<const char*>(data), size}))
        for (const std::string& part : *parts)
            CHECK(!part.empty() && part != ".." && part != "." && part.find('/') == part.npos);
    return 0;
}
