// millwright-runner: what the training toolkit is in a framework's image.
//   train        runs the user's script as the files below /opt/ml say
//   helper …     code of ours that a distribution wants as a process of its own
// Under the names ssh and sshd it is those helpers: drivers of the SDK look for these programs.
//   warm …       a script on the interpreter that stands ready, see script_mode/warm_interpreter.h
// Under the name train it is that: what containers of our images are started with.
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "programs/runner/train.h"
#include "script_mode/distribution.h"
#include "script_mode/warm_interpreter.h"

namespace {

std::string own_name(const char* path) {
    const std::string text = path == nullptr ? "" : path;
    return text.substr(text.rfind('/') + 1);
}

}  // namespace

int main(int argc, char** argv) {
    using millwright::script_mode::run_helper;
    const std::string name = own_name(argv[0]);
    if (name == "ssh" || name == "sshd") {
        std::vector<std::string> arguments(argv + 1, argv + argc);
        arguments.insert(arguments.begin(), name == "ssh" ? "rsh" : "sshd");
        return run_helper(arguments);
    }
    if (argc == 1 && name == "train") return millwright::runner::train();
    if (argc == 2 && std::strcmp(argv[1], "train") == 0) return millwright::runner::train();
    if (argc >= 3 && std::strcmp(argv[1], "helper") == 0) return run_helper({argv + 2, argv + argc});
    if (argc >= 3 && std::strcmp(argv[1], "warm") == 0)
        return millwright::script_mode::run_on_warm_interpreter({argv + 2, argv + argc});
    std::fprintf(stderr, "usage: millwright-runner train\n");
    return 2;
}
