#include "object_store/writing.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/digest.h"
#include "base/encoding.h"
#include "object_store/file_store.h"
#include "object_store/hashing.h"

namespace millwright::object_store {
namespace {

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

Result<Hasher> hasher_for(const Expected& expected) {
    std::vector<std::string> algorithms = expected.compute;
    for (const auto& [name, value] : expected.checksums) algorithms.push_back(name);
    return Hasher::create(algorithms);
}

Result<Written> written(uint64_t size, Hasher::Sums sums, const Expected& expected) {
    TRY(verify(sums, expected));
    return Written{size, to_hex(sums.md5), std::move(sums.checksums)};
}

// Fills the buffer, because network reads are small and each write takes the inode's lock. Less than all is the end.
Result<size_t> fill(const Source& source, std::span<char> buffer) {
    size_t filled = 0;
    while (filled < buffer.size()) {
        const size_t got = TRY(source(buffer.subspan(filled)));
        if (got == 0) break;
        filled += got;
    }
    return filled;
}

// Calls sink(bytes, position) with large pieces of what `source` gives.
template <typename Sink>
Result<Written> consume(const Source& source, const Expected& expected, Sink sink) {
    auto plain = TRY(hasher_for(expected));
    StreamHasher hasher(std::move(plain));
    uint64_t size = 0;
    for (size_t filled = StreamHasher::kBufferBytes; filled == StreamHasher::kBufferBytes;) {
        const auto buffer = hasher.next_buffer();
        filled = TRY(fill(source, buffer));
        if (size + filled > expected.max_bytes)
            return mismatch("Your proposed upload exceeds the maximum allowed size", reason::kSize);
        const std::string_view bytes = hasher.submit(filled);
        TRY(sink(bytes, size));
        size += filled;
    }
    return written(size, hasher.finish(), expected);
}

// So that a disk without room says so at once, and the blocks of a large object lie together.
Result<void> make_room(int fd, uint64_t offset, const Expected& expected) {
    constexpr uint64_t kLeast = uint64_t{1} << 20;
    if (!expected.length || *expected.length < kLeast || *expected.length > expected.max_bytes) return {};
    if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(*expected.length)) == 0)
        return {};
    if (errno == ENOSPC || errno == EDQUOT) return error_from_errno("cannot make room for an object");
    return {};  // not all file systems can
}

}  // namespace

Result<Written> write_stream(int fd, uint64_t offset, const Source& source, const Expected& expected) {
    TRY(make_room(fd, offset, expected));
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
    const size_t filled = TRY(fill(source, head));
    head.resize(filled);
    if (head.size() <= kSmallBytes) {
        Hasher hasher = TRY(hasher_for(expected));
        hasher.update(head);
        auto small = TRY(written(head.size(), hasher.finish(), expected));
        return Received{files.hold(std::move(head)), std::move(small)};
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
    auto large = TRY(write_stream(draft.fd(), 0, whole, expected));
    return Received{std::move(draft), std::move(large)};
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
