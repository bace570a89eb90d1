#include "base/digest.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "base/check.h"
#include "base/encoding.h"

namespace millwright {
namespace {

// Slicing-by-8 tables for a reflected CRC of either width.
template <typename Word, Word kPolynomial>
struct CrcTables {
    std::array<std::array<Word, 256>, 8> rows{};
    constexpr CrcTables() {
        for (unsigned i = 0; i < 256; ++i) {
            Word crc = i;
            for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ kPolynomial : crc >> 1;
            rows[0][i] = crc;
        }
        for (unsigned i = 0; i < 256; ++i)
            for (size_t k = 1; k < 8; ++k) rows[k][i] = (rows[k - 1][i] >> 8) ^ rows[0][rows[k - 1][i] & 0xFF];
    }
};

template <typename Word, Word kPolynomial>
Word crc_update(Word crc, std::string_view bytes) {
    static const CrcTables<Word, kPolynomial> tables;
    const char* at = bytes.data();
    size_t left = bytes.size();
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t block;
        std::memcpy(&block, at, 8);
        block ^= crc;
        Word next = 0;
        for (size_t k = 0; k < 8; ++k) next ^= tables.rows[7 - k][block >> (8 * k) & 0xFF];
        crc = next;
    }
    for (; left > 0; ++at, --left) crc = (crc >> 8) ^ tables.rows[0][(crc ^ static_cast<unsigned char>(*at)) & 0xFF];
    return crc;
}

template <typename Word>
std::string big_endian(Word value) {
    std::string out;
    for (size_t i = sizeof(Word); i-- > 0;) out += static_cast<char>(value >> (8 * i));
    return out;
}

// Looked up once: EVP_sha256() is looked up again by name for each digest, which costs more than hashing a short text.
const EVP_MD* sha256_algorithm() {
    static const EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    CHECK(algorithm != nullptr);
    return algorithm;
}

}  // namespace

struct Digest::Impl {
    DigestKind kind;
    EVP_MD_CTX* context = nullptr;
    uint64_t crc = 0;

    ~Impl() { EVP_MD_CTX_free(context); }
};

Digest::Digest(DigestKind kind) : impl_(std::make_unique<Impl>()) {
    impl_->kind = kind;
    const EVP_MD* algorithm = nullptr;
    switch (kind) {
        case DigestKind::Sha256:
            algorithm = sha256_algorithm();
            break;
        case DigestKind::Sha512:
            algorithm = EVP_sha512();
            break;
        case DigestKind::Sha1:
            algorithm = EVP_sha1();
            break;
        case DigestKind::Md5:
            algorithm = EVP_md5();
            break;
        case DigestKind::Crc32:
            impl_->crc = 0;
            return;
        case DigestKind::Crc32c:
            impl_->crc = 0xFFFFFFFFu;
            return;
        case DigestKind::Crc64Nvme:
            impl_->crc = ~uint64_t{0};
            return;
    }
    impl_->context = EVP_MD_CTX_new();
    CHECK(EVP_DigestInit_ex(impl_->context, algorithm, nullptr) == 1);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::update(std::string_view bytes) {
    switch (impl_->kind) {
        case DigestKind::Crc32:
            impl_->crc =
                crc32_z(static_cast<uLong>(impl_->crc), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
            return;
        case DigestKind::Crc32c:
            impl_->crc = crc_update<uint32_t, 0x82F63B78u>(static_cast<uint32_t>(impl_->crc), bytes);
            return;
        case DigestKind::Crc64Nvme:
            impl_->crc = crc_update<uint64_t, 0x9A6C9329AC4BC9B5u>(impl_->crc, bytes);
            return;
        default:
            CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
    }
}

std::string Digest::finish() {
    switch (impl_->kind) {
        case DigestKind::Crc32:
            return big_endian(static_cast<uint32_t>(impl_->crc));
        case DigestKind::Crc32c:
            return big_endian(~static_cast<uint32_t>(impl_->crc));
        case DigestKind::Crc64Nvme:
            return big_endian(~impl_->crc);
        default:
            break;
    }
    unsigned char buffer[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(EVP_DigestFinal_ex(impl_->context, buffer, &size) == 1);
    return std::string(reinterpret_cast<char*>(buffer), size);
}

std::string digest(DigestKind kind, std::string_view bytes) {
    Digest running(kind);
    running.update(bytes);
    return running.finish();
}

std::string sha256_hex(std::string_view bytes) { return to_hex(digest(DigestKind::Sha256, bytes)); }

// RFC 2104 on the digest above: OpenSSL's HMAC() looks up two algorithms by name for each call.
std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    constexpr size_t kBlock = 64;
    std::string hashed;
    if (key.size() > kBlock) key = hashed = digest(DigestKind::Sha256, key);
    std::array<char, kBlock> pad{};
    std::copy(key.begin(), key.end(), pad.begin());
    const auto keyed = [&](char mask, std::string_view text) {
        std::array<char, kBlock> block = pad;
        for (char& c : block) c = static_cast<char>(c ^ mask);
        Digest running(DigestKind::Sha256);
        running.update({block.data(), block.size()});
        running.update(text);
        OPENSSL_cleanse(block.data(), block.size());
        return running.finish();
    };
    std::string out = keyed(0x5c, keyed(0x36, bytes));
    OPENSSL_cleanse(pad.data(), pad.size());
    return out;
}

bool constant_time_equal(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace millwright
