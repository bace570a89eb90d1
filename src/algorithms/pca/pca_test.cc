#include "algorithms/pca/pca.h"
#include <gtest/gtest.h>
TEST(Placeholder, Builds) { EXPECT_EQ(millwright::algorithms::pca::kPca.name, "pca"); }
