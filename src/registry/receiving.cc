#include "registry/receiving.h"

#include <fcntl.h>

#include <memory>
#include <span>
#include <string>

#include "object_store/file_store.h"
#include "registry/rows.h"

namespace millwright::registry {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
// Handed over to the disk early, so that the sync at the end is short.
constexpr uint64_t kWriteBackBytes = uint64_t{16} << 20;

}  // namespace

Result<uint64_t> receive(int fd, uint64_t offset, uint64_t most, const Source& source,
                         const std::function<void(std::string_view)>& seen) {
    const auto room = std::make_unique_for_overwrite<char[]>(kBufferBytes);
    const std::span<char> buffer(room.get(), kBufferBytes);
    uint64_t received = 0, handed_over = 0;
    const auto write_out = [&](size_t filled) -> Result<void> {
        const std::string_view bytes(buffer.data(), filled);
        if (filled > most || offset + received > most - filled)
            return failure(ErrorKind::LimitExceeded, "A layer has at most " + std::to_string(most) + " bytes",
                           reason::kBlobSize);
        TRY(object_store::write_all_at(fd, bytes, offset + received));
        seen(bytes);
        received += filled;
        if (received - handed_over < kWriteBackBytes) return {};
        ::sync_file_range(fd, static_cast<off64_t>(offset + handed_over), static_cast<off64_t>(received - handed_over),
                          SYNC_FILE_RANGE_WRITE);
        handed_over = received;
        return {};
    };
    size_t filled = 0;
    for (;;) {
        const auto got = source(buffer.subspan(filled));
        if (got && *got > 0) {
            filled += *got;
            if (filled < buffer.size()) continue;
        }
        // Also what came before the client was cut off: it can go on from there.
        if (filled > 0) TRY(write_out(filled));
        filled = 0;
        if (!got) return got.error();
        if (*got == 0) return received;
    }
}

}  // namespace millwright::registry
