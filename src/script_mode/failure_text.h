// From the standard error of a script to the text of /opt/ml/output/failure.
//
// The file's form is the training toolkit's; FailureReason shows 1024 characters of it, so the message is chosen: the
// last traceback with the line that raised and the exception, or, where there is none, the last lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millwright::script_mode {

// Follows a stream of any length in bounded memory (about 300 KiB).
class ErrorTail {
  public:
    void add(std::string_view bytes);
    // After the last byte: takes a line without end, too.
    void finish();

    // Lines of the last traceback and what followed it; empty when there was none, or much came after it. A launcher's
    // own report that a worker failed (torchrun's ChildFailedError) does not count while there is another.
    std::vector<std::string> last_traceback() const;
    // Last lines that are not blank, oldest first.
    std::vector<std::string> last_lines() const;

  private:
    struct Traceback {
        std::string prefix;              // before "Traceback": tags of launchers; removed from the lines
        std::vector<std::string> lines;  // without the prefix
        size_t bytes = 0;
        bool raised = false;  // the line with the exception has come
        int after = 0;        // lines behind it, kept or not
    };
    void extend_line(std::string_view piece);
    void take_line(std::string_view line);
    void keep_line(std::string_view line);
    void begin_traceback(std::string line, std::string prefix);
    void continue_traceback(std::string_view line);
    void close_traceback();

    std::string line_;  // the current one, its first bytes
    // Last lines as they came, a ring: the oldest at next_ once it is full. Their memory is used again, because a
    // script may write millions.
    std::vector<std::string> lines_;
    size_t next_ = 0;
    Traceback current_, last_;
    bool open_ = false;
};

struct ScriptEnd {
    int exit_code = 0;
    int signal = 0;       // 0: exited by itself
    std::string command;  // as a person would type it
    std::string folder;   // the user's code: its frames are kept first
    // Where the interpreter's environment lies: "…" in paths below it, so that they leave room. Empty: nothing.
    std::string prefix{};
};

// "ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"…\"\nCommand \"…\"", at most `limit` characters, the line of the
// exception always among them.
std::string failure_text(std::string_view error_class, const ErrorTail& tail, const ScriptEnd& end, size_t limit = 870);

// "SIGSEGV (segmentation fault)"
std::string signal_name(int signal);

}  // namespace millwright::script_mode
