#include "resources/environments/package_index.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "base/files.h"
#include "base/strings.h"
#include "resources/environments/embedded.h"
#include "resources/environments/environments.h"

namespace millwright::resources {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr size_t kMaxOutput = size_t{4} << 20;

// Settings that are about this machine or a person at a terminal, not about where packages come from.
bool stays_here(std::string_view key) {
    for (const char* own : {"proxy",
                            "target",
                            "prefix",
                            "root",
                            "user",
                            "cache-dir",
                            "log",
                            "python",
                            "verbose",
                            "quiet",
                            "no-color",
                            "editable",
                            "requirement",
                            "dry-run",
                            "report",
                            "src",
                            "build",
                            "require-virtualenv",
                            "no-input",
                            "progress-bar",
                            "keyring-provider",
                            "disable-pip-version-check",
                            "no-cache-dir",
                            "break-system-packages"})
        if (key == own) return true;
    return false;
}

// The host of "https://user:secret@host:port/path" as an entry of the proxy's list.
std::string host_of(std::string_view address) {
    const bool secure = address.starts_with("https://");
    if (!secure && !address.starts_with("http://")) return "";
    address.remove_prefix(secure ? 8 : 7);
    address = address.substr(0, address.find_first_of("/?#"));
    if (const size_t at = address.rfind('@'); at != address.npos) address.remove_prefix(at + 1);
    return to_lower(address);
}

// The folder or file behind "/a", "file:///a" and "file://localhost/a".
std::string local_path(std::string_view address) {
    if (address.starts_with("file://localhost/")) address.remove_prefix(16);
    if (address.starts_with("file://")) address.remove_prefix(7);
    return address.starts_with("/") ? std::string(address) : "";
}

bool seen_in_runs(std::string_view path) {
    for (const char* folder : {"/usr/", "/opt/", "/nix/", "/gnu/"})
        if (path.starts_with(folder)) return true;
    return false;
}

std::vector<std::string> words(std::string_view text) {
    std::vector<std::string> found;
    for (const std::string_view line : split(text, '\n'))
        for (const std::string_view word : split(line, ' '))
            if (!trim(word).empty()) found.emplace_back(trim(word));
    return found;
}

std::string variable_of(std::string_view key) {
    std::string name = "PIP_";
    for (const char c : key) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

// Later sections win: what is meant for all commands, for this one, and by the environment.
std::map<std::string, std::string> merged_settings(const Json& configuration) {
    std::map<std::string, std::string> settings;
    for (const char* section : {"global.", "install.", ":env:."})
        for (const Json& entry : configuration.items()) {
            const std::string key = entry[0].string_or("");
            if (!key.starts_with(section)) continue;
            const std::string name = replace_all(key.substr(std::string_view(section).size()), "_", "-");
            if (!stays_here(name)) settings[name] = entry[1].string_or("");
        }
    return settings;
}

void show_local(std::string_view address, PackageIndex& index) {
    const std::string path = local_path(address);
    if (path.empty() || seen_in_runs(path) || !file_exists(path)) return;
    index.mounts.push_back({path, path, executors::Mount::Mode::ReadOnly});
}

std::string certificate_of_the_environment() {
    for (const char* name : {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"})
        if (const char* path = std::getenv(name); path != nullptr && file_exists(path)) return path;
    return "";
}

// Closes on every way out; reading ends when the program has.
Result<std::string> read_until_end(int fd) {
    std::string text;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (char buffer[16384];;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
        if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) == 0)
            return Error{ErrorKind::Unavailable, "it takes too long", ""};
        const ssize_t got = ::read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_from_errno("cannot read what it says");
        if (got == 0) return text;
        if (text.size() < kMaxOutput) text.append(buffer, static_cast<size_t>(got));
    }
}

struct SpawnActions {
    SpawnActions() { posix_spawn_file_actions_init(&actions); }
    ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
    posix_spawn_file_actions_t actions;
};

Result<pid_t> start(const std::vector<std::string>& arguments, int out) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    SpawnActions files;
    posix_spawn_file_actions_addopen(&files.actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files.actions, out, 1);
    posix_spawn_file_actions_adddup2(&files.actions, out, 2);
    pid_t pid = 0;
    errno = posix_spawn(&pid, argv[0], &files.actions, nullptr, argv.data(), environ);
    if (errno != 0) return error_from_errno("cannot start " + arguments[0]);
    return pid;
}

}  // namespace

Result<std::string> output_of(const std::vector<std::string>& arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return error_from_errno("cannot make a pipe");
    Fd in(ends[0]), out(ends[1]);
    const pid_t pid = TRY(start(arguments, out.get()));
    out.reset();
    auto text = read_until_end(in.get());
    if (!text) ::kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!text) return text;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return Error{ErrorKind::Unavailable, arguments[0] + " failed", *text};
    return text;
}

PackageIndex read_package_index(const Json& answer) {
    PackageIndex index;
    index.python = answer["python"].string_or("");
    index.machine = answer["machine"].string_or("");
    auto settings = merged_settings(answer["configuration"]);
    index.certificate = settings.contains("cert") ? settings["cert"] : certificate_of_the_environment();
    if (!index.certificate.empty()) settings["cert"] = kCertificateInside;

    std::set<std::string> hosts;
    if (!settings.contains("no-index") && !settings.contains("index-url")) {
        hosts.insert(host_of(answer["index"].string_or("")));
        hosts.insert(answer["files"].string_or(""));
    }
    for (const char* key : {"index-url", "extra-index-url", "find-links", "constraint"}) {
        if (!settings.contains(key)) continue;
        for (const std::string& address : words(settings[key])) {
            hosts.insert(host_of(address));
            show_local(address, index);
        }
    }
    if (settings.contains("client-cert")) show_local(settings["client-cert"], index);
    hosts.erase("");
    index.hosts.assign(hosts.begin(), hosts.end());
    for (const auto& [key, value] : settings) index.variables[variable_of(key)] = replace_all(value, "\n", " ");
    return index;
}

Result<PackageIndex> ask_package_index() {
    auto said = output_of({kSystemPython, "-c", std::string(kAskPip)});
    if (!said)
        return Error{ErrorKind::Unavailable,
                     std::string("environments need Python 3.9 or later with venv and pip at ") + kSystemPython +
                         " (Debian: python3-venv)",
                     said.error().message + ": " + said.error().detail};
    // Warnings of Python may stand before it.
    const size_t begin = said->rfind("\n{") == said->npos ? 0 : said->rfind("\n{") + 1;
    auto answer = Json::parse(trim(std::string_view(*said).substr(begin)));
    if (!answer) return internal_error("cannot read what pip said", *said);
    return read_package_index(*answer);
}

Result<std::vector<std::string>> package_index_hosts() {
    const PackageIndex index = TRY(ask_package_index());
    return index.hosts;
}

}  // namespace millwright::resources
