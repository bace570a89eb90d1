#include "algorithms/common/ndarray.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/encoding.h"

namespace millwright::algorithms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NdFile example() { return {{NdArray::floats({1, 2}, {1.5f, -2}), NdArray::floats({3}, {1, 2, 3})}, {"mean", "arg:v"}}; }

TEST(NdArray, WritesTheBytesOfTheFormat) {
    const NdFile file{{NdArray::floats({1}, {1.0f})}, {"a"}};
    EXPECT_EQ(to_hex(write_ndarrays(file)),
              "1201000000000000"
              "0000000000000000"
              "0100000000000000"
              "c9fa93f9"
              "00000000"
              "01000000"
              "0100000000000000"
              "01000000"
              "00000000"
              "00000000"
              "0000803f"
              "0100000000000000"
              "0100000000000000"
              "61");
}

TEST(NdArray, ReadsWhatItWrote) {
    auto file = read_ndarrays(write_ndarrays(example()));
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_NE(file->find("v"), nullptr);
    EXPECT_THAT(file->find("v")->shape, ElementsAre(3));
    EXPECT_THAT(*file->find("mean")->to_floats(), ElementsAre(1.5, -2));
    EXPECT_EQ(file->find("s"), nullptr);
    NdFile list = example();
    list.names.clear();
    EXPECT_THAT(read_ndarrays(write_ndarrays(list))->names, IsEmpty());
}

TEST(NdArray, ReadsOlderVersions) {
    const std::string head = *from_hex(
        "1201000000000000"
        "0000000000000000"
        "0100000000000000");
    const std::string tail = *from_hex(
        "0100000000000000"
        "0100000000000000"
        "61");
    const std::string version_1 = *from_hex(
        "c8fa93f9"
        "01000000"
        "0200000000000000"
        "01000000"
        "00000000"
        "04000000"
        "0500000006000000");
    const std::string oldest = *from_hex(
        "01000000"
        "02000000"
        "01000000"
        "00000000"
        "01000000"
        "000000000000f83f000000000000f0bf");
    EXPECT_THAT(*read_ndarrays(head + version_1 + tail)->find("a")->to_floats(), ElementsAre(5, 6));
    EXPECT_THAT(*read_ndarrays(head + oldest + tail)->find("a")->to_floats(), ElementsAre(1.5, -1));
}

TEST(NdArray, RefusesEveryTruncationAndForeignBytes) {
    const std::string whole = write_ndarrays(example());
    for (size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(read_ndarrays(whole.substr(0, size))) << size;
    EXPECT_EQ(read_ndarrays("PK\x03\x04 something else").error().kind, ErrorKind::InvalidInput);
}

TEST(NdArray, SizesInTheFileDoNotMakeItAllocate) {
    std::string bytes = write_ndarrays({{NdArray::floats({1}, {1.0f})}, {}});
    bytes.replace(16, 8, std::string(8, '\x7f'));  // number of arrays
    EXPECT_FALSE(read_ndarrays(bytes));
    bytes = write_ndarrays({{NdArray::floats({1}, {1.0f})}, {}});
    bytes.replace(36, 8, std::string(7, '\xff') + '\x7f');  // its only dimension
    EXPECT_FALSE(read_ndarrays(bytes));
}

}  // namespace
}  // namespace millwright::algorithms
