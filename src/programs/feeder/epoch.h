// One epoch of a channel on one host: what is still to be written, pushed into a pipe as far as the pipe takes it.
//
// Memory is one buffer, whatever the sizes of the objects: large ones go from the page cache into the pipe by
// splice(2), small ones are collected, so that a thousand of them do not mean a thousand writes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"
#include "programs/feeder/channel_source.h"
#include "programs/feeder/gunzip.h"

namespace millwright::feeder {

enum class Pumped {
    Blocked,    // the pipe is full
    More,       // enough for now, others may have a turn
    Finished,   // everything is in the pipe
    Abandoned,  // the reader has gone
};

class Epoch {
  public:
    // REQUIRES: `source` outlives it.
    Epoch(const ChannelSource& source, size_t rank, uint64_t number);

    // Writes to the non-blocking pipe. An error is about the data: InvalidInput is the user's fault.
    Result<Pumped> pump(int pipe);

  private:
    enum class Moved { Some, Blocked, Gone };

    Result<Moved> write_buffer(int pipe);
    Result<Moved> splice_file(int pipe);
    Result<void> fill();  // the buffer, or large_left_, or done_
    Result<void> next_item();
    Result<void> begin_object(uint64_t object);
    Result<void> measure(uint64_t object);
    Result<size_t> unpack(char* to, size_t room);
    void begin_part();
    Result<void> take_bytes();
    Result<void> take_unmeasured();
    void end_item();
    void append(std::string_view bytes);
    size_t room() const;
    Error cut_off() const;

    const ChannelSource& source_;
    const size_t rank_;
    const uint64_t number_;
    const bool wrap_;

    uint64_t next_index_ = 0;  // of the records of this host and epoch
    uint64_t record_ = 0, next_item_ = 0;
    bool in_record_ = false, done_ = false;

    // The current item: a text, a file, or compressed data. Without wrapper compressed data has no known length.
    bool in_item_ = false, measured_ = true;
    uint64_t object_ = 0;
    std::string_view text_;
    std::string unpacked_;  // small compressed objects, kept from measuring them
    Fd file_;
    std::unique_ptr<Gunzip> gunzip_;
    uint64_t bytes_left_ = 0;  // of the item
    uint64_t part_left_ = 0;   // of the RecordIO part; without wrapper as bytes_left_
    size_t padding_ = 0;       // after the part
    bool first_part_ = true;

    std::unique_ptr<char[]> buffer_;
    size_t filled_ = 0, written_ = 0;
    uint64_t large_left_ = 0;  // bytes of file_ to be spliced once the buffer is written
    bool can_splice_ = true;
};

}  // namespace millwright::feeder
