// RecordIO-protobuf. The frame and message grammar is in recordio.h and docs/internals/algorithms.md.
//
// Two parsers over one field walker: dense records of equal shape are copied straight to their place; everything else
// protobuf allows (unpacked or split repeated fields, unknown fields, any order, other number types, sparse) goes
// through Tensor::spill.
#include "algorithms/common/recordio.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "algorithms/common/reader_pieces.h"

namespace millwright::algorithms::reader_internal {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are copied as they stand in the file");

constexpr uint32_t kLengthMask = (uint32_t{1} << 29) - 1;

uint32_t load_u32(const char* p) {
    uint32_t word = 0;
    std::memcpy(&word, p, 4);
    return word;
}

// --- frames ---

struct Part {
    size_t payload = 0;  // offset
    size_t length = 0;
    size_t end = 0;  // offset of the next frame, padding included; the padding of the last frame may be cut off
    unsigned continuation = 0;  // 0 whole, 1 first, 2 middle, 3 last
};

// MXNet keeps 29 bits of length and 3 of continuation flag, the SDK 32 bits of length. Flags 1 to 3 are believed unless
// reading the word as a plain length leads exactly to another frame or to the end.
Result<Part, PieceError> read_part(std::string_view bytes, size_t offset) {
    if (bytes.size() - offset < kFrameBytes) return PieceError{offset, "the file ends inside a RecordIO header"};
    if (load_u32(bytes.data() + offset) != kRecordIoMagic) return PieceError{offset, "RecordIO magic number expected"};
    const uint32_t word = load_u32(bytes.data() + offset + 4);
    Part part{offset + kFrameBytes, word, 0, 0};
    const size_t room = bytes.size() - part.payload;
    if (word > kLengthMask) {
        const size_t plain_end = (size_t{word} + 3) / 4 * 4;
        const bool is_plain =
            word <= room &&
            (plain_end >= room ||
             (room - plain_end >= 4 && load_u32(bytes.data() + part.payload + plain_end) == kRecordIoMagic));
        if (!is_plain) {
            part.continuation = word >> 29;
            part.length = word & kLengthMask;
            if (part.continuation > 3) return PieceError{offset, "RecordIO length beyond the end of the file"};
        }
    }
    if (part.length > room)
        return PieceError{offset, "the file ends inside a record of " + std::to_string(part.length) + " bytes"};
    part.end = std::min(part.payload + (part.length + 3) / 4 * 4, bytes.size());
    return part;
}

// Payload of the record at `offset`, which moves behind it. `joined` holds the bytes of records in several parts: the
// writer cut such a record where its data held the magic number, which is put back here.
Result<std::string_view, PieceError> next_record(std::string_view bytes, size_t& offset, std::string& joined) {
    Part part = TRY(read_part(bytes, offset));
    if (part.continuation == 0) [[likely]] {
        offset = part.end;
        return bytes.substr(part.payload, part.length);
    }
    if (part.continuation != 1) return PieceError{offset, "RecordIO continuation without a first part"};
    joined.assign(bytes.substr(part.payload, part.length));
    do {
        if (part.end == bytes.size()) return PieceError{offset, "the file ends between the parts of a record"};
        const size_t start = part.end;
        part = TRY(read_part(bytes, start));
        if (part.continuation != 2 && part.continuation != 3)
            return PieceError{start, "a record in several parts lacks its last part"};
        joined.append(reinterpret_cast<const char*>(&kRecordIoMagic), 4);
        joined.append(bytes.substr(part.payload, part.length));
    } while (part.continuation != 3);
    offset = part.end;
    return std::string_view(joined);
}

// --- protobuf ---

// Walks the fields of one message. After `ok` turned false the message is malformed and nothing more comes.
class FieldWalker {
  public:
    explicit FieldWalker(std::string_view message) : p_(message.data()), end_(message.data() + message.size()) {}

    uint32_t field = 0;
    uint32_t wire_type = 0;
    uint64_t number = 0;     // wire types 0, 1, 5
    std::string_view bytes;  // wire type 2
    bool ok = true;

    bool next() {
        if (p_ == end_) return false;
        const uint64_t tag = varint();
        field = static_cast<uint32_t>(tag >> 3);
        wire_type = static_cast<uint32_t>(tag & 7);
        if (!ok || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) return fail();
        return take_value();
    }

    static std::optional<uint64_t> take_varint(std::string_view& bytes) {
        FieldWalker walker(bytes);
        const uint64_t number = walker.varint();
        if (!walker.ok) return std::nullopt;
        bytes.remove_prefix(static_cast<size_t>(walker.p_ - bytes.data()));
        return number;
    }

