// Names next to each other in the order of creation, and an index of their parts: the names are taken in blocks of 64,
// and for each one, two and three characters in a row (hashed, so different ones may share a place) 64 bits tell the
// blocks they occur in. The bits of all parts of a text, and-ed, leave few blocks to search: a bit-sliced signature
// file (Faloutsos and Christodoulakis 1984). An index takes 10 bytes per name of a full chunk.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millwright::resources {

// The places of a text's parts in the index; the names and the text are in lower case.
class NameParts {
  public:
    static constexpr size_t kOnes = 128, kTwos = 1024, kThrees = 4096;
    static constexpr size_t kPlaces = kOnes + kTwos + kThrees;

    static size_t place(std::string_view text, size_t at, size_t size);
    // Of the longest parts that the text has.
    static std::vector<uint16_t> of_wanted(std::string_view text);
};

// Not thread-safe. Positions count from 0; those of rows that are gone count, too.
class NameChunk {
  public:
    static constexpr size_t kBlock = 64, kBlocks = 64, kMost = kBlock * kBlocks;

    // When it was created, and its number; the order of rows.
    struct Key {
        int64_t created = 0, id = 0;
        auto operator<=>(const Key&) const = default;
    };

    size_t size() const { return ids_.size(); }
    size_t gone() const { return gone_; }
    bool is_full() const { return ids_.size() >= kMost; }
    Key key(size_t position) const;
    int64_t created(size_t position) const { return created_[position]; }
    // The row's number, or nothing (0) for one that is gone.
    int64_t id(size_t position) const { return ids_[position] > 0 ? ids_[position] : 0; }
    // The first position whose row is not before `key`.
    size_t lower_bound(const Key& key) const;
    std::string_view name(size_t position) const;

    // REQUIRES: not full. The id is positive; the name has no zero byte.
    void insert(size_t position, const Key& key, std::string_view name);
    void erase(size_t position);
    void mark_gone(size_t position);
    void drop_gone();
    // Moves the second half into a chunk of its own.
    std::unique_ptr<NameChunk> split();
    // No more is expected: gives back what was set aside for it.
    void close();

    // A bit for each block that may have the text.
    uint64_t candidates(const std::vector<uint16_t>& parts) const;
    // Appends the positions in that block whose names have the text, ascending. Gone ones too.
    void search(size_t block, std::string_view text, std::vector<size_t>& found) const;

  private:
    using Places = std::array<uint64_t, NameParts::kPlaces>;

    size_t start_of(size_t position) const;
    size_t end_of_block(size_t block) const;
    // After a change behind this position, which begins a block or is the last one and begins at `at` in text_.
    void index_from(size_t position, size_t at);
    // The same from the beginning of its block.
    void index_block_of(size_t position, size_t at);
    void index_name(size_t block, std::string_view name);
    void append(const NameChunk& other, size_t position);

    std::string text_;              // each name ends with a zero byte, which no name has
    std::vector<int64_t> ids_;      // negative: gone
    std::vector<int64_t> created_;  // milliseconds
    std::vector<uint32_t> blocks_;  // where in text_ each begins
    std::unique_ptr<Places> places_;
    size_t gone_ = 0;
};

}  // namespace millwright::resources
