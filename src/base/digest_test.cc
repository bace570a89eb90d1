#include "base/digest.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace millwright {
namespace {

std::string hex_of(DigestKind kind, std::string_view bytes) { return to_hex(digest(kind, bytes)); }

TEST(Digest, KnownAnswers) {
    EXPECT_EQ(hex_of(DigestKind::Md5, ""), "d41d8cd98f00b204e9800998ecf8427e");
    EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(hex_of(DigestKind::Sha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(hex_of(DigestKind::Sha512, "abc"),
              "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
              "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    // The check values of the CRC catalogue for "123456789".
    EXPECT_EQ(hex_of(DigestKind::Crc32, "123456789"), "cbf43926");
    EXPECT_EQ(hex_of(DigestKind::Crc32c, "123456789"), "e3069283");
    EXPECT_EQ(hex_of(DigestKind::Crc64Nvme, "123456789"), "ae8b14860a799888");
    // RFC 4231, case 2.
    EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    // RFC 4231, case 6: a key longer than a block is hashed first.
    EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    EXPECT_EQ(to_hex(hmac_sha256("", "")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
TEST(Digest, PiecesGiveTheSameAsTheWhole) {
    const std::string bytes(1000, 'x');
    for (const auto kind : {DigestKind::Sha256, DigestKind::Crc32, DigestKind::Crc32c, DigestKind::Crc64Nvme}) {
        Digest running(kind);
        for (size_t at = 0; at < bytes.size(); at += 7) running.update(std::string_view(bytes).substr(at, 7));
        EXPECT_EQ(running.finish(), digest(kind, bytes));
    }
}

}  // namespace
}  // namespace millwright