  private:
    bool fail() {
        ok = false;
        return false;
    }

    uint64_t varint() {
        if (p_ != end_ && static_cast<unsigned char>(*p_) < 0x80) [[likely]]
            return static_cast<unsigned char>(*p_++);
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 70; shift += 7) {
            if (p_ == end_) break;
            const auto byte = static_cast<unsigned char>(*p_++);
            if (shift < 64) value |= uint64_t{byte & 0x7Fu} << shift;
            if (byte < 0x80) return value;
        }
        ok = false;
        return 0;
    }

    bool take_fixed(size_t size) {
        if (static_cast<size_t>(end_ - p_) < size) return fail();
        number = 0;
        std::memcpy(&number, p_, size);
        p_ += size;
        return true;
    }

    bool take_value() {
        switch (wire_type) {
            case 0:
                number = varint();
                return ok;
            case 1:
                return take_fixed(8);
            case 5:
                return take_fixed(4);
            case 2: {
                const uint64_t length = varint();
                if (!ok || length > static_cast<size_t>(end_ - p_)) return fail();
                bytes = {p_, static_cast<size_t>(length)};
                p_ += length;
                return true;
            }
            case 3:
                return skip_group();
            default:
                return fail();
        }
    }

    // Groups are long gone from protobuf but still legal as unknown fields.
    bool skip_group() {
        for (size_t depth = 1; depth > 0;) {
            if (p_ == end_ || depth > 64) return fail();
            const uint64_t tag = varint();
            if (!ok) return false;
            switch (tag & 7) {
                case 3:
                    ++depth;
                    break;
                case 4:
                    --depth;
                    break;
                default: {
                    const uint32_t inner = static_cast<uint32_t>(tag & 7);
                    wire_type = inner;
                    if (!take_value()) return fail();
                }
            }
        }
        wire_type = 3;
        return true;
    }

    const char* p_;
    const char* end_;
};

enum class NumberType { None, Float32, Float64, Int32 };

// One Float32Tensor, Float64Tensor or Int32Tensor.
struct Tensor {
    NumberType type = NumberType::None;
    std::string_view packed;     // all values, when they are Float32 in one packed block
    std::vector<float> spilled;  // otherwise
    std::vector<uint64_t> keys;
    std::vector<uint64_t> shape;

    size_t size() const { return spilled.empty() ? packed.size() / 4 : spilled.size(); }
    bool sparse() const { return !keys.empty() || (size() == 0 && !shape.empty()); }
    void copy_to(float* out) const {
        if (!spilled.empty()) {
            std::copy(spilled.begin(), spilled.end(), out);
        } else if (!packed.empty()) {
            std::memcpy(out, packed.data(), packed.size());
        }
    }
    void reset(NumberType number_type) {
        type = number_type;
        packed = {};
        spilled.clear();
        keys.clear();
        shape.clear();
    }
    // Moves what is packed to `spilled`, so that more values can follow.
    void spill() {
        if (packed.empty()) return;
        const size_t count = packed.size() / 4;
        spilled.resize(count);
        std::memcpy(spilled.data(), packed.data(), count * 4);
        packed = {};
    }
};

bool append_packed_values(std::string_view bytes, Tensor& tensor) {
    if (tensor.type == NumberType::Float32) {
        if (bytes.size() % 4 != 0) return false;
        if (tensor.packed.empty() && tensor.spilled.empty()) {
            tensor.packed = bytes;
            return true;
        }
        tensor.spill();
        const size_t old = tensor.spilled.size();
        tensor.spilled.resize(old + bytes.size() / 4);
        std::memcpy(tensor.spilled.data() + old, bytes.data(), bytes.size());
        return true;
    }
    if (tensor.type == NumberType::Float64) {
        if (bytes.size() % 8 != 0) return false;
        for (size_t at = 0; at < bytes.size(); at += 8) {
            double number = 0;
            std::memcpy(&number, bytes.data() + at, 8);
            tensor.spilled.push_back(static_cast<float>(number));
        }
        return true;
    }
    while (!bytes.empty()) {
        const auto number = FieldWalker::take_varint(bytes);
        if (!number) return false;
        tensor.spilled.push_back(static_cast<float>(static_cast<int32_t>(*number)));
    }
    return true;
}

