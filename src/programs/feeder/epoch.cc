#include "programs/feeder/epoch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millwright::feeder {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr size_t kHeaderRoom = 16;                     // a RecordIO header and the padding before it
constexpr uint64_t kSpliceFrom = uint64_t{128} << 10;  // below, copying is cheaper than a slot of the pipe
constexpr uint64_t kTurnBytes = uint64_t{4} << 20;     // then other pipes of the thread may go on
constexpr size_t kKeptWhenMeasured = size_t{1} << 20;  // larger compressed objects are read twice
constexpr uint32_t kRecordIoMagic = 0xCED7230A;
constexpr uint64_t kMaxPart = (uint64_t{1} << 29) - 4;  // the length has 29 bits

void put_u32(char* to, uint32_t value) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<char>(value >> (8 * i));
}

}  // namespace

Epoch::Epoch(const ChannelSource& source, size_t rank, uint64_t number)
    : source_(source),
      rank_(rank),
      number_(number),
      wrap_(source.channel().wrap_in_recordio),
      buffer_(new char[kBufferBytes]) {}

Result<Pumped> Epoch::pump(int pipe) {
    for (uint64_t turn = 0; turn < kTurnBytes;) {
        const bool buffered = written_ < filled_;
        if (!buffered && large_left_ == 0) {
            if (done_) return Pumped::Finished;
            filled_ = written_ = 0;
            TRY(fill());
            continue;
        }
        const auto moved = buffered ? TRY(write_buffer(pipe)) : TRY(splice_file(pipe));
        if (moved == Moved::Blocked) return Pumped::Blocked;
        if (moved == Moved::Gone) return Pumped::Abandoned;
        turn += kBufferBytes;
    }
    return Pumped::More;
}

Result<Epoch::Moved> Epoch::write_buffer(int pipe) {
    const auto put = ::write(pipe, buffer_.get() + written_, filled_ - written_);
    if (put >= 0) {
        written_ += static_cast<size_t>(put);
        return Moved::Some;
    }
    if (errno == EINTR) return Moved::Some;
    if (errno == EAGAIN) return Moved::Blocked;
    if (errno == EPIPE) return Moved::Gone;
    return error_from_errno("cannot write to the pipe of channel " + source_.channel().name);
}

Result<Epoch::Moved> Epoch::splice_file(int pipe) {
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(large_left_, uint64_t{1} << 20));
    const auto put = ::splice(file_.get(), nullptr, pipe, nullptr, wanted, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (put > 0) {
        const auto bytes = static_cast<uint64_t>(put);
        large_left_ -= bytes;
        part_left_ -= bytes;
        bytes_left_ -= bytes;
        return Moved::Some;
    }
    if (put == 0) return cut_off();
    if (errno == EINTR) return Moved::Some;
    if (errno == EAGAIN) return Moved::Blocked;
    if (errno == EPIPE) return Moved::Gone;
    if (errno != EINVAL && errno != ENOSYS) return error_from_errno("cannot read " + source_.name_of(object_));
    can_splice_ = false;  // a file system without it: the rest is read
    large_left_ = 0;
    return Moved::Some;
}

Error Epoch::cut_off() const { return internal_error(source_.name_of(object_) + " is shorter than it was"); }

size_t Epoch::room() const { return kBufferBytes - kHeaderRoom - filled_; }

void Epoch::append(std::string_view bytes) {
    std::memcpy(buffer_.get() + filled_, bytes.data(), bytes.size());
    filled_ += bytes.size();
}

Result<void> Epoch::fill() {
    while (!done_ && large_left_ == 0 && filled_ < kBufferBytes - kHeaderRoom) {
        if (!in_item_) {
            TRY(next_item());
        } else if (measured_) {
            TRY(take_bytes());
        } else {
            TRY(take_unmeasured());
        }
    }
    return {};
}

Result<void> Epoch::next_item() {
    if (!in_record_) {
        const auto record = executors::record_of_epoch(source_.channel(), rank_, number_, next_index_++);
        if (!record) {
            done_ = true;
            return {};
        }
        record_ = *record;
        next_item_ = 0;
        in_record_ = true;
    }
    const Item item = source_.item(record_, next_item_++);
    if (next_item_ == source_.items_per_record()) in_record_ = false;
    measured_ = true;
    if (item.is_object) {
        TRY(begin_object(item.object));
    } else {
        text_ = item.text;
        bytes_left_ = text_.size();
    }
    in_item_ = true;
    first_part_ = true;
    if (wrap_) {
        begin_part();
    } else {
        part_left_ = bytes_left_;
    }
    return {};
}

