#include "resources/images/image_aliases.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace millwright::resources {
namespace {

using Aliases = std::map<std::string, std::string>;

TEST(ImageAliases, NamesFitWithAndWithoutHostAndTag) {
    const Aliases aliases = {{"1.dkr.ecr.us-west-2.amazonaws.com/a:1", "exact:1"},
                             {"a:1", "tagged:1"},
                             {"a", "any"},
                             {"b/c:2", "path:2"},
                             {"c", "last:9"}};
    EXPECT_EQ(alias_of(aliases, "1.dkr.ecr.us-west-2.amazonaws.com/a:1"), "exact:1");
    EXPECT_EQ(alias_of(aliases, "2.dkr.ecr.us-west-2.amazonaws.com/a:1"), "tagged:1");
    EXPECT_EQ(alias_of(aliases, "a:1"), "tagged:1");
    EXPECT_EQ(alias_of(aliases, "a:7"), "any:7");
    EXPECT_EQ(alias_of(aliases, "localhost:5000/a:7"), "any:7");
    EXPECT_EQ(alias_of(aliases, "a@sha256:00"), "any@sha256:00");
    EXPECT_EQ(alias_of(aliases, "a"), "any");
    EXPECT_EQ(alias_of(aliases, "public.ecr.aws/b/c:2"), "path:2");
    EXPECT_EQ(alias_of(aliases, "public.ecr.aws/b/c:3"), "last:9");
    EXPECT_EQ(alias_of(aliases, "d"), std::nullopt);
    EXPECT_EQ(alias_of({}, ""), std::nullopt);
}

TEST(ImageAliases, AreKeptInTheirFile) {
    const std::string file = testing::TempDir() + "image_aliases_test.json";
    static_cast<void>(remove_tree(file).has_value());
    ImageAliases one(file), other(file);
    EXPECT_TRUE(one.all()->empty());
    ASSERT_TRUE(one.set("a:1", "b:2"));
    EXPECT_EQ(*other.find("host.example/a:1"), "b:2");
    EXPECT_EQ(one.set("A:1", "b").error().kind, ErrorKind::InvalidInput);
    EXPECT_EQ(one.set("a", "b c").error().kind, ErrorKind::InvalidInput);
    ASSERT_TRUE(other.remove("a:1"));
    EXPECT_EQ(other.remove("a:1").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(*one.find("a:1"), std::nullopt);
    ASSERT_TRUE(write_file(file, "["));
    EXPECT_EQ(one.find("a").error().kind, ErrorKind::Internal);
    EXPECT_TRUE(remove_tree(file));
}

}  // namespace
}  // namespace millwright::resources
