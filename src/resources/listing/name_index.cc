#include "resources/listing/name_index.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/log.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr size_t kBatch = 10'000;

// Takes rows in the order of creation until a page has enough.
class PageTaker {
  public:
    PageTaker(const NameIndex::Page& page, size_t most, NameIndex::PageIds& found)
        : page_(page), most_(most), found_(found) {}

    // False when no more is needed, or may be taken.
    bool take(int64_t id, int64_t created) {
        const bool enough = counted_ >= page_.count && created != last_;
        too_many_ = !enough && found_.ids.size() == most_;
        found_.to_the_end = !enough && !too_many_;
        if (!found_.to_the_end) return false;
        found_.ids.push_back(id);
        last_ = created;
        if (created != page_.from) ++counted_;
        return true;
    }
    bool too_many() const { return too_many_; }

  private:
    const NameIndex::Page& page_;
    const size_t most_;
    NameIndex::PageIds& found_;
    size_t counted_ = 0;
    int64_t last_ = 0;
    bool too_many_ = false;
};

}  // namespace

size_t NameIndex::Names::chunk_of(const NameChunk::Key& key) const {
    const auto next =
        std::upper_bound(chunks_.begin(), chunks_.end(), key,
                         [](const NameChunk::Key& wanted, const auto& chunk) { return wanted < chunk->key(0); });
    return next == chunks_.begin() ? 0 : static_cast<size_t>(next - chunks_.begin()) - 1;
}

void NameIndex::Names::drop(size_t chunk) { chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(chunk)); }

void NameIndex::Names::add(const RowKey& row, std::string_view name) {
    const NameChunk::Key key{row.created, row.id};
    const std::string wanted = to_lower(name);
    if (chunks_.empty()) {
        chunks_.push_back(std::make_unique<NameChunk>());
        return chunks_.front()->insert(0, key, wanted);
    }
    size_t number = chunk_of(key);
    size_t place = chunks_[number]->lower_bound(key);
    if (place < chunks_[number]->size() && chunks_[number]->key(place) == key) {
        // Told of twice: the table held it already when it was read.
        if (chunks_[number]->id(place) != 0 && chunks_[number]->name(place) == wanted) return;
        chunks_[number]->erase(place);
    }
    if (chunks_[number]->is_full()) {
        const auto behind = chunks_.begin() + static_cast<ptrdiff_t>(number) + 1;
        if (place == chunks_[number]->size()) {
            chunks_[number]->close();
            chunks_.insert(behind, std::make_unique<NameChunk>());
            ++number;
            place = 0;
        } else {
            chunks_.insert(behind, chunks_[number]->split());
            number = chunk_of(key);
            place = chunks_[number]->lower_bound(key);
        }
    }
    chunks_[number]->insert(place, key, wanted);
}

void NameIndex::Names::remove(const RowKey& row) {
    if (chunks_.empty()) return;
    const NameChunk::Key key{row.created, row.id};
    const size_t number = chunk_of(key);
    NameChunk& chunk = *chunks_[number];
    const size_t place = chunk.lower_bound(key);
    if (place == chunk.size() || chunk.key(place) != key) return;
    chunk.mark_gone(place);
    if (chunk.gone() == chunk.size())
        drop(number);
    else if (chunk.gone() > chunk.size() / 2)
        chunk.drop_gone();
}

bool NameIndex::Names::find(std::string_view text, size_t most, std::vector<int64_t>& found) const {
    const auto parts = NameParts::of_wanted(text);
    std::vector<size_t> places;
    for (const auto& chunk : chunks_) {
        for (uint64_t blocks = chunk->candidates(parts); blocks != 0; blocks &= blocks - 1) {
            places.clear();
            chunk->search(static_cast<size_t>(std::countr_zero(blocks)), text, places);
            for (const size_t place : places) {
                if (chunk->id(place) == 0) continue;
                if (found.size() == most) return false;
                found.push_back(chunk->id(place));
            }
        }
    }
    return true;
}