bool append_value(const FieldWalker& field, Tensor& tensor) {
    if (field.wire_type == 2) return append_packed_values(field.bytes, tensor);
    tensor.spill();
    if (tensor.type == NumberType::Float32 && field.wire_type == 5) {
        tensor.spilled.push_back(std::bit_cast<float>(static_cast<uint32_t>(field.number)));
    } else if (tensor.type == NumberType::Float64 && field.wire_type == 1) {
        tensor.spilled.push_back(static_cast<float>(std::bit_cast<double>(field.number)));
    } else if (tensor.type == NumberType::Int32 && field.wire_type == 0) {
        tensor.spilled.push_back(static_cast<float>(static_cast<int32_t>(field.number)));
    } else {
        return false;
    }
    return true;
}

bool append_integers(const FieldWalker& field, std::vector<uint64_t>& numbers) {
    if (field.wire_type == 0) {
        numbers.push_back(field.number);
        return true;
    }
    if (field.wire_type != 2) return false;
    for (std::string_view bytes = field.bytes; !bytes.empty();) {
        const auto number = FieldWalker::take_varint(bytes);
        if (!number) return false;
        numbers.push_back(*number);
    }
    return true;
}

bool parse_tensor(std::string_view message, NumberType type, Tensor& tensor) {
    tensor.reset(type);
    FieldWalker field(message);
    while (field.next()) {
        bool fits = true;
        if (field.field == 1) fits = append_value(field, tensor);
        if (field.field == 2) fits = append_integers(field, tensor.keys);
        if (field.field == 3) fits = append_integers(field, tensor.shape);
        if (!fits) return false;
    }
    return field.ok;
}

// Value: a oneof, so the last one counts.
bool parse_value(std::string_view message, Tensor& tensor) {
    FieldWalker field(message);
    while (field.next()) {
        if (field.wire_type != 2) continue;
        if (field.field == 2 && !parse_tensor(field.bytes, NumberType::Float32, tensor)) return false;
        if (field.field == 3 && !parse_tensor(field.bytes, NumberType::Float64, tensor)) return false;
        if (field.field == 7 && !parse_tensor(field.bytes, NumberType::Int32, tensor)) return false;
        if (field.field == 9) tensor.reset(NumberType::None);
    }
    return field.ok;
}

// An entry of a map<string, Value>. Only the key "values" counts; of several the last wins.
bool parse_entry(std::string_view message, Tensor& tensor) {
    std::string_view key;
    std::string_view value;
    FieldWalker field(message);
    while (field.next()) {
        if (field.wire_type != 2) continue;
        if (field.field == 1) key = field.bytes;
        if (field.field == 2) value = field.bytes;
    }
    if (!field.ok) return false;
    return key != "values" || parse_value(value, tensor);
}

struct Record {
    Tensor features;
    Tensor label;
    std::string_view uid;
    std::string_view metadata;
};

bool parse_record(std::string_view message, Record& record) {
    record.features.reset(NumberType::None);
    record.label.reset(NumberType::None);
    record.uid = record.metadata = {};
    FieldWalker field(message);
    while (field.next()) {
        if (field.wire_type != 2) continue;
        if (field.field == 1 && !parse_entry(field.bytes, record.features)) return false;
        if (field.field == 2 && !parse_entry(field.bytes, record.label)) return false;
        if (field.field == 3) record.uid = field.bytes;
        if (field.field == 4) record.metadata = field.bytes;
    }
    return field.ok;
}

// Why the tensor of a well-formed record cannot be a row; empty when it can.
std::string describe_problem(const Record& record) {
    const Tensor& features = record.features;
    if (features.type == NumberType::None) return "the record has no numeric feature 'values'";
    if (record.label.sparse()) return "sparse labels are not supported";
    if (!features.sparse()) return features.size() == 0 ? "the record has no values" : "";
    if (features.shape.size() != 1) return "a sparse record needs a shape of one number";
    if (features.shape[0] == 0 || features.shape[0] >= UINT32_MAX)
        return "the shape " + std::to_string(features.shape[0]) + " is out of range";
    if (features.keys.size() != features.size())
        return "the record has " + std::to_string(features.keys.size()) + " keys but " +
               std::to_string(features.size()) + " values";
    for (const uint64_t key : features.keys)
        if (key >= features.shape[0])
            return "the key " + std::to_string(key) + " is out of range for the shape " +
                   std::to_string(features.shape[0]);
    return "";
}

// Adds rows to a dataset that starts dense and turns sparse at the first sparse record.
class RecordAppender {
  public:
    RecordAppender(const ReaderOptions& options, Dataset& out) : options_(options), out_(out) {}

