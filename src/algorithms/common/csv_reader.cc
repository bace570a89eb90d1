#include <algorithm>
#include <cstring>

#include "algorithms/common/float_parser.h"
#include "algorithms/common/reader_pieces.h"
#include "base/strings.h"

#if defined(__x86_64__)
#include <smmintrin.h>
#endif

namespace millwright::algorithms::reader_internal {
namespace {

#if defined(__x86_64__)
// Where the digits of a field go so that its last one comes last: by the places of its point (16: none) and of its end.
struct Shuffles {
    alignas(16) uint8_t of[17][16][16];
};
constexpr Shuffles make_shuffles() {
    constexpr uint8_t kZero = 0x80;
    Shuffles shuffles{};
    for (size_t point = 0; point < 17; ++point)
        for (size_t stop = 0; stop < 16; ++stop) {
            uint8_t* const lanes = shuffles.of[point][stop];
            std::fill(lanes, lanes + 16, kZero);
            size_t lane = 16;
            for (size_t i = stop; i-- > 0;)
                if (i != point) lanes[--lane] = static_cast<uint8_t>(i);
        }
    return shuffles;
}
constexpr Shuffles kShuffles = make_shuffles();

// Usual fields, "delimiter [-] digits [. digits]" of at most 15 characters with a delimiter or the end of the row
// behind them, as many as follow one another; `p` moves behind the last digit. Returns how many; the next one is for
// the general parser. The arithmetic is that of parse_float.
//
// One look at 16 bytes gives the ends of the number, so that the search for the next field does not wait for the value.
__attribute__((target("sse4.1"))) size_t take_usual_fields(const char*& p, const char* end, char delimiter, float* to,
                                                           size_t count) {
    constexpr ptrdiff_t kLook = 17;  // the delimiter and the 16 bytes
    const __m128i zeros = _mm_set1_epi8('0');
    const __m128i nines = _mm_set1_epi8(9);
    const char* field = p;
    size_t taken = 0;
    for (; taken < count && end - field >= kLook && *field == delimiter; ++taken) {
        const char* const text = field + 1;
        const __m128i bytes = _mm_sub_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(text)), zeros);
        const __m128i are_digits = _mm_cmpeq_epi8(_mm_min_epu8(bytes, nines), bytes);
        const auto negative = static_cast<unsigned>(*text == '-');
        unsigned others = (~static_cast<unsigned>(_mm_movemask_epi8(are_digits)) | 0x10000) & (0x1FFFF ^ negative);
        auto point = static_cast<unsigned>(std::countr_zero(others));
        auto stop = point;
        if (point < 16 && text[point] == '.') {
            others &= others - 1;
            stop = static_cast<unsigned>(std::countr_zero(others));
        } else {
            point = 16;
        }
        const unsigned digits = stop - negative - (point < 16 ? 1 : 0);
        if (stop >= 16 || digits == 0 || (text[stop] != delimiter && text[stop] != '\n')) break;

        const auto* const shuffle = reinterpret_cast<const __m128i*>(kShuffles.of[point][stop]);
        __m128i numbers = _mm_shuffle_epi8(_mm_and_si128(bytes, are_digits), _mm_load_si128(shuffle));
        numbers = _mm_maddubs_epi16(numbers, _mm_set1_epi16(0x010A));   // tens and ones
        numbers = _mm_madd_epi16(numbers, _mm_set1_epi32(0x00010064));  // hundreds and ones
        numbers = _mm_packus_epi32(numbers, numbers);                   // four digits each, below 2^15
        numbers = _mm_madd_epi16(numbers, _mm_set1_epi32(0x00012710));  // ten thousands and ones
        const auto halves = static_cast<uint64_t>(_mm_cvtsi128_si64(numbers));
        const uint64_t number = (halves & 0xFFFFFFFF) * 100000000 + (halves >> 32);
        if (!float_parser_internal::scaled_float(number,
                                                 point < 16 ? static_cast<int>(point) + 1 - static_cast<int>(stop) : 0,
                                                 negative != 0, to[taken]))
            break;
        field = text + stop;
    }
    p = field;
    return taken;
}
const bool kTakesUsualFields = __builtin_cpu_supports("sse4.1");
#else
size_t take_usual_fields(const char*&, const char*, char, float*, size_t) { return 0; }
constexpr bool kTakesUsualFields = false;
#endif

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view first_line_with_content(std::string_view text) {
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trim(text.substr(0, end));
        if (!line.empty()) return line;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return {};
}

char sniff_delimiter(std::string_view line) {
    for (const char candidate : {',', '\t', ';', ' '})
        if (line.find(candidate) != std::string_view::npos) return candidate;
    return ',';
}

// Up to 40 bytes of the field at `p`, for messages.
std::string quote_field(const char* p, const char* end, char delimiter) {
    const char* stop = p;
    while (stop != end && *stop != delimiter && *stop != '\n' && *stop != '\r' && stop - p < 40) ++stop;
    return "'" + valid_utf8(std::string_view(p, static_cast<size_t>(stop - p))) + "'";
}

class CsvParser {
  public:
    CsvParser(std::string_view piece, const CsvLayout& layout)
        : begin_(piece.data()), p_(piece.data()), end_(piece.data() + piece.size()), layout_(layout) {}

