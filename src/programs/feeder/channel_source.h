// The records of one Pipe channel, as the server staged them. Shared by all hosts and epochs; const use from several
// threads is fine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "executors/contract/feed_spec.h"

namespace millwright::feeder {

// One thing to deliver: the bytes of an object, or a text.
struct Item {
    bool is_object = true;
    uint64_t object = 0;
    std::string_view text;  // lives as long as the source
};

class ChannelSource {
  public:
    // Internal: the staged files are not what the description says.
    static Result<ChannelSource> open(executors::FeedChannel channel, std::string folder);
    ChannelSource(ChannelSource&& other) noexcept;
    ~ChannelSource();

    const executors::FeedChannel& channel() const { return channel_; }
    uint64_t items_per_record() const { return channel_.items_per_record == 0 ? 1 : channel_.items_per_record; }
    // REQUIRES: record < channel().records, item < items_per_record().
    Item item(uint64_t record, uint64_t item) const;
    Result<Fd> open_object(uint64_t object) const;
    // Its S3 URI, for messages.
    std::string name_of(uint64_t object) const;

  private:
    ChannelSource() = default;
    Result<void> map_items();
    Result<void> index_items();
    bool read_item(size_t& at, Item& item) const;

    executors::FeedChannel channel_;
    std::string folder_;
    std::string_view items_;         // mapped
    std::vector<uint64_t> offsets_;  // in items_, of each record
};

}  // namespace millwright::feeder