    std::string append(const Record& record) {
        std::string problem = describe_problem(record);
        if (problem.empty()) problem = check_shape(record);
        if (!problem.empty()) return problem;
        if (record.features.sparse() && !out_.sparse) make_sparse(out_);
        if (out_.sparse) {
            append_sparse(record.features);
        } else {
            const size_t old = out_.values.size();
            out_.values.resize(old + record.features.size());
            record.features.copy_to(out_.values.data() + old);
        }
        const size_t old = out_.labels.size();
        out_.labels.resize(old + record.label.size());
        record.label.copy_to(out_.labels.data() + old);
        if (options_.keep_record_infos)
            out_.record_infos.push_back({std::string(record.uid), std::string(record.metadata)});
        ++out_.rows;
        return "";
    }

  private:
    std::string check_shape(const Record& record) {
        const size_t width = record.features.sparse() ? record.features.shape[0] : record.features.size();
        if (options_.columns > 0 && width != options_.columns)
            return "the record has " + std::to_string(width) + " features, expected " +
                   std::to_string(options_.columns);
        if (options_.require_label && record.label.size() == 0) return "the record has no label";
        if (out_.rows == 0) {
            out_.columns = width;
            out_.label_width = record.label.size();
            return "";
        }
        if (width != out_.columns)
            return "the record has " + std::to_string(width) + " features, the one before " +
                   std::to_string(out_.columns);
        if (record.label.size() != out_.label_width)
            return "the record has " + std::to_string(record.label.size()) + " labels, the one before " +
                   std::to_string(out_.label_width);
        return "";
    }

    void append_sparse(const Tensor& features) {
        const size_t old = out_.values.size();
        out_.values.resize(old + features.size());
        float* const to = out_.values.data() + old;
        features.copy_to(to);
        size_t kept = 0;
        for (size_t i = 0; i < features.size(); ++i) {
            // As make_sparse does with the dense rows before: a missing number is no entry.
            if (features.keys.empty() && to[i] != to[i]) continue;
            to[kept++] = to[i];
            out_.indices.push_back(static_cast<uint32_t>(features.keys.empty() ? i : features.keys[i]));
        }
        out_.values.resize(old + kept);
        out_.row_starts.push_back(out_.values.size());
    }

    const ReaderOptions& options_;
    Dataset& out_;
};

// Writers give each record of a file the same bytes around its numbers. Where a record has the bytes of the one before
// it, its numbers stand at the same places and nothing else is in it: two comparisons and two copies.
class Mould {
  public:
    Mould() = default;
    // `bytes`: a record as it stands in the file; `payload` and `record`: what was read from it.
    Mould(std::string_view bytes, std::string_view payload, const Record& record) {
        const bool in_one_part = payload.data() == bytes.data() + kFrameBytes && payload.size() <= kLengthMask;
        if (!in_one_part || bytes.size() % 4 != 0 || !record.features.spilled.empty() || !record.label.spilled.empty())
            return;
        bytes_ = bytes;
        const auto place = [&](std::string_view numbers) {
            return numbers.empty() ? Span{} : Span{static_cast<size_t>(numbers.data() - bytes.data()), numbers.size()};
        };
        features_ = place(record.features.packed);
        label_ = place(record.label.packed);
        first_ = label_.size == 0 || features_.begin < label_.begin ? features_ : label_;
        second_ = first_.begin == features_.begin ? label_ : features_;
    }

    // False without a record to compare with.
    bool fits(std::string_view bytes) const {
        if (bytes_.empty() || bytes.size() < bytes_.size()) return false;
        const auto same = [&](size_t begin, size_t end) {
            return std::memcmp(bytes.data() + begin, bytes_.data() + begin, end - begin) == 0;
        };
        if (!same(0, first_.begin)) return false;
        if (second_.size == 0) return same(first_.end(), bytes_.size());
        return same(first_.end(), second_.begin) && same(second_.end(), bytes_.size());
    }
    void copy(std::string_view bytes, float* values, float* labels) const {
        std::memcpy(values, bytes.data() + features_.begin, features_.size);
        if (label_.size > 0) std::memcpy(labels, bytes.data() + label_.begin, label_.size);
    }
    size_t stride() const { return bytes_.size(); }

  private:
    struct Span {
        size_t begin = 0;
        size_t size = 0;
        size_t end() const { return begin + size; }
    };

    std::string_view bytes_;
    Span features_, label_;
    Span first_, second_;  // the same in the order of the file
};

}  // namespace

Result<size_t, PieceError> RecordEnds::find(size_t offset) {
    const size_t start = offset;
    Part part = TRY(read_part(bytes_, offset));
    if (part.continuation == 0) {
        // What follows a longer one may be what tells its length.
        if (part.length <= kLengthMask && (part.end - part.payload) % 4 == 0) {
            frame_ = bytes_.substr(start, kFrameBytes);
            stride_ = part.end - start;
        }
        return part.end;
    }
    if (part.continuation != 1) return PieceError{start, "RecordIO continuation without a first part"};
    while (part.continuation != 3) {
        if (part.end == bytes_.size()) return PieceError{start, "the file ends between the parts of a record"};
        part = TRY(read_part(bytes_, part.end));
        if (part.continuation < 2) return PieceError{start, "a record in several parts lacks its last part"};
    }
    return part.end;
}

