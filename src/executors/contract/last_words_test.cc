#include "executors/contract/last_words.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/event_file.h"
#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

class LastWordsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = ::testing::TempDir() + "wordsXXXXXX";
        folder_ = mkdtemp(pattern.data());
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

    LastWords of(const std::vector<std::string>& lines, size_t most = 600) {
        std::string text;
        for (const auto& line : lines) append_event(text, 1, line);
        EXPECT_TRUE(write_file(folder_ + "/log", text));
        return last_words(folder_ + "/log", begin_, most);
    }
    std::string folder_;
    uint64_t begin_ = 0;
};

TEST_F(LastWordsTest, AreTheLastTraceback) {
    const auto words =
        of({"epoch 1", "Traceback (most recent call last):", "ValueError: first", "again", "",
            "Traceback (most recent call last):", "  File \"train.py\", line 3, in <module>", "KeyError: 'label'"});
    EXPECT_EQ(words.text,
              "Traceback (most recent call last):\n  File \"train.py\", line 3, in <module>\nKeyError: 'label'");
    EXPECT_EQ(words.line, 6u);
}

TEST_F(LastWordsTest, AreTheLastLinesWithoutOne) {
    std::vector<std::string> lines;
    for (int i = 1; i <= 500; ++i) lines.push_back("line " + std::to_string(i));
    lines.emplace_back("  ");
    const auto words = of(lines);
    EXPECT_TRUE(words.text.starts_with("line 495\n"));
    EXPECT_TRUE(words.text.ends_with("line 500"));
    EXPECT_EQ(words.line, 495u);
}

TEST_F(LastWordsTest, KeepTheEndOfWhatIsLong) {
    std::vector<std::string> lines = {"Traceback (most recent call last):"};
    for (int i = 0; i < 100; ++i) lines.emplace_back("  File \"deep.py\", line 1, in \xC3\xA9");
    lines.emplace_back("RecursionError: too deep");
    const auto words = of(lines, 200);
    EXPECT_EQ(utf8_length(words.text), 200u);
    EXPECT_TRUE(is_valid_utf8(words.text));
    EXPECT_TRUE(words.text.starts_with("Traceback (most recent call last):\n[...] "));
    EXPECT_TRUE(words.text.ends_with("RecursionError: too deep"));
}

TEST_F(LastWordsTest, AreNoneOfAnEmptyOrMissingLog) {
    EXPECT_EQ(of({}).text, "");
    EXPECT_EQ(of({"", " "}).text, "");
    EXPECT_EQ(last_words(folder_ + "/none", 0, 100).line, 0u);
}

TEST_F(LastWordsTest, OfAnEarlierRunAreNotOfThisOne) {
    std::string earlier;
    append_event(earlier, 1, "Traceback (most recent call last):");
    begin_ = earlier.size();
    const auto words = of({"Traceback (most recent call last):", "out of rows"});
    EXPECT_EQ(words.text, "out of rows");
    EXPECT_EQ(words.line, 2u);
    EXPECT_EQ(of({"Traceback (most recent call last):"}).text, "");
}

TEST_F(LastWordsTest, OfOneEndlessLineAreItsEnd) {
    const auto words = of({std::string(100'000, 'x') + "END"}, 50);
    EXPECT_EQ(words.text.size(), 50u);
    EXPECT_TRUE(words.text.ends_with("xEND"));
    EXPECT_EQ(words.line, 1u);
}

}  // namespace
}  // namespace millwright::executors
