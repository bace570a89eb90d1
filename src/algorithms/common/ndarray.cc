#include "algorithms/common/ndarray.h"

#include <cstring>

#include "base/check.h"

namespace millwright::algorithms {
namespace {

constexpr uint64_t kFileMagic = 0x112;
constexpr uint32_t kVersion1 = 0xF993FAC8;
constexpr uint32_t kVersion2 = 0xF993FAC9;
constexpr uint32_t kVersion3 = 0xF993FACA;
constexpr uint32_t kMaxDimensions = 32;

template <typename T>
void append_raw(std::string& out, T number) {
    out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

class ByteReader {
  public:
    explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

    template <typename T>
    Result<T> take() {
        T number{};
        const std::string_view raw = TRY(take_bytes(sizeof number));
        std::memcpy(&number, raw.data(), sizeof number);
        return number;
    }
    Result<std::string_view> take_bytes(uint64_t count) {
        if (count > bytes_.size() - at_) return invalid_input("NDArray file: cut off at byte " + std::to_string(at_));
        const std::string_view raw = bytes_.substr(at_, static_cast<size_t>(count));
        at_ += static_cast<size_t>(count);
        return raw;
    }
    size_t left() const { return bytes_.size() - at_; }
    Error wrong(std::string_view what) const {
        return invalid_input("NDArray file: " + std::string(what) + " at byte " + std::to_string(at_));
    }

  private:
    std::string_view bytes_;
    size_t at_ = 0;
};

// The dimensions that follow the first word of an array; none for an array without content.
Result<std::vector<int64_t>> read_shape(ByteReader& reader, uint32_t first_word) {
    const bool is_oldest = first_word != kVersion1 && first_word != kVersion2 && first_word != kVersion3;
    if (first_word == kVersion2 || first_word == kVersion3) {
        const auto storage = TRY(reader.take<int32_t>());
        if (storage != 0) return reader.wrong("sparse storage type " + std::to_string(storage) + " is not supported");
    }
    const uint32_t dimensions = is_oldest ? first_word : TRY(reader.take<uint32_t>());
    if (dimensions > kMaxDimensions) return reader.wrong("bad array header");
    std::vector<int64_t> shape;
    for (uint32_t i = 0; i < dimensions; ++i) {
        const int64_t length = is_oldest ? int64_t{TRY(reader.take<uint32_t>())} : TRY(reader.take<int64_t>());
        if (length < 0) return reader.wrong("negative dimension");
        shape.push_back(length);
    }
    return shape;
}

Result<NdArray> read_array(ByteReader& reader) {
    NdArray array;
    array.shape = TRY(read_shape(reader, TRY(reader.take<uint32_t>())));
    if (array.shape.empty()) return array;
    TRY(reader.take<int32_t>());  // device type and number: where it was, not where it goes
    TRY(reader.take<int32_t>());
    const auto flag = TRY(reader.take<int32_t>());
    if (flag < 0 || flag > static_cast<int32_t>(NdType::Int64)) return reader.wrong("unknown number type");
    array.type = static_cast<NdType>(flag);
    uint64_t bytes = size_of(array.type);
    for (const int64_t length : array.shape)
        if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(length), &bytes))
            return reader.wrong("array too large");
    array.data = TRY(reader.take_bytes(bytes));
    return array;
}

template <typename T>
std::vector<float> convert(const std::string& data) {
    std::vector<float> out(data.size() / sizeof(T));
    for (size_t i = 0; i < out.size(); ++i) {
        T number{};
        std::memcpy(&number, data.data() + i * sizeof(T), sizeof(T));
        out[i] = static_cast<float>(number);
    }
    return out;
}

}  // namespace

size_t size_of(NdType type) {
    static constexpr size_t kSizes[] = {4, 8, 2, 1, 4, 1, 8};
    return kSizes[static_cast<size_t>(type)];
}

NdArray NdArray::floats(std::vector<int64_t> shape, const std::vector<float>& values) {
    size_t count = 1;
    for (const int64_t length : shape) count *= static_cast<size_t>(length);
    CHECK(!shape.empty() && count == values.size());
    NdArray array{NdType::Float32, std::move(shape), {}};
    array.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    return array;
}

Result<std::vector<float>> NdArray::to_floats() const {
    switch (type) {
        case NdType::Float32:
            return convert<float>(data);
        case NdType::Float64:
            return convert<double>(data);
        case NdType::Uint8:
            return convert<uint8_t>(data);
        case NdType::Int32:
            return convert<int32_t>(data);
        case NdType::Int8:
            return convert<int8_t>(data);
        case NdType::Int64:
            return convert<int64_t>(data);
        case NdType::Float16:
            break;
    }
    return invalid_input("NDArray file: arrays of float16 are not supported");
}

const NdArray* NdFile::find(std::string_view name) const {
    for (size_t i = 0; i < names.size(); ++i) {
        std::string_view candidate = names[i];
        if (candidate.starts_with("arg:") || candidate.starts_with("aux:")) candidate.remove_prefix(4);
        if (candidate == name || names[i] == name) return &arrays[i];
    }
    return nullptr;
}

std::string write_ndarrays(const NdFile& file) {
    CHECK(file.names.empty() || file.names.size() == file.arrays.size());
    std::string out;
    append_raw(out, kFileMagic);
    append_raw(out, uint64_t{0});
    append_raw(out, uint64_t{file.arrays.size()});
    for (const auto& array : file.arrays) {
        append_raw(out, kVersion2);
        append_raw(out, int32_t{0});
        append_raw(out, static_cast<uint32_t>(array.shape.size()));
        for (const int64_t length : array.shape) append_raw(out, length);
        if (array.shape.empty()) continue;
        append_raw(out, int32_t{1});  // CPU
        append_raw(out, int32_t{0});
        append_raw(out, static_cast<int32_t>(array.type));
        out += array.data;
    }
    append_raw(out, uint64_t{file.names.size()});
    for (const auto& name : file.names) {
        append_raw(out, uint64_t{name.size()});
        out += name;
    }
    return out;
}

Result<NdFile> read_ndarrays(std::string_view bytes) {
    ByteReader reader(bytes);
    if (TRY(reader.take<uint64_t>()) != kFileMagic) return reader.wrong("not an NDArray file, bad magic number");
    TRY(reader.take<uint64_t>());
    const auto count = TRY(reader.take<uint64_t>());
    if (count > reader.left() / 4) return reader.wrong("more arrays than the file can hold");
    NdFile file;
    for (uint64_t i = 0; i < count; ++i) file.arrays.push_back(TRY(read_array(reader)));
    const auto names = TRY(reader.take<uint64_t>());
    if (names != 0 && names != count) return reader.wrong("as many names as arrays expected");
    for (uint64_t i = 0; i < names; ++i) {
        const auto length = TRY(reader.take<uint64_t>());
        file.names.emplace_back(TRY(reader.take_bytes(length)));
    }
    return file;
}

}  // namespace millwright::algorithms
