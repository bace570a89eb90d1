//   file = { line "\n" }
//   line = label [":" weight] { blank feature } [comment] | { feature } [comment]     (the latter when label_optional)
//   feature = index ":" value | "qid:" number
//   comment = "#" …
#include <algorithm>
#include <cstring>

#include "algorithms/common/float_parser.h"
#include "algorithms/common/reader_pieces.h"
#include "base/strings.h"

namespace millwright::algorithms::reader_internal {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

class LibsvmParser {
  public:
    LibsvmParser(std::string_view piece, const ReaderOptions& options, Dataset& out)
        : begin_(piece.data()), p_(piece.data()), end_(piece.data() + piece.size()), options_(options), out_(out) {}

    Result<void, PieceError> parse() {
        out_.sparse = true;
        out_.row_starts.assign(1, 0);
        size_t columns = 0;
        while (p_ != end_) {
            skip_blanks();
            if (at_line_end()) {
                next_line();
                continue;
            }
            TRY(parse_line(columns));
            next_line();
        }
        out_.columns = options_.columns > 0 ? options_.columns : columns;
        out_.label_width = out_.labels.empty() ? 0 : 1;
        return {};
    }

  private:
    Result<void, PieceError> parse_line(size_t& columns) {
        const bool labelled = !options_.label_optional || !starts_with_feature();
        if (labelled) TRY(take_label());
        if (out_.labels.size() != (labelled ? out_.rows + 1 : 0))
            return PieceError{offset(), "some rows have a label and some do not"};
        bool has_query_id = false;
        for (skip_blanks(); !at_line_end(); skip_blanks()) TRY(take_feature(columns, has_query_id));
        if (out_.query_ids.size() != (has_query_id ? out_.rows + 1 : 0))
            return PieceError{offset(), "some rows have a query id and some do not"};
        ++out_.rows;
        out_.row_starts.push_back(out_.values.size());
        return {};
    }

    // A feature is "digits:"; a label may be followed by ":weight" too, but then more features or the end follow.
    bool starts_with_feature() const {
        const char* q = p_;
        while (float_parser_internal::is_digit(q, end_)) ++q;
        return q != p_ && q != end_ && *q == ':';
    }

    Result<void, PieceError> take_label() {
        float label = 0;
        const char* next = parse_float(p_, end_, label);
        if (next == nullptr) return PieceError{offset(), "the label " + quote_token() + " is not a number"};
        p_ = next;
        const bool weighted = p_ != end_ && *p_ == ':';
        if (weighted) {
            ++p_;
            float weight = 0;
            next = parse_float(p_, end_, weight);
            if (next == nullptr) return PieceError{offset(), "the weight " + quote_token() + " is not a number"};
            p_ = next;
            out_.weights.push_back(weight);
        }
        if (!at_token_end()) return PieceError{offset(), "unexpected " + quote_token() + " after the label"};
        if (out_.weights.size() != (weighted ? out_.rows + 1 : 0))
            return PieceError{offset(), "some rows have a weight and some do not"};
        out_.labels.push_back(label);
        return {};
    }

    Result<void, PieceError> take_feature(size_t& columns, bool& has_query_id) {
        if (static_cast<size_t>(end_ - p_) > 4 && std::memcmp(p_, "qid:", 4) == 0) {
            if (has_query_id) return PieceError{offset(), "a second query id"};
            has_query_id = true;
            p_ += 4;
            uint64_t id = 0;
            TRY(take_integer(id, "query id"));
            out_.query_ids.push_back(id);
            return at_token_end() ? Result<void, PieceError>() : PieceError{offset(), "unexpected " + quote_token()};
        }
        uint64_t index = 0;
        TRY(take_integer(index, "feature index"));
        if (index >= UINT32_MAX)
            return PieceError{offset(), "the feature index " + std::to_string(index) + " is too large"};
        if (options_.columns > 0 && index >= options_.columns)
            return PieceError{offset(), "the feature index " + std::to_string(index) + " is out of range for " +
                                            std::to_string(options_.columns) + " features"};
        if (p_ == end_ || *p_ != ':') return PieceError{offset(), "expected ':' and a value after a feature index"};
        ++p_;
        float value = 0;
        const char* next = parse_float(p_, end_, value);
        if (next == nullptr) return PieceError{offset(), "the value " + quote_token() + " is not a number"};
        p_ = next;
        if (!at_token_end()) return PieceError{offset(), "unexpected " + quote_token() + " after a value"};
        out_.indices.push_back(static_cast<uint32_t>(index));
        out_.values.push_back(value);
        columns = std::max(columns, static_cast<size_t>(index) + 1);
        return {};
    }

    Result<void, PieceError> take_integer(uint64_t& number, std::string_view what) {
        const char* const first = p_;
        number = 0;
        while (float_parser_internal::is_digit(p_, end_)) number = number * 10 + static_cast<uint64_t>(*p_++ - '0');
        if (p_ != first && p_ - first <= 19) return {};
        p_ = first;
        return PieceError{offset(), quote_token() + " is not a " + std::string(what)};
    }

    void skip_blanks() {
        while (p_ != end_ && is_blank(*p_)) ++p_;
    }
    bool at_line_end() const { return p_ == end_ || *p_ == '\n' || *p_ == '#'; }
    bool at_token_end() const { return at_line_end() || is_blank(*p_); }
    void next_line() {
        const void* newline = std::memchr(p_, '\n', static_cast<size_t>(end_ - p_));
        p_ = newline == nullptr ? end_ : static_cast<const char*>(newline) + 1;
    }
    std::string quote_token() const {
        const char* stop = p_;
        while (stop != end_ && !is_blank(*stop) && *stop != '\n' && stop - p_ < 40) ++stop;
        return "'" + valid_utf8(std::string_view(p_, static_cast<size_t>(stop - p_))) + "'";
    }
    size_t offset() const { return static_cast<size_t>(p_ - begin_); }

    const char* begin_;
    const char* p_;
    const char* end_;
    const ReaderOptions& options_;
    Dataset& out_;
};

}  // namespace

Result<void, PieceError> parse_libsvm(std::string_view piece, const ReaderOptions& options, Dataset& out) {
    return LibsvmParser(piece, options, out).parse();
}

}  // namespace millwright::algorithms::reader_internal