    Result<size_t, PieceError> parse(DenseTarget target) {
        size_t rows = 0;
        while (skip_blank_lines()) {
            row_ = p_;
            TRY(take_fields(target.labels, layout_.label_size, 0));
            if (layout_.weights) TRY(take_fields(target.weights, 1, layout_.label_size));
            TRY(take_fields(target.values, layout_.columns, leading_fields()));
            TRY(end_row());
            ++rows;
            target.labels += layout_.label_size;
            target.weights += layout_.weights ? 1 : 0;
            target.values += layout_.columns;
        }
        return rows;
    }

  private:
    size_t leading_fields() const { return layout_.label_size + (layout_.weights ? 1 : 0); }
    size_t fields_per_row() const { return leading_fields() + layout_.columns; }

    bool skip_blank_lines() {
        for (;;) {
            const char* q = p_;
            while (q != end_ && is_blank(*q)) ++q;
            if (q == end_) return false;
            if (*q != '\n') {
                if (layout_.delimiter == ' ') p_ = q;
                return true;
            }
            p_ = q + 1;
        }
    }

    void skip_blanks() {
        while (p_ != end_ && is_blank(*p_) && *p_ != layout_.delimiter) ++p_;
    }
    bool at_row_end() const { return p_ == end_ || *p_ == '\n'; }

    // Fields first_field … first_field + count - 1 of a row, with the delimiters between them and before the first.
    Result<void, PieceError> take_fields(float* to, size_t count, size_t first_field) {
        for (size_t i = 0; i < count; ++i) {
            if (first_field + i > 0) {
                if (kTakesUsualFields) i += take_usual_fields(p_, end_, layout_.delimiter, to + i, count - i);
                if (i == count) break;
                if (p_ == end_ || *p_ != layout_.delimiter) [[unlikely]]
                    return after_field(first_field + i);
                ++p_;
            }
            if (p_ != end_ && is_blank(*p_)) skip_blanks();
            const char* next = parse_float(p_, end_, to[i]);
            if (next == nullptr) [[unlikely]] {
                if (!at_row_end() && *p_ != layout_.delimiter) return bad_field();
                if (first_field + i < leading_fields()) return PieceError{offset(), "the label or weight is empty"};
                if (layout_.reject_missing)
                    return PieceError{offset(), "field " + std::to_string(first_field + i + 1) + " is empty"};
                to[i] = kMissing;
                continue;
            }
            p_ = next;
            if (p_ != end_ && is_blank(*p_)) skip_blanks();
        }
        return {};
    }

    // What stands where a delimiter was expected: the end of a short row, or rubbish behind a number.
    PieceError after_field(size_t fields_seen) const {
        if (at_row_end()) return wrong_width(fields_seen);
        return PieceError{offset(), "unexpected " + quote_field(p_, end_, layout_.delimiter) + " after a number"};
    }

    Result<void, PieceError> end_row() {
        if (p_ == end_) return {};
        if (*p_ == '\n') {
            ++p_;
            return {};
        }
        if (*p_ != layout_.delimiter) return after_field(fields_per_row());
        // A space-separated line may end in spaces.
        if (is_blank(layout_.delimiter)) {
            while (p_ != end_ && is_blank(*p_)) ++p_;
            if (at_row_end()) return end_row();
        }
        const char* line_end = std::find(p_, end_, '\n');
        return wrong_width(fields_per_row() + static_cast<size_t>(std::count(p_, line_end, layout_.delimiter)));
    }

    PieceError wrong_width(size_t fields) const {
        return {static_cast<size_t>(row_ - begin_),
                "the row has " + std::to_string(fields) + " fields, expected " + std::to_string(fields_per_row())};
    }
    PieceError bad_field() const {
        std::string what = quote_field(p_, end_, layout_.delimiter) + " is not a number";
        if (row_ == begin_) what += " (CSV input has no header line)";
        return {offset(), what};
    }
    size_t offset() const { return static_cast<size_t>(p_ - begin_); }

    const char* begin_;
    const char* p_;
    const char* end_;
    const char* row_ = nullptr;
    CsvLayout layout_;
};

}  // namespace

Result<CsvLayout, PieceError> learn_csv_layout(std::string_view text, const ReaderOptions& options) {
    const std::string_view line = first_line_with_content(text);
    CsvLayout layout{options.sniff_delimiter ? sniff_delimiter(line) : options.delimiter, options.label_size,
                     options.csv_weights, options.reject_missing, options.columns};
    if (layout.columns > 0 || line.empty()) return layout;
    const size_t fields = 1 + static_cast<size_t>(std::count(line.begin(), line.end(), layout.delimiter));
    const size_t leading = layout.label_size + (layout.weights ? 1 : 0);
    if (fields <= leading)
        return PieceError{static_cast<size_t>(line.data() - text.data()),
                          "the row has " + std::to_string(fields) + " fields: no features beside " +
                              (layout.weights ? "label and weight" : "the label")};
    layout.columns = fields - leading;
    return layout;
}

size_t count_lines(std::string_view piece) {
    size_t count = 0;
    const char* p = piece.data();
    const char* const end = p + piece.size();
    for (; end - p >= 32; p += 32) {
        // A fixed inner loop that the compiler turns into byte compares of vectors.
        unsigned char hits = 0;
        for (int i = 0; i < 32; ++i) hits = static_cast<unsigned char>(hits + (p[i] == '\n'));
        count += hits;
    }
    count += static_cast<size_t>(std::count(p, end, '\n'));
    return count + (!piece.empty() && piece.back() != '\n' ? 1 : 0);
}

Result<size_t, PieceError> parse_csv(std::string_view piece, const CsvLayout& layout, const DenseTarget& target) {
    return CsvParser(piece, layout).parse(target);
}

}  // namespace millwright::algorithms::reader_internal
