#include "object_store/writing.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/digest.h"
#include "base/encoding.h"
#include "object_store/file_store.h"

namespace millwright::object_store {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr uint64_t kWriteBackBytes = uint64_t{16}
                                     << 20;  // hand over to the disk early, so that the sync at the end is short

Error mismatch(std::string message, std::string_view why) {
    return {ErrorKind::InvalidInput, std::move(message), std::string(why)};
}

Result<void> verify(const Hasher::Sums& sums, const Expected& expected) {
    if (expected.md5 && !constant_time_equal(*expected.md5, sums.md5))
        return mismatch("The Content-MD5 you specified did not match what we received.", reason::kMd5);
    for (const auto& [name, value] : expected.checksums)
        if (sums.checksums.at(name) != value)
            return mismatch("The " + name + " you specified did not match the calculated checksum.", reason::kChecksum);
    return {};
}

// Calls sink(bytes, position) with large pieces of what `source` gives.
template <typename Sink>
Result<Written> consume(const Source& source, const Expected& expected, Sink sink) {
    std::vector<std::string> algorithms = expected.compute;
    for (const auto& [name, value] : expected.checksums) algorithms.push_back(name);
    Hasher hasher = TRY(Hasher::create(algorithms));
    Written written;
    std::string buffer(kBufferBytes, '\0');
    for (size_t filled = buffer.size(); filled == buffer.size();) {
        // Fill the buffer first: network reads are small, and each write takes the inode's lock.
        filled = 0;
        while (filled < buffer.size()) {
            const size_t got = TRY(source(std::span(buffer).subspan(filled)));
            if (got == 0) break;
            filled += got;
        }
        if (written.size + filled > expected.max_bytes)
            return mismatch("Your proposed upload exceeds the maximum allowed size", reason::kSize);
        const std::string_view bytes = std::string_view(buffer).substr(0, filled);
        hasher.update(bytes);
        TRY(sink(bytes, written.size));
        written.size += filled;
    }
    auto sums = hasher.finish();
    TRY(verify(sums, expected));
    written.etag = to_hex(sums.md5);
    written.checksums = std::move(sums.checksums);
    return written;
}

}  // namespace

Result<Written> write_stream(int fd, uint64_t offset, const Source& source, const Expected& expected) {
    uint64_t handed_over = 0;
    return consume(source, expected, [&](std::string_view bytes, uint64_t position) -> Result<void> {
        TRY(write_all_at(fd, bytes, offset + position));
        const uint64_t end = position + bytes.size();
        if (end - handed_over < kWriteBackBytes) return {};
        ::sync_file_range(fd, static_cast<off64_t>(offset + handed_over), static_cast<off64_t>(end - handed_over),
                          SYNC_FILE_RANGE_WRITE);
        handed_over = end;
        return {};
    });
}

Result<Received> receive(FileStore& files, const Source& source, const Expected& expected) {
    std::string head(kSmallBytes + 1, '\0');
    size_t filled = 0;
    while (filled < head.size()) {
        const size_t got = TRY(source(std::span(head).subspan(filled)));
        if (got == 0) break;
        filled += got;
    }
    head.resize(filled);
    if (filled <= kSmallBytes) {
        auto written = TRY(hash_stream(source_of(head), expected));
        return Received{files.hold(std::move(head)), std::move(written)};
    }
    Draft draft = TRY(files.create());
    std::string_view first = head;
    const Source whole = [&](std::span<char> buffer) -> Result<size_t> {
        if (first.empty()) return source(buffer);
        const size_t count = std::min(buffer.size(), first.size());
        std::memcpy(buffer.data(), first.data(), count);
        first.remove_prefix(count);
        return count;
    };
    auto written = TRY(write_stream(draft.fd(), 0, whole, expected));
    return Received{std::move(draft), std::move(written)};
}

Result<Written> hash_stream(const Source& source, const Expected& expected) {
    return consume(source, expected, [](std::string_view, uint64_t) -> Result<void> { return {}; });
}

Source source_of(std::string_view bytes) {
    return [bytes](std::span<char> buffer) mutable -> Result<size_t> {
        const size_t count = std::min(buffer.size(), bytes.size());
        if (count > 0) std::memcpy(buffer.data(), bytes.data(), count);
        bytes.remove_prefix(count);
        return count;
    };
}

Source source_of_file(int fd, uint64_t offset, uint64_t length) {
    return [fd, offset, length](std::span<char> buffer) mutable -> Result<size_t> {
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length));
        if (wanted == 0) return size_t{0};
        ssize_t got;
        do got = ::pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
        while (got < 0 && errno == EINTR);
        if (got < 0) return error_from_errno("cannot read a file");
        if (got == 0) return internal_error("a file is shorter than its record says");
        offset += static_cast<uint64_t>(got);
        length -= static_cast<uint64_t>(got);
        return static_cast<size_t>(got);
    };
}

}  // namespace millwright::object_store
