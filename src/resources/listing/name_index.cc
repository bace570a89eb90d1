#include "resources/listing/name_index.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/log.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr size_t kBatch = 10'000;
constexpr size_t kMostMoved = 1024;  // names; for more the whole is put in order

// The next place in [from, end) where `text` begins, or end. REQUIRES: text is not empty.
const char* search(const char* from, const char* end, std::string_view text) {
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

std::vector<int64_t>::iterator NameIndex::Names::place_of(int64_t id) {
    return std::lower_bound(ids.begin(), ids.end(), id, [](int64_t a, int64_t b) { return std::abs(a) < b; });
}

void NameIndex::Names::add(int64_t id, std::string_view name) {
    if (const auto place = place_of(id); place != ids.end() && *place == id) {
        // Told of twice: the table held it already when it was read.
        if (text.c_str() + starts[static_cast<size_t>(place - ids.begin())] == to_lower(name)) return;
        *place = -id;  // the number of a row that is gone may be given again
        ++gone;
    }
    // Commits that wait together are told of in any order: the names of the few later ones are put behind it again.
    size_t place = ids.size();
    while (place > 0 && std::abs(ids[place - 1]) > id && ids.size() - place < kMostMoved) --place;
    const bool far = place > 0 && std::abs(ids[place - 1]) >= id;
    if (far || place == ids.size()) {
        append(id, name);
        if (far) compact();
        return;
    }
    const std::vector<int64_t> later_ids(ids.begin() + static_cast<ptrdiff_t>(place), ids.end());
    const std::string later = text.substr(starts[place]);
    text.resize(starts[place]);
    starts.resize(place);
    ids.resize(place);
    append(id, name);
    const char* next = later.c_str();
    for (const int64_t later_id : later_ids) {
        starts.push_back(text.size());
        ids.push_back(later_id);
        const std::string_view later_name = next;
        text.append(later_name).push_back('\0');
        next += later_name.size() + 1;
    }
}

void NameIndex::Names::append(int64_t id, std::string_view name) {
    starts.push_back(text.size());
    ids.push_back(id);
    text += to_lower(name);
    text += '\0';
}

void NameIndex::Names::remove(int64_t id) {
    const auto place = place_of(id);
    if (place == ids.end() || *place != id) return;
    *place = -id;
    if (++gone > 1024 && gone > ids.size() / 4) compact();
}

// Without what is gone, and in order.
void NameIndex::Names::compact() {
    std::vector<size_t> order;
    for (size_t i = 0; i < ids.size(); ++i)
        if (ids[i] > 0) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ids[a] < ids[b]; });
    Names fresh;
    for (const size_t i : order) {
        fresh.starts.push_back(fresh.text.size());
        fresh.ids.push_back(ids[i]);
        fresh.text += text.c_str() + starts[i];
        fresh.text += '\0';
    }
    *this = std::move(fresh);
}

bool NameIndex::Names::find(std::string_view text_wanted, size_t most, std::vector<int64_t>& found) const {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* at = begin;
    while ((at = search(at, end, text_wanted)) != end) {
        const auto next = std::upper_bound(starts.begin(), starts.end(), static_cast<uint64_t>(at - begin));
        const size_t index = static_cast<size_t>(next - starts.begin()) - 1;
        if (ids[index] > 0) {
            if (found.size() == most) return false;
            found.push_back(ids[index]);
        }
        at = next == starts.end() ? end : begin + *next;
    }
    std::sort(found.begin(), found.end());
    return true;
}

NameIndex::NameIndex(metadata_store::Database& database, std::string select)
    : database_(database), select_(std::move(select)), loader_([this](const std::stop_token& stop) { load(stop); }) {}

NameIndex::~NameIndex() = default;

void NameIndex::load(const std::stop_token& stop) {
    std::map<Key, Names> names;
    std::string account, region, name;
    for (size_t got = kBatch; got == kBatch && !stop.stop_requested();) {
        auto rows = database_.read([&](metadata_store::Connection& connection) {
            return connection.query(select_, account, region, name, uint64_t{kBatch});
        });
        // Without the index, lists walk the table.
        if (!rows) return log::error("reading names", rows.error());
        for (const auto& row : *rows) {
            account = row.text(1);
            region = row.text(2);
            name = row.text(3);
            names[{account, region}].append(row.integer(0), name);
        }
        got = rows->size();
    }
    if (stop.stop_requested()) return;
    for (auto& [key, some] : names) some.compact();
    const MutexLock lock(mutex_);
    names_ = std::move(names);
    for (const auto& change : late_) apply(change);
    late_ = {};
    ready_ = true;
}

void NameIndex::apply(const Late& change) {
    auto& names = names_[{change.account, change.region}];
    if (change.added)
        names.add(change.id, change.name);
    else
        names.remove(change.id);
}

void NameIndex::add(int64_t id, std::string_view account, std::string_view region, std::string_view name) {
    Late change{id, std::string(account), std::string(region), std::string(name), true};
    const MutexLock lock(mutex_);
    if (ready_)
        apply(change);
    else
        late_.push_back(std::move(change));
}

void NameIndex::remove(int64_t id, std::string_view account, std::string_view region) {
    Late change{id, std::string(account), std::string(region), "", false};
    const MutexLock lock(mutex_);
    if (ready_)
        apply(change);
    else
        late_.push_back(std::move(change));
}

std::optional<std::vector<int64_t>> NameIndex::find(std::string_view account, std::string_view region,
                                                    std::string_view text, size_t most) {
    std::vector<int64_t> found;
    // A name has no zero byte; what separates the names must not be found.
    if (text.empty()) return std::nullopt;
    if (text.find('\0') != std::string_view::npos) return found;
    const std::string wanted = to_lower(text);
    const MutexLock lock(mutex_);
    if (!ready_) return std::nullopt;
    const auto names = names_.find({std::string(account), std::string(region)});
    if (names == names_.end()) return found;
    if (!names->second.find(wanted, most, found)) return std::nullopt;
    return found;
}

bool NameIndex::ready() {
    const MutexLock lock(mutex_);
    return ready_;
}

}  // namespace millwright::resources
