#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "object_store/object_store.h"

namespace millwright::object_store {

Result<size_t> OpenObject::read_at(std::span<char> into, uint64_t offset) const {
    if (offset >= info.size) return size_t{0};
    const size_t wanted = static_cast<size_t>(std::min<uint64_t>(into.size(), info.size - offset));
    if (in_memory()) {
        std::memcpy(into.data(), bytes.data() + offset, wanted);
        return wanted;
    }
    ssize_t got;
    do got = ::pread(fd.get(), into.data(), wanted, static_cast<off_t>(offset));
    while (got < 0 && errno == EINTR);
    if (got < 0) return error_from_errno("cannot read an object file");
    if (got == 0 && wanted > 0) return internal_error("an object file is shorter than its record says");
    return static_cast<size_t>(got);
}

Result<std::string> OpenObject::read_all(size_t limit) const {
    if (info.size > limit) return Error{ErrorKind::LimitExceeded, "the object is too large", ""};
    if (in_memory()) return bytes;
    std::string all(static_cast<size_t>(info.size), '\0');
    for (size_t at = 0; at < all.size();) at += TRY(read_at(std::span(all).subspan(at), at));
    return all;
}

Source OpenObject::source(uint64_t offset, uint64_t length) const {
    return [this, offset, length](std::span<char> buffer) mutable -> Result<size_t> {
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length));
        if (wanted == 0) return size_t{0};
        const size_t got = TRY(read_at(buffer.first(wanted), offset));
        offset += got;
        length -= got;
        return got;
    };
}

Result<Fd> OpenObject::descriptor() const {
    if (!in_memory()) {
        Fd copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
        if (!copy) return error_from_errno("cannot open an object");
        return copy;
    }
    Fd memory(::memfd_create("object", MFD_CLOEXEC));
    if (!memory) return error_from_errno("cannot open an object");
    TRY(write_all(memory.get(), bytes));
    return memory;
}

}  // namespace millwright::object_store
