#include "object_store/checksums.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

namespace millwright::object_store {
namespace {

std::string checksum(const std::string& algorithm, std::string_view bytes) {
    auto hasher = Hasher::create({algorithm});
    hasher->update(bytes);
    return hasher->finish().checksums.at(algorithm);
}

TEST(Hasher, KnowsTheValuesOfTheStandards) {
    EXPECT_EQ(checksum("CRC32", "123456789"), to_base64("\xCB\xF4\x39\x26"));
    EXPECT_EQ(checksum("CRC32C", "123456789"), to_base64("\xE3\x06\x92\x83"));
    EXPECT_EQ(checksum("CRC64NVME", "123456789"), to_base64("\xAE\x8B\x14\x86\x0A\x79\x98\x88"));
    EXPECT_EQ(checksum("SHA1", "abc"), "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=");
    EXPECT_EQ(checksum("SHA256", "abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

TEST(Hasher, RefusesUnknownAlgorithms) { EXPECT_FALSE(Hasher::create({"MD4"})); }

TEST(FullObjectChecksum, EqualsTheChecksumOfAllBytes) {
    std::string all;
    for (int i = 0; i < 100'000; ++i) all += static_cast<char>(int64_t{i} * i >> 3);
    for (const std::string algorithm : {"CRC32", "CRC32C", "CRC64NVME"}) {
        for (const size_t cut : {size_t{0}, size_t{1}, size_t{777}, size_t{65'536}, all.size()}) {
            const auto first = all.substr(0, cut), second = all.substr(cut);
            const PartChecksum parts[] = {{checksum(algorithm, first), first.size()},
                                          {checksum(algorithm, second), second.size()}};
            EXPECT_EQ(*full_object_checksum(algorithm, parts), checksum(algorithm, all))
                << algorithm << " cut at " << cut;
        }
    }
    EXPECT_FALSE(full_object_checksum("SHA256", {}));
}

TEST(CompositeChecksum, HashesTheRawChecksumsOfTheParts) {
    const PartChecksum parts[] = {{checksum("SHA256", "a"), 1}, {checksum("SHA256", "b"), 1}};
    const auto raw = *from_base64(parts[0].value) + *from_base64(parts[1].value);
    EXPECT_EQ(*composite_checksum("SHA256", parts), checksum("SHA256", raw) + "-2");
}

}  // namespace
}  // namespace millwright::object_store
