#include "script_mode/remote_shell.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "script_mode/peer.h"

namespace millwright::script_mode {
namespace {

TEST(RemoteCommand, ReadsWhatSshWouldRead) {
    auto command = read_remote_command({"-x", "algo-2", "PATH=/a:$PATH;", "prted", "--a", "\"b\""});
    EXPECT_EQ(command.host, "algo-2");
    EXPECT_EQ(command.command, "PATH=/a:$PATH; prted --a \"b\"");
    EXPECT_FALSE(command.no_input);
    command = read_remote_command({"-n", "-p", "22", "-oStrictHostKeyChecking=no", "root@algo-3", "touch", "/tmp/x"});
    EXPECT_EQ(command.host, "algo-3");
    EXPECT_EQ(command.command, "touch /tmp/x");
    EXPECT_TRUE(command.no_input);
    EXPECT_EQ(read_remote_command({"-p", "22"}).host, "");
    EXPECT_EQ(read_remote_command({}).host, "");
    EXPECT_EQ(read_remote_command({"algo-2"}).command, "");
}

TEST(Peer, FindsAHostAmongTheNamesOfALine) {
    const std::string text = "127.0.0.1 localhost # algo-9\n# 10.0.0.9 algo-1\n10.254.0.2\talgo-2  two\n::1 algo-3\n";
    const auto two = find_in_hosts_file(text, "two");
    ASSERT_TRUE(two);
    EXPECT_EQ(ntohl(two->s_addr), 0x0afe0002u);
    EXPECT_FALSE(find_in_hosts_file(text, "algo-1"));
    EXPECT_FALSE(find_in_hosts_file(text, "algo-3"));
    EXPECT_FALSE(find_in_hosts_file(text, "algo-9"));
}

// A daemon in a process of its own, as in a job; clients likewise, with their output in files.
class RemoteShell : public testing::Test {
  protected:
    void SetUp() override {
        const Result<Fd> taken = listen_on(kRemoteShellPort);
        if (!taken) GTEST_SKIP() << "the port of the remote shell is taken on this machine";
        folder_ = testing::TempDir() + "/remote-shell-" + std::to_string(getpid());
        ASSERT_TRUE(make_directories(folder_));
    }
    void TearDown() override {
        if (daemon_ > 0) kill(daemon_, SIGKILL), waitpid(daemon_, nullptr, 0);
        (void)remove_tree(folder_);
    }
    void start_daemon() {
        daemon_ = fork();
        if (daemon_ == 0) _exit(serve_remote_shell(kRemoteShellPort));
        ASSERT_TRUE(connect_with_patience("127.0.0.1", kRemoteShellPort, 10));
    }
    pid_t start_client(const std::string& command, const std::string& input) {
        std::ofstream(folder_ + "/in") << input;
        const pid_t client = fork();
        if (client != 0) return client;
        for (const auto& [name, fd] : {std::pair("/in", 0), std::pair("/out", 1), std::pair("/err", 2)}) {
            const int file = ::open((folder_ + name).c_str(), fd == 0 ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC, 0600);
            dup2(file, fd);
        }
        _exit(run_remote_shell({"127.0.0.1", command}, 1));
    }
    int run(const std::string& command, const std::string& input = "") {
        int status = 0;
        waitpid(start_client(command, input), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    std::string text(const std::string& name) { return read_file(folder_ + "/" + name).value_or(""); }

    std::string folder_;
    pid_t daemon_ = 0;
};

TEST_F(RemoteShell, CarriesInputOutputErrorsAndTheExitCode) {
    start_daemon();
    EXPECT_EQ(run("tr a-z A-Z; echo oops >&2; exit 7", "hello"), 7);
    EXPECT_EQ(text("out"), "HELLO");
    EXPECT_EQ(text("err"), "oops\n");
    EXPECT_EQ(run("kill -9 $$"), 137);
    EXPECT_EQ(run("head -c 1000000 /dev/zero | tr '\\0' x"), 0);
    EXPECT_EQ(text("out").size(), 1000000u);
}

TEST_F(RemoteShell, EndsTheCommandWhenTheClientGoesAway) {
    start_daemon();
    const pid_t client = start_client("echo $$ > " + folder_ + "/pid; sleep 60 & wait", "");
    while (text("pid").empty()) usleep(10'000);
    const int remote = std::stoi(text("pid"));
    kill(client, SIGKILL);
    waitpid(client, nullptr, 0);
    for (int tries = 0; tries < 500 && kill(-remote, 0) == 0; ++tries) usleep(10'000);
    EXPECT_NE(kill(-remote, 0), 0);
}

TEST_F(RemoteShell, SaysThatNobodyIsThere) {
    EXPECT_EQ(run("true"), 255);
    EXPECT_NE(text("err").find("cannot connect to 127.0.0.1"), std::string::npos);
}

}  // namespace
}  // namespace millwright::script_mode
