#include "object_store/checksums.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "object_store/object_store.h"

namespace millwright::object_store {
namespace {

struct Algorithm {
    std::string_view name;
    DigestKind kind;
    int crc_bits;         // 0: not a CRC
    uint64_t polynomial;  // reflected
};
constexpr Algorithm kAlgorithms[] = {
    {"CRC32", DigestKind::Crc32, 32, 0xEDB88320},
    {"CRC32C", DigestKind::Crc32c, 32, 0x82F63B78},
    {"CRC64NVME", DigestKind::Crc64Nvme, 64, 0x9A6C9329AC4BC9B5},
    {"SHA1", DigestKind::Sha1, 0, 0},
    {"SHA256", DigestKind::Sha256, 0, 0},
};

Result<Algorithm> find_algorithm(std::string_view name) {
    for (const auto& algorithm : kAlgorithms)
        if (algorithm.name == name) return algorithm;
    return Error{ErrorKind::InvalidInput, "unknown checksum algorithm", std::string(reason::kChecksumName)};
}

// Polynomials over GF(2), reflected: the highest bit is x^0.
uint64_t multiply(const Algorithm& crc, uint64_t a, uint64_t b) {
    uint64_t product = 0;
    for (uint64_t bit = uint64_t{1} << (crc.crc_bits - 1); bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? (b >> 1) ^ crc.polynomial : b >> 1;
    }
    return product;
}

// x^(8 * bytes) modulo the polynomial.
uint64_t power_of_x(const Algorithm& crc, uint64_t bytes) {
    uint64_t result = uint64_t{1} << (crc.crc_bits - 1);
    uint64_t square = uint64_t{1} << (crc.crc_bits - 9);  // x^8
    for (; bytes != 0; bytes >>= 1) {
        if (bytes & 1) result = multiply(crc, result, square);
        square = multiply(crc, square, square);
    }
    return result;
}

std::optional<uint64_t> crc_value(const Algorithm& crc, const std::string& base64) {
    const auto raw = from_base64(base64);
    if (!raw || raw->size() * 8 != static_cast<size_t>(crc.crc_bits)) return std::nullopt;
    uint64_t value = 0;
    for (const char c : *raw) value = value << 8 | static_cast<unsigned char>(c);
    return value;
}

}  // namespace

bool is_checksum_algorithm(std::string_view name) { return find_algorithm(name).has_value(); }

Result<Hasher> Hasher::create(const std::vector<std::string>& algorithms) {
    Hasher hasher;
    for (const auto& name : algorithms) {
        const auto algorithm = TRY(find_algorithm(name));
        const bool known = std::any_of(hasher.digests_.begin(), hasher.digests_.end(),
                                       [&](const auto& digest) { return digest.first == name; });
        if (!known) hasher.digests_.emplace_back(name, Digest(algorithm.kind));
    }
    return hasher;
}

void Hasher::update(std::string_view bytes) {
    md5_.update(bytes);
    for (auto& [name, digest] : digests_) digest.update(bytes);
}

Hasher::Sums Hasher::finish() {
    Sums sums;
    sums.md5 = md5_.finish();
    for (auto& [name, digest] : digests_) sums.checksums[name] = to_base64(digest.finish());
    return sums;
}

Result<std::string> composite_checksum(const std::string& name, std::span<const PartChecksum> parts) {
    const auto algorithm = TRY(find_algorithm(name));
    Digest digest(algorithm.kind);
    for (const auto& part : parts) digest.update(from_base64(part.value).value_or(""));
    return to_base64(digest.finish()) + "-" + std::to_string(parts.size());
}

Result<std::string> full_object_checksum(const std::string& name, std::span<const PartChecksum> parts) {
    const auto algorithm = TRY(find_algorithm(name));
    if (algorithm.crc_bits == 0)
        return Error{ErrorKind::InvalidInput, "only CRCs can be made for a whole object from its parts",
                     std::string(reason::kChecksumName)};
    uint64_t crc = 0;
    for (const auto& part : parts) {
        const auto next = crc_value(algorithm, part.value);
        if (!next) return internal_error("a part has no usable checksum");
        crc = multiply(algorithm, power_of_x(algorithm, part.size), crc) ^ *next;
    }
    std::string raw;
    for (int shift = algorithm.crc_bits - 8; shift >= 0; shift -= 8) raw += static_cast<char>(crc >> shift);
    return to_base64(raw);
}

}  // namespace millwright::object_store
