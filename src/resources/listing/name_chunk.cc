#include "resources/listing/name_chunk.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/check.h"

namespace millwright::resources {
namespace {

// A chunk of fewer names is searched as quickly as looked up.
constexpr size_t kIndexed = 256;

// The next place in [from, end) where `text` begins, or end. REQUIRES: text is not empty.
const char* search_text(const char* from, const char* end, std::string_view text) {
    const size_t size = text.size();
#if defined(__SSE2__)
    // Where the first and the last byte fit, the rest is compared.
    const __m128i first = _mm_set1_epi8(text.front()), last = _mm_set1_epi8(text.back());
    for (; from + 16 + size - 1 <= end; from += 16) {
        const __m128i heads = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        const __m128i tails = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + size - 1));
        auto both = static_cast<unsigned>(
            _mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(heads, first), _mm_cmpeq_epi8(tails, last))));
        for (; both != 0; both &= both - 1) {
            const char* place = from + __builtin_ctz(both);
            if (std::memcmp(place, text.data(), size) == 0) return place;
        }
    }
#endif
    const void* place = ::memmem(from, static_cast<size_t>(end - from), text.data(), size);
    return place == nullptr ? end : static_cast<const char*>(place);
}

}  // namespace

size_t NameParts::place(std::string_view text, size_t at, size_t size) {
    const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(text[at + i])); };
    constexpr uint32_t kGolden = 0x9E3779B1;  // Knuth's multiplicative hash: the upper bits are the mixed ones
    if (size == 1) return byte(0) % kOnes;
    if (size == 2) return kOnes + ((byte(0) << 8 | byte(1)) * kGolden >> 22);
    return kOnes + kTwos + ((byte(0) << 16 | byte(1) << 8 | byte(2)) * kGolden >> 20);
}

std::vector<uint16_t> NameParts::of_wanted(std::string_view text) {
    static_assert(kTwos == 1U << (32 - 22) && kThrees == 1U << (32 - 20));
    const size_t size = std::min<size_t>(text.size(), 3);
    std::vector<uint16_t> places;
    for (size_t at = 0; size > 0 && at + size <= text.size(); ++at)
        places.push_back(static_cast<uint16_t>(place(text, at, size)));
    return places;
}

NameChunk::Key NameChunk::key(size_t position) const { return {created_[position], std::abs(ids_[position])}; }

size_t NameChunk::lower_bound(const Key& wanted) const {
    size_t low = 0, high = size();
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (key(middle) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t NameChunk::start_of(size_t position) const {
    if (position == size()) return text_.size();
    size_t at = blocks_[position / kBlock];
    for (size_t left = position % kBlock; left > 0; --left) at = text_.find('\0', at) + 1;
    return at;
}

size_t NameChunk::end_of_block(size_t block) const {
    return block + 1 < blocks_.size() ? blocks_[block + 1] : text_.size();
}

std::string_view NameChunk::name(size_t position) const { return text_.c_str() + start_of(position); }

void NameChunk::insert(size_t position, const Key& key, std::string_view name) {
    CHECK(!is_full() && position <= size());
    const size_t at = start_of(position);
    const bool last = position == size() && places_;
    text_.insert(at, 1, '\0');
    text_.insert(at, name);
    ids_.insert(ids_.begin() + static_cast<ptrdiff_t>(position), key.id);
    created_.insert(created_.begin() + static_cast<ptrdiff_t>(position), key.created);
    if (last)
        index_from(position, at);
    else
        index_block_of(position, at);
}

void NameChunk::erase(size_t position) {
    const size_t at = start_of(position);
    if (id(position) == 0) --gone_;
    text_.erase(at, text_.find('\0', at) + 1 - at);
    ids_.erase(ids_.begin() + static_cast<ptrdiff_t>(position));
    created_.erase(created_.begin() + static_cast<ptrdiff_t>(position));
    index_block_of(position, at);
}

void NameChunk::index_block_of(size_t position, size_t at) {
    const size_t block = position / kBlock;
    index_from(block * kBlock, block < blocks_.size() ? blocks_[block] : at);
}

void NameChunk::index_from(size_t position, size_t at) {
    if (!places_ && size() > kIndexed) {
        places_ = std::make_unique<Places>();
        position = at = 0;
    }
    const size_t block = position / kBlock;
    if (position % kBlock == 0) {
        blocks_.resize(std::min(blocks_.size(), block));
        const uint64_t kept = block == 0 ? 0 : ~uint64_t{0} >> (64 - block);
        if (places_)
            for (uint64_t& blocks : *places_) blocks &= kept;
    }
    for (; position < size(); ++position) {
        const std::string_view name = text_.c_str() + at;
        if (position % kBlock == 0) blocks_.push_back(static_cast<uint32_t>(at));
        at += name.size() + 1;
        if (places_) index_name(position / kBlock, name);
    }
}

void NameChunk::index_name(size_t block, std::string_view name) {
    for (size_t size = 1; size <= 3; ++size)
        for (size_t at = 0; at + size <= name.size(); ++at)
            (*places_)[NameParts::place(name, at, size)] |= uint64_t{1} << block;
}

void NameChunk::mark_gone(size_t position) {
    if (ids_[position] < 0) return;
    ids_[position] = -ids_[position];
    ++gone_;
}

void NameChunk::append(const NameChunk& other, size_t position) {
    const std::string_view name = other.name(position);
    text_ += name;
    text_ += '\0';
    ids_.push_back(other.ids_[position]);
    created_.push_back(other.created_[position]);
}

void NameChunk::drop_gone() {
    NameChunk fresh;
    for (size_t i = 0; i < size(); ++i)
        if (id(i) != 0) fresh.append(*this, i);
    fresh.index_from(0, 0);
    *this = std::move(fresh);
}

std::unique_ptr<NameChunk> NameChunk::split() {
    auto second = std::make_unique<NameChunk>();
    NameChunk first;
    for (size_t i = 0; i < size(); ++i) {
        NameChunk& half = i < size() / 2 ? first : *second;
        half.append(*this, i);
        if (id(i) == 0) ++half.gone_;
    }
    first.index_from(0, 0);
    second->index_from(0, 0);
    *this = std::move(first);
    return second;
}

void NameChunk::close() {
    text_.shrink_to_fit();
    ids_.shrink_to_fit();
    created_.shrink_to_fit();
}

uint64_t NameChunk::candidates(const std::vector<uint16_t>& parts) const {
    uint64_t blocks = blocks_.empty() ? 0 : ~uint64_t{0} >> (64 - blocks_.size());
    if (!places_) return blocks;
    for (const uint16_t part : parts) {
        blocks &= (*places_)[part];
        if (blocks == 0) break;
    }
    return blocks;
}

void NameChunk::search(size_t block, std::string_view text, std::vector<size_t>& found) const {
    const char* at = text_.data() + blocks_[block];
    const char* const end = text_.data() + end_of_block(block);
    size_t position = block * kBlock;
    for (const char* name = at; (at = search_text(at, end, text)) != end; ++position) {
        for (const char* next = name;
             (next = static_cast<const char*>(std::memchr(next, 0, static_cast<size_t>(at - next)))) != nullptr; ++next)
            ++position;
        found.push_back(position);
        at = static_cast<const char*>(std::memchr(at, 0, static_cast<size_t>(end - at))) + 1;
        name = at;
    }
}

}  // namespace millwright::resources