Result<void> Epoch::begin_object(uint64_t object) {
    object_ = object;
    file_ = TRY(source_.open_object(object));
    if (source_.channel().gunzip) {
        if (wrap_) return measure(object);
        measured_ = false;
        bytes_left_ = 0;
        gunzip_ = TRY(Gunzip::open(std::move(file_)));
        return {};
    }
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) return error_from_errno("cannot read " + source_.name_of(object));
    bytes_left_ = static_cast<uint64_t>(status.st_size);
    return {};
}

// The header of a record needs the length of what follows: large objects are decompressed once to count and once more
// to be delivered, so that memory does not depend on them.
Result<void> Epoch::measure(uint64_t object) {
    gunzip_ = TRY(Gunzip::open(std::move(file_)));
    unpacked_.resize(kKeptWhenMeasured);
    uint64_t total = 0;
    bool kept = true;
    for (;;) {
        if (total == kKeptWhenMeasured) kept = false;
        const size_t at = kept ? static_cast<size_t>(total) : 0;
        const auto got = TRY(unpack(unpacked_.data() + at, unpacked_.size() - at));
        if (got == 0) break;
        total += got;
    }
    // Exactly full and then the end: it was kept after all, but reading it again is as right.
    bytes_left_ = total;
    if (kept) {
        gunzip_.reset();
        unpacked_.resize(static_cast<size_t>(total));
        text_ = unpacked_;
        return {};
    }
    auto again = TRY(source_.open_object(object));
    gunzip_ = TRY(Gunzip::open(std::move(again)));
    return {};
}

Result<size_t> Epoch::unpack(char* to, size_t space) {
    auto got = gunzip_->read({to, space});
    if (got || got.error().kind != ErrorKind::InvalidInput) return got;
    return invalid_input("Unable to decompress " + source_.name_of(object_) + ": " + got.error().message + ".");
}

void Epoch::begin_part() {
    const uint64_t length = std::min(bytes_left_, kMaxPart);
    const bool last = length == bytes_left_;
    const uint32_t flag = first_part_ ? (last ? 0 : 1) : (last ? 3 : 2);
    char header[8];
    put_u32(header, kRecordIoMagic);
    put_u32(header + 4, flag << 29 | static_cast<uint32_t>(length));
    append({header, sizeof header});
    part_left_ = length;
    padding_ = (4 - length % 4) % 4;
    first_part_ = false;
}

Result<void> Epoch::take_bytes() {
    const bool from_file = !gunzip_ && file_;
    if (from_file && can_splice_ && part_left_ >= kSpliceFrom) {
        large_left_ = part_left_;
        return {};
    }
    const auto wanted = static_cast<size_t>(std::min<uint64_t>(part_left_, room()));
    size_t got = wanted;
    if (gunzip_) {
        if (wanted > 0) got = TRY(unpack(buffer_.get() + filled_, wanted));
    } else if (from_file) {
        ssize_t bytes = 0;
        do bytes = ::read(file_.get(), buffer_.get() + filled_, wanted);
        while (bytes < 0 && errno == EINTR);
        if (bytes < 0) return error_from_errno("cannot read " + source_.name_of(object_));
        got = static_cast<size_t>(bytes);
    } else {
        std::memcpy(buffer_.get() + filled_, text_.data(), wanted);
        text_.remove_prefix(wanted);
    }
    if (got == 0 && part_left_ > 0) return cut_off();
    filled_ += got;
    part_left_ -= got;
    bytes_left_ -= got;
    if (part_left_ > 0) return {};
    append(std::string_view("\0\0\0", 3).substr(0, padding_));
    padding_ = 0;
    if (bytes_left_ > 0) {
        begin_part();
    } else {
        end_item();
    }
    return {};
}

Result<void> Epoch::take_unmeasured() {
    const auto got = TRY(unpack(buffer_.get() + filled_, room()));
    filled_ += got;
    if (got == 0) end_item();
    return {};
}

void Epoch::end_item() {
    in_item_ = false;
    file_.reset();
    gunzip_.reset();
    text_ = {};
}

}  // namespace millwright::feeder
