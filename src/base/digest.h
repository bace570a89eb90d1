// Streaming checksums: SHA-256, SHA-512, SHA-1, MD5 (OpenSSL), CRC-32, CRC-32C, CRC-64/NVME, and HMAC-SHA-256.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace millwright {

enum class DigestKind { Sha256, Sha1, Md5, Crc32, Crc32c, Crc64Nvme, Sha512 };

class Digest {
  public:
    explicit Digest(DigestKind kind);
    ~Digest();
    Digest(Digest&&) noexcept;
    Digest& operator=(Digest&&) noexcept;

    void update(std::string_view bytes);
    // Raw bytes (CRCs big-endian, as AWS encodes them). The object is spent afterwards.
    std::string finish();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

std::string digest(DigestKind kind, std::string_view bytes);
std::string sha256_hex(std::string_view bytes);
std::string hmac_sha256(std::string_view key, std::string_view bytes);
// Time does not depend on where the inputs differ.
bool constant_time_equal(std::string_view a, std::string_view b);

}  // namespace millwright
