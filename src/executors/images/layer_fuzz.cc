// Layers: unpacked into a folder of memory, or refused. Whatever they hold, nothing appears outside of the folder, and
// in it only what images are made of.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/digest.h"
#include "executors/images/unpack.h"

namespace {

namespace fs = std::filesystem;
using namespace millwright;

class Bytes : public oci::BlobReader {
  public:
    explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
    uint64_t size() const override { return bytes_.size(); }
    Result<size_t> read(char* buffer, size_t size) override {
        const size_t count = std::min(size, bytes_.size() - at_);
        std::memcpy(buffer, bytes_.data() + at_, count);
        at_ += count;
        return count;
    }

  private:
    std::string_view bytes_;
    size_t at_ = 0;
};

void check_tree(const std::string& folder) {
    for (const auto& item : fs::recursive_directory_iterator(folder)) {
        struct stat status {};
        CHECK(lstat(item.path().c_str(), &status) == 0);
        CHECK((status.st_mode & (S_ISUID | S_ISGID)) == 0);
        CHECK(!S_ISBLK(status.st_mode) && !S_ISSOCK(status.st_mode));
        CHECK(!S_ISCHR(status.st_mode) || status.st_rdev == 0);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::string top = [] {
        char name[] = "/dev/shm/mw_layer_fuzz_XXXXXX";
        return std::string(mkdtemp(name));
    }();
    const std::string folder = top + "/layer";
    fs::create_directory(folder);
    Bytes blob({reinterpret_cast<const char*>(data), size});
    executors::UnpackLimits limits;
    limits.max_bytes = 1 << 20;
    limits.max_entries = 200;
    const std::string digest = "sha256:" + sha256_hex({reinterpret_cast<const char*>(data), size});
    static_cast<void>(
        executors::unpack_layer(blob, digest, digest, folder, limits, [](uint64_t) { return Result<void>(); }));
    check_tree(folder);
    CHECK(std::distance(fs::directory_iterator(top), fs::directory_iterator()) == 1);
    fs::remove_all(folder);
    return 0;
}
