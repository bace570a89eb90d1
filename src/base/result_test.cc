#include "base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace millwright {
namespace {

Result<std::unique_ptr<int>> positive(int value) {
    if (value <= 0) return invalid_input("not positive");
    return std::make_unique<int>(value);
}
Result<void> check(int value) {
    TRY(positive(value));
    return {};
}
Result<int> sum(int a, int b) {
    TRY(check(a));
    return *TRY(positive(a)) + *TRY(positive(b));
}

TEST(Result, TryUnwrapsMoveOnlyValues) { EXPECT_EQ(*sum(2, 3), 5); }
TEST(Result, TryReturnsTheFirstError) {
    EXPECT_EQ(sum(-1, 3).error().message, "not positive");
    EXPECT_EQ(sum(1, 0).error().kind, ErrorKind::InvalidInput);
}
TEST(Result, TryConvertsErrorsAtALayerBorder) {
    struct Wire {
        std::string code;
        Wire(Error error) : code("Mapped:" + error.message) {}
    };
    const auto outer = []() -> Result<int, Wire> { return TRY(sum(0, 0)); };
    EXPECT_EQ(outer().error().code, "Mapped:not positive");
}

}  // namespace
}  // namespace millwright
