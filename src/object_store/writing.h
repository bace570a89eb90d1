// Bytes on their way into a file: counted, hashed, bounded, and compared with what the client announced.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "object_store/checksums.h"
#include "object_store/file_store.h"
#include "object_store/object_store.h"

namespace millwright::object_store {

struct Expected {
    std::map<std::string, std::string> checksums;
    std::optional<std::string> md5;  // raw
    std::vector<std::string> compute;
    uint64_t max_bytes = kMaxPutBytes;
    std::optional<uint64_t> length = {};  // announced; a hint
};

struct Written {
    uint64_t size = 0;
    std::string etag;
    std::map<std::string, std::string> checksums;  // all of `expected` and `compute`
};

// Constant memory. InvalidInput with reason::kSize, kMd5 or kChecksum when the bytes are not the expected ones;
// LimitExceeded when the disk is full; otherwise what `source` failed with.
Result<Written> write_stream(int fd, uint64_t offset, const Source& source, const Expected& expected);

// All of `source` as a draft: small bytes in memory, more in a file.
struct Received {
    Draft draft;
    Written written;
};
Result<Received> receive(FileStore& files, const Source& source, const Expected& expected);

// The same without writing.
Result<Written> hash_stream(const Source& source, const Expected& expected);

// The bytes of a file, from `offset`. REQUIRES: fd outlives the source.
Source source_of_file(int fd, uint64_t offset, uint64_t length);

}  // namespace millwright::object_store