Result<RecordIoLayout, PieceError> learn_recordio_layout(std::string_view bytes) {
    size_t offset = 0;
    std::string joined;
    Record record;
    const std::string_view payload = TRY(next_record(bytes, offset, joined));
    if (!parse_record(payload, record)) return PieceError{0, "the record is not a valid protobuf message"};
    if (std::string problem = describe_problem(record); !problem.empty()) return PieceError{0, std::move(problem)};
    return RecordIoLayout{record.features.sparse() ? record.features.shape[0] : record.features.size(),
                          record.label.size(), record.features.sparse()};
}

Result<bool, PieceError> parse_dense_records(std::string_view piece, const RecordIoLayout& layout, size_t rows,
                                             const DenseTarget& target) {
    size_t offset = 0;
    std::string joined;
    Record record;
    Mould mould;
    float* values = target.values;
    float* labels = target.labels;
    for (size_t row = 0; row < rows; ++row) {
        const std::string_view rest = piece.substr(offset);
        if (mould.fits(rest)) [[likely]] {
            mould.copy(rest, values, labels);
            offset += mould.stride();
        } else {
            const size_t start = offset;
            const std::string_view payload = TRY(next_record(piece, offset, joined));
            if (!parse_record(payload, record)) return PieceError{start, "the record is not a valid protobuf message"};
            if (record.features.type == NumberType::None || record.features.sparse() || record.label.sparse() ||
                record.features.size() != layout.columns || record.label.size() != layout.label_width)
                return false;
            record.features.copy_to(values);
            record.label.copy_to(labels);
            mould = Mould(rest.substr(0, offset - start), payload, record);
        }
        values += layout.columns;
        labels += layout.label_width;
    }
    return true;
}

Result<void, PieceError> parse_records(std::string_view piece, const ReaderOptions& options, Dataset& out) {
    std::string joined;
    Record record;
    RecordAppender rows(options, out);
    for (size_t offset = 0; offset < piece.size();) {
        const size_t start = offset;
        const std::string_view payload = TRY(next_record(piece, offset, joined));
        if (!parse_record(payload, record)) return PieceError{start, "the record is not a valid protobuf message"};
        if (std::string problem = rows.append(record); !problem.empty()) return PieceError{start, std::move(problem)};
    }
    return {};
}

}  // namespace millwright::algorithms::reader_internal

namespace millwright::algorithms {
namespace {

void append_u32(std::string& out, uint32_t number) { out.append(reinterpret_cast<const char*>(&number), 4); }

void append_varint(std::string& out, uint64_t number) {
    for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
    out += static_cast<char>(number);
}

void append_bytes_field(std::string& out, uint32_t field, std::string_view bytes) {
    append_varint(out, field << 3 | 2);
    append_varint(out, bytes.size());
    out += bytes;
}

std::string encode_varints(std::span<const uint64_t> numbers) {
    std::string out;
    for (const uint64_t number : numbers) append_varint(out, number);
    return out;
}

std::string encode_entry(const NamedTensor& tensor) {
    std::string numbers;
    append_bytes_field(numbers, 1, {reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size_bytes()});
    if (!tensor.keys.empty()) append_bytes_field(numbers, 2, encode_varints(tensor.keys));
    if (!tensor.shape.empty()) append_bytes_field(numbers, 3, encode_varints(tensor.shape));
    std::string value;
    append_bytes_field(value, 2, numbers);
    std::string entry;
    append_bytes_field(entry, 1, tensor.name);
    append_bytes_field(entry, 2, value);
    return entry;
}

}  // namespace

void append_frame(std::string& out, std::string_view payload) {
    append_u32(out, kRecordIoMagic);
    append_u32(out, static_cast<uint32_t>(payload.size()));
    out += payload;
    out.append((4 - payload.size() % 4) % 4, '\0');
}

void append_record(std::string& out, const RecordParts& record) {
    std::string message;
    for (const auto& tensor : record.features) append_bytes_field(message, 1, encode_entry(tensor));
    for (const auto& tensor : record.label) append_bytes_field(message, 2, encode_entry(tensor));
    if (!record.uid.empty()) append_bytes_field(message, 3, record.uid);
    if (!record.metadata.empty()) append_bytes_field(message, 4, record.metadata);
    append_frame(out, message);
}

}  // namespace millwright::algorithms
