#include "resources/training_jobs/gpu_usage.h"

#include <gtest/gtest.h>

namespace millwright::resources {
namespace {

TEST(GpuReader, SumsTheShareOfTimeAndOfMemoryOverAllGpus) {
    const auto usage = GpuReader::open(FAKE_NVML)->read();
    ASSERT_TRUE(usage);
    EXPECT_DOUBLE_EQ(usage->utilization, 150);
    EXPECT_DOUBLE_EQ(usage->memory_utilization, 35);
}
TEST(GpuReader, WithoutTheLibraryThereIsNothing) {
    EXPECT_FALSE(GpuReader::open("libnvidia-ml.so.missing")->read());
    EXPECT_FALSE(GpuReader::open("libc.so.6")->read()) << "another library";
}

}  // namespace
}  // namespace millwright::resources
