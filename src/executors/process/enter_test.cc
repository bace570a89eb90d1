// Shells in runs that live and in runs that have ended.
#include "executors/process/enter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executors/process/run_test_fixture.h"

namespace millwright::executors {
namespace {

class EnterTest : public RunTest {
  protected:
    struct Ended {
        int status = -1;
        std::string output;  // stdout and stderr
    };

    static pid_t begin(const RunSpec& spec, const std::vector<std::string>& command, int host, Fd& output) {
        int ends[2];
        EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
        output.reset(ends[0]);
        const Fd inner(ends[1]);
        const pid_t child = fork();
        if (child == 0) {
            const int null = open("/dev/null", O_RDONLY);
            dup2(null, STDIN_FILENO);
            dup2(inner.get(), STDOUT_FILENO);
            dup2(inner.get(), STDERR_FILENO);
            execute(spec, command, host);
        }
        return child;
    }
    [[noreturn]] static void execute(const RunSpec& spec, const std::vector<std::string>& command, int host) {
        const auto arguments = enter_arguments({MILLWRIGHT_LAUNCHER, spec.folder, host, command});
        std::vector<char*> pointers;
        for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
        pointers.push_back(nullptr);
        execv(pointers[0], pointers.data());
        _exit(99);
    }
    static std::string read_to_end(int fd) {
        std::string text;
        char buffer[4096];
        for (ssize_t got = read(fd, buffer, sizeof buffer); got > 0; got = read(fd, buffer, sizeof buffer))
            text.append(buffer, static_cast<size_t>(got));
        return text;
    }
    static Ended enter(const RunSpec& spec, const std::string& text, int host = 0) {
        Fd output;
        const pid_t child = begin(spec, {"/bin/sh", "-c", text}, host, output);
        Ended ended;
        ended.output = read_to_end(output.get());
        waitpid(child, &ended.status, 0);
        ended.status = WIFEXITED(ended.status) ? WEXITSTATUS(ended.status) : -1;
        return ended;
    }
};

TEST_F(EnterTest, ALivingRunIsEnteredAsItIs) {
    RunSpec spec = script("echo mark > /tmp/mark; echo ready; exec sleep 1000", 2);
    spec.environment = {{"FOO", "bar"}};
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(recorder.await_start());
    ASSERT_TRUE(await([&] { return log_of(spec, 1) == "ready\n"; }));
    const Ended ended =
        enter(spec,
              "cat /tmp/mark; hostname; pwd; echo $FOO; cat /proc/[2-9]*/cmdline | tr '\\0' ' ' | grep -o "
              "'sleep 1000' | uniq; grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; exit 7",
              1);
    EXPECT_EQ(ended.output, "mark\nalgo-2\n/opt/ml\nbar\nsleep 1000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
    EXPECT_EQ(ended.status, 7);
    EXPECT_EQ(enter(spec, "kill -9 $$").status, 137);
    EXPECT_EQ(enter(spec, "true", 5).status, kCannotEnter);
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    EXPECT_EQ(recorder.await_end().hosts.at(0).signal, 9);
}

TEST_F(EnterTest, AShellGoesWithWhoeverWantedIt) {
    RunSpec spec = script("echo ready; exec sleep 1000");
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(await([&] { return log_of(spec) == "ready\n"; }));
    Fd output;
    const pid_t child = begin(
        spec, {"/bin/sh", "-c", "touch /opt/ml/in; while :; do sleep 0.05; echo x >> /opt/ml/alive; done"}, 0, output);
    ASSERT_TRUE(await([&] { return file_exists(ml(spec) + "/alive"); }));
    ::kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_TRUE(await([&] {
        const std::string before = content(ml(spec) + "/alive");
        std::this_thread::sleep_for(milliseconds(200));
        return content(ml(spec) + "/alive") == before;
    }));
    EXPECT_EQ(recorder.ends(), 0);  // the run itself goes on
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    recorder.await_end();
}

TEST_F(EnterTest, ARunThatHasEndedIsSetUpAgain) {
    RunSpec spec = script("echo changed > /opt/ml/code/f; echo t > /tmp/t; exit 3");
    const std::string source = base_ + "/source", gone = base_ + "/gone";
    ASSERT_TRUE(make_directories(source).has_value());
    ASSERT_TRUE(make_directories(gone).has_value());
    ASSERT_TRUE(write_file(source + "/f", "original\n").has_value());
    spec.mounts = {{source, "/opt/ml/code", Mount::Mode::Overlay}, {gone, "/opt/ml/input", Mount::Mode::ReadOnly}};
    spec.environment = {{"FOO", "bar"}};
    spec.max_runtime = seconds(3);
    EXPECT_EQ(run(spec).hosts.at(0).exit_code, 3);
    executor_->clean_up(spec.id, spec.folder);
    ASSERT_TRUE(remove_tree(gone).has_value());
    const std::string record = content(spec.folder + "/" + kExitRecord);
    const Ended ended =
        enter(spec, "cat /opt/ml/code/f /tmp/t; echo $FOO; hostname; ls -d /work 2>/dev/null; sleep 3.5; exit 4");
    EXPECT_EQ(ended.output, "without /opt/ml/input: " + gone + " is gone\nchanged\nt\nbar\nalgo-1\n");
    EXPECT_EQ(ended.status, 4);
    EXPECT_EQ(content(spec.folder + "/" + kExitRecord), record);
    EXPECT_EQ(content(source + "/f"), "original\n");
    for (const ControlGroupParent& parent : machine().control_groups.parents)
        EXPECT_EQ(read_file(parent.folder + "/" + spec.id + "-enter/tasks").has_value(), false);
    EXPECT_EQ(enter(spec, "exit 5").status, 5);  // any number of times
}

TEST_F(EnterTest, WhatCannotBeEnteredSaysWhy) {
    RunSpec spec = script("true");
    const Ended ended = enter(spec, "true");
    EXPECT_EQ(ended.status, kCannotEnter);
    EXPECT_NE(ended.output.find("cannot enter the run"), std::string::npos) << ended.output;
}

TEST_F(EnterTest, ATerminalIsPassedThrough) {
    RunSpec spec = script("echo ready; exec sleep 1000");
    RunRecorder recorder;
    ASSERT_TRUE(executor_->start(spec, recorder).has_value());
    ASSERT_TRUE(await([&] { return log_of(spec) == "ready\n"; }));
    int master = -1;
    winsize size{33, 77, 0, 0};
    const pid_t child = forkpty(&master, nullptr, nullptr, &size);
    if (child == 0) execute(spec, {}, 0);
    const Fd terminal(master);
    ASSERT_TRUE(write_all(master, "PS1=; tty; stty size; echo $((40+2)); exit 3\r").has_value());
    const std::string shown = read_to_end(master);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 3);
    EXPECT_NE(shown.find("/dev/pts/0"), std::string::npos) << shown;
    EXPECT_NE(shown.find("33 77"), std::string::npos) << shown;
    EXPECT_NE(shown.find("\n42"), std::string::npos) << shown;
    EXPECT_EQ(shown.find("job control"), std::string::npos) << shown;
    ASSERT_TRUE(executor_->kill(spec.id).has_value());
    recorder.await_end();
}

}  // namespace
}  // namespace millwright::executors
