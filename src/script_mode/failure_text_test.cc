#include "script_mode/failure_text.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace millwright::script_mode {
namespace {

const ScriptEnd kFailed{1, 0, "/env/bin/python train.py --epochs 2", "/opt/ml/code"};

std::string text_of(std::string_view error, const ScriptEnd& end = kFailed) {
    ErrorTail tail;
    tail.add(error);
    tail.finish();
    return failure_text("ExecuteUserScriptError", tail, end);
}

std::string frame(const std::string& file, int line, const std::string& source) {
    return "  File \"" + file + "\", line " + std::to_string(line) + ", in f\n    " + source + "\n    ^^^^\n";
}

TEST(FailureText, CarriesTheTracebackInTheToolkitsForm) {
    EXPECT_EQ(text_of("epoch 1\nTraceback (most recent call last):\n" + frame("/opt/ml/code/train.py", 7, "f(0)") +
                      "ZeroDivisionError: division by zero\n"),
              "ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"Traceback (most recent call last):\n"
              "  File \"/opt/ml/code/train.py\", line 7, in f\n    f(0)\nZeroDivisionError: division by zero\"\n"
              "Command \"/env/bin/python train.py --epochs 2\"");
}

TEST(FailureText, PathsOfTheEnvironmentAreShortened) {
    const std::string prefix = "/opt/millwright/environments/0123456789abcdef";
    const std::string text = text_of("Traceback (most recent call last):\n" +
                                         frame(prefix + "/lib/python3.11/site-packages/x.py", 7, "f(0)") +
                                         "ZeroDivisionError: division by zero\n",
                                     {1, 0, prefix + "/bin/python train.py", "/opt/ml/code", prefix});
    EXPECT_NE(text.find("  File \"…/lib/python3.11/site-packages/x.py\", line 7, in f\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("Command \"python train.py\"")) << text;
}

TEST(FailureText, TheLastOfChainedExceptionsCounts) {
    const std::string text = text_of("Traceback (most recent call last):\n" + frame("/opt/ml/code/a.py", 1, "first()") +
                                     "KeyError: 'x'\n\nDuring handling of the above exception, another exception "
                                     "occurred:\n\nTraceback (most recent call last):\n" +
                                     frame("/opt/ml/code/b.py", 2, "second()") + "ValueError: bad\n");
    EXPECT_NE(text.find("second()"), std::string::npos);
    EXPECT_NE(text.find("ValueError: bad"), std::string::npos);
    EXPECT_EQ(text.find("KeyError"), std::string::npos);
}

TEST(FailureText, ASyntaxErrorHasNoHeader) {
    const std::string text = text_of(
        "  File \"/opt/ml/code/train.py\", line 3\n    x = = 2\n        ^\n"
        "SyntaxError: invalid syntax\n");
    EXPECT_NE(text.find("line 3\n    x = = 2\nSyntaxError: invalid syntax\""), std::string::npos) << text;
}

TEST(FailureText, WithoutATracebackTheLastLinesAreTold) {
    std::string noise;
    for (int i = 0; i < 1000; ++i) noise += "line " + std::to_string(i) + "\n\n";
    const std::string text = text_of(noise + "no such column: price\n");
    EXPECT_NE(text.find("line 999\nno such column: price\""), std::string::npos) << text;
    EXPECT_EQ(text.find("line 1\n"), std::string::npos);
    EXPECT_LE(utf8_length(text), 870u);
    EXPECT_GT(utf8_length(text), 820u);
}

TEST(FailureText, AnOldTracebackThatWasHandledIsNotTheReason) {
    std::string noise;
    for (int i = 0; i < 100; ++i) noise += "epoch " + std::to_string(i) + "\n";
    const std::string logged =
        "Traceback (most recent call last):\n" + frame("/x.py", 1, "retry()") + "OSError: flaky\n";
    EXPECT_EQ(text_of(logged + noise + "giving up\n").find("flaky"), std::string::npos);
    EXPECT_TRUE(text_of(logged + noise + "giving up\n").ends_with("giving up\"\nCommand \"" + kFailed.command + "\""));
}

TEST(FailureText, ExitCodesOtherThanOneAreTheScriptsOwnDecision) {
    const std::string error =
        "Traceback (most recent call last):\n" + frame("/x.py", 1, "retry()") + "OSError: flaky\n";
    const std::string text = text_of(error + "bad data\n", {3, 0, "python a.py", "/opt/ml/code"});
    EXPECT_NE(text.find("^^^^\nOSError: flaky\nbad data\""), std::string::npos) << text;  // lines as they came
}

TEST(FailureText, DeepTracebacksKeepTheEndsThatMatter) {
    std::string error = "Traceback (most recent call last):\n" + frame("/opt/ml/code/train.py", 90, "model.fit(data)");
    for (int i = 0; i < 60; ++i) error += frame("/env/lib/python3.11/site-packages/keras/engine.py", i, "call(inner)");
    error += frame("/opt/ml/code/layers.py", 12, "return x @ self.w");
    error += frame("/env/lib/python3.11/site-packages/torch/op.py", 5, "raise ShapeError()");
    error += "ShapeError: " + std::string(5000, 'y') + "\n";
    const std::string text = text_of(error);
    for (const char* part :
         {"model.fit(data)", "  ...\n", "return x @ self.w", "raise ShapeError()", "ShapeError: yyy"})
        EXPECT_NE(text.find(part), std::string::npos) << part << " is missing in\n" << text;
    EXPECT_LE(utf8_length(text), 870u);
}

TEST(FailureText, LaunchersTagsAndReportsAreSeenThrough) {
    const std::string text = text_of(
        "[rank0]: Traceback (most recent call last):\n[rank1]: something else\n"
        "[rank0]:   File \"/opt/ml/code/train.py\", line 4, in f\n[rank0]:     step()\n"
        "[rank0]: RuntimeError: no peers\nE1123 failed (exitcode: 1)\n"
        "Traceback (most recent call last):\n" +
        frame("/env/bin/torchrun", 8, "sys.exit(main())") +
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n=====\n");
    EXPECT_NE(text.find("line 4, in f\n    step()\nRuntimeError: no peers"), std::string::npos) << text;
    EXPECT_EQ(text.find("ChildFailedError"), std::string::npos);
    EXPECT_NE(text_of("Traceback (most recent call last):\n" + frame("/t", 8, "main()") +
                      "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n")
                  .find("ChildFailedError"),
              std::string::npos);
}

TEST(FailureText, ATracebackMayFollowAProgressBarWithoutALineEnd) {
    ErrorTail tail;
    for (int i = 0; i < 1000; ++i) tail.add("\r" + std::to_string(i) + "/1000 |#####     |");
    tail.add("Traceback (most recent call last):\n" + frame("/opt/ml/code/train.py", 7, "step()") +
             "ValueError: nan\n");
    tail.finish();
    const std::string text = failure_text("ExecuteUserScriptError", tail, kFailed);
    EXPECT_NE(
        text.find("\"Traceback (most recent call last):\n  File \"/opt/ml/code/train.py\", line 7, in f\n    step()\n"
                  "ValueError: nan\""),
        std::string::npos)
        << text;
}

TEST(FailureText, SignalsHaveNames) {
    EXPECT_NE(
        text_of("", {139, 11, "python a.py", ""}).find("ExtraInfo \"Process killed by SIGSEGV (segmentation fault)\""),
        std::string::npos);
    EXPECT_EQ(signal_name(15), "SIGTERM (terminated)");
}

TEST(FailureText, MemoryIsBounded) {
    ErrorTail tail;
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 64; ++i) tail.add(block);
    tail.add("\n");
    for (int i = 0; i < 100'000; ++i) tail.add("  File \"/a.py\", line 1, in f\n    f()\n");
    tail.finish();
    size_t bytes = 0;
    for (const std::string& line : tail.last_lines()) bytes += line.size();
    for (const std::string& line : tail.last_traceback()) bytes += line.size();
    EXPECT_LT(bytes, 300u << 10);
}

TEST(FailureText, BytesThatAreNotTextAndProgressBarsAreTamed) {
    const std::string text = text_of("10%\r50%\r100%|done\n\xFF\xFE bad\r\n");
    EXPECT_NE(text.find("\"100%|done\n\xEF\xBF\xBD\xEF\xBF\xBD bad\""), std::string::npos) << text;
}

}  // namespace
}  // namespace millwright::script_mode
