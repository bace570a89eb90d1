#include "programs/feeder/channel_source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

namespace millwright::feeder {

using executors::FeedChannel;

Result<ChannelSource> ChannelSource::open(FeedChannel channel, std::string folder) {
    ChannelSource source;
    source.channel_ = std::move(channel);
    source.folder_ = std::move(folder);
    if (source.channel_.items_per_record == 0) {
        if (source.channel_.records != source.channel_.objects)
            return internal_error("the feed file contradicts itself");
        return source;
    }
    TRY(source.map_items());
    TRY(source.index_items());
    return source;
}

ChannelSource::ChannelSource(ChannelSource&& other) noexcept
    : channel_(std::move(other.channel_)),
      folder_(std::move(other.folder_)),
      items_(std::exchange(other.items_, {})),
      offsets_(std::move(other.offsets_)) {}

ChannelSource::~ChannelSource() {
    if (!items_.empty()) munmap(const_cast<char*>(items_.data()), items_.size());
}

Result<void> ChannelSource::map_items() {
    const auto path = executors::feed_items_path(folder_);
    const Fd file = TRY(open_file(path, O_RDONLY | O_NOFOLLOW));
    struct stat status {};
    if (fstat(file.get(), &status) != 0) return error_from_errno("cannot read " + path);
    if (status.st_size == 0) return {};
    const auto size = static_cast<size_t>(status.st_size);
    void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED) return error_from_errno("cannot map " + path);
    items_ = {static_cast<const char*>(memory), size};
    return {};
}

bool ChannelSource::read_item(size_t& at, Item& item) const {
    uint64_t value = 0;
    if (items_.size() - at < 1 + sizeof value) return false;
    item.is_object = items_[at] == 'o';
    if (!item.is_object && items_[at] != 't') return false;
    std::memcpy(&value, items_.data() + at + 1, sizeof value);
    at += 1 + sizeof value;
    if (item.is_object) {
        item.object = value;
        return value < channel_.objects;
    }
    if (value > items_.size() - at) return false;
    item.text = items_.substr(at, value);
    at += value;
    return true;
}

Result<void> ChannelSource::index_items() {
    size_t at = 0;
    Item item;
    while (at < items_.size()) {
        offsets_.push_back(at);
        for (uint64_t i = 0; i < channel_.items_per_record; ++i)
            if (!read_item(at, item)) return internal_error("the items of channel " + channel_.name + " are damaged");
    }
    if (offsets_.size() != channel_.records)
        return internal_error("the items of channel " + channel_.name + " are not complete");
    return {};
}

Item ChannelSource::item(uint64_t record, uint64_t item) const {
    Item found;
    found.object = record;
    if (channel_.items_per_record == 0) return found;
    size_t at = offsets_[record];
    for (uint64_t i = 0; i <= item; ++i) read_item(at, found);
    return found;
}

Result<Fd> ChannelSource::open_object(uint64_t object) const {
    return open_file(executors::feed_object_path(folder_, object), O_RDONLY | O_NOFOLLOW);
}

std::string ChannelSource::name_of(uint64_t object) const {
    const auto names = read_file(executors::feed_names_path(folder_));
    if (!names) return "object " + std::to_string(object);
    size_t at = 0;
    for (uint64_t i = 0; i < object && at != std::string::npos; ++i) {
        at = names->find('\0', at);
        if (at != std::string::npos) ++at;
    }
    return at == std::string::npos ? "object " + std::to_string(object) : names->substr(at, names->find('\0', at) - at);
}

}  // namespace millwright::feeder