bool NameIndex::Names::find_page(std::string_view text, const Page& page, size_t most, PageIds& found) const {
    const auto parts = NameParts::of_wanted(text);
    PageTaker taker(page, most, found);
    const auto before = [&](int64_t created) {
        return page.from && (page.ascending ? created < *page.from : created > *page.from);
    };
    const size_t count = chunks_.size();
    size_t first = 0;  // of the chunks in the order of the page
    if (page.from && count > 0) {
        const auto limit = page.ascending ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
        const size_t at = chunk_of({*page.from, limit});
        first = page.ascending ? at : count - 1 - at;
    }
    std::vector<size_t> places;
    for (size_t n = first; n < count; ++n) {
        const NameChunk& chunk = *chunks_[page.ascending ? n : count - 1 - n];
        for (uint64_t blocks = chunk.candidates(parts); blocks != 0;) {
            const auto block =
                static_cast<size_t>(page.ascending ? std::countr_zero(blocks) : 63 - std::countl_zero(blocks));
            blocks &= ~(uint64_t{1} << block);
            places.clear();
            chunk.search(block, text, places);
            if (!page.ascending) std::reverse(places.begin(), places.end());
            for (const size_t place : places) {
                if (chunk.id(place) == 0 || before(chunk.created(place))) continue;
                if (!taker.take(chunk.id(place), chunk.created(place))) return !taker.too_many();
            }
        }
    }
    return true;
}

NameIndex::NameIndex(metadata_store::Database& database, std::string select)
    : database_(database), select_(std::move(select)), loader_([this](const std::stop_token& stop) { load(stop); }) {}

NameIndex::~NameIndex() = default;

void NameIndex::load(const std::stop_token& stop) {
    std::map<Key, Names> names;
    std::vector<metadata_store::Value> after{std::string(), std::string(), int64_t{0}, int64_t{0}, int64_t{kBatch}};
    for (size_t got = kBatch; got == kBatch && !stop.stop_requested();) {
        auto rows = database_.read(
            [&](metadata_store::Connection& connection) { return connection.query_values(select_, after); });
        // Without the index, lists walk the table.
        if (!rows) return log::error("reading names", rows.error());
        for (const auto& row : *rows)
            names[{row.text(2), row.text(3)}].add({.id = row.integer(0), .created = row.integer(1)}, row.text(4));
        got = rows->size();
        if (got > 0) {
            const auto& last = rows->back();
            after = {last.text(2), last.text(3), last.integer(1), last.value(5), int64_t{kBatch}};
        }
    }
    if (stop.stop_requested()) return;
    const MutexLock lock(mutex_);
    names_ = std::move(names);
    for (const auto& change : late_) apply(change);
    late_ = {};
    ready_ = true;
}

void NameIndex::apply(const Late& change) {
    auto& names = names_[{change.account, change.region}];
    if (change.added)
        names.add(change.row, change.name);
    else
        names.remove(change.row);
}

void NameIndex::change(Late change) {
    const MutexLock lock(mutex_);
    if (ready_)
        apply(change);
    else
        late_.push_back(std::move(change));
}

void NameIndex::add(const RowKey& row, std::string_view account, std::string_view region, std::string_view name) {
    change({row, std::string(account), std::string(region), std::string(name), true});
}

void NameIndex::remove(const RowKey& row, std::string_view account, std::string_view region) {
    change({row, std::string(account), std::string(region), "", false});
}

template <typename Found, typename Search>
std::optional<Found> NameIndex::find_with(std::string_view account, std::string_view region, std::string_view text,
                                          const Search& search) {
    Found found;
    // A name has no zero byte; what separates the names must not be found.
    if (text.empty()) return std::nullopt;
    if (text.find('\0') != std::string_view::npos) return found;
    const std::string wanted = to_lower(text);
    const MutexLock lock(mutex_);
    if (!ready_) return std::nullopt;
    const auto names = names_.find({std::string(account), std::string(region)});
    if (names == names_.end()) return found;
    if (!search(names->second, wanted, found)) return std::nullopt;
    return found;
}

NameIndex::Ids NameIndex::find(std::string_view account, std::string_view region, std::string_view text, size_t most) {
    return find_with<std::vector<int64_t>>(
        account, region, text,
        [&](const Names& names, std::string_view wanted, auto& found) { return names.find(wanted, most, found); });
}

std::optional<NameIndex::PageIds> NameIndex::find_page(std::string_view account, std::string_view region,
                                                       std::string_view text, const Page& page, size_t most) {
    return find_with<PageIds>(account, region, text, [&](const Names& names, std::string_view wanted, auto& found) {
        return names.find_page(wanted, page, most, found);
    });
}

bool NameIndex::ready() {
    const MutexLock lock(mutex_);
    return ready_;
}

}  // namespace millwright::resources
