#include "executors/container/engine_client.h"

#include <unistd.h>

#include <cstdlib>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/strings.h"

namespace millwright::executors {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxAnswer = size_t{64} << 20;
constexpr size_t kMaxDocument = size_t{1} << 20;
constexpr milliseconds kLong = std::chrono::hours(24 * 366);
const net::Headers kJsonBody = {{"Content-Type", "application/json"}};

ErrorKind kind_of(int status) {
    switch (status) {
        case 400:
            return ErrorKind::InvalidInput;
        case 401:
        case 403:
            return ErrorKind::Denied;
        case 404:
            return ErrorKind::NotFound;
        case 409:
            return ErrorKind::Conflict;
        default:
            return ErrorKind::Internal;
    }
}

Error error_of(int status, std::string_view body) {
    std::string message;
    if (const auto document = Json::parse(body)) message = (*document)["message"].string_or("");
    if (message.empty()) message = std::string(trim(body.substr(0, 500)));
    if (message.empty()) message = "status " + std::to_string(status);
    return Error{kind_of(status), std::move(message), "the container engine answered " + std::to_string(status)};
}

class Listener : public net::HttpClient::Receiver {
  public:
    explicit Listener(const EngineClient::Piece& piece) : piece_(piece) {}
    bool begin(const net::ClientResponse& response) override {
        status_ = response.status;
        return true;
    }
    bool piece(std::string_view bytes) override {
        if (good()) return piece_(bytes);
        failure_.append(bytes.substr(0, kMaxDocument - std::min(failure_.size(), kMaxDocument)));
        return true;
    }
    bool good() const { return status_ < 300; }
    Error error() const { return error_of(status_, failure_); }

  private:
    const EngineClient::Piece& piece_;
    int status_ = 0;
    std::string failure_;
};

bool is_engine_too_old(const FoundEngine& engine) {
    const auto parts = split(engine.api_version, '.');
    const auto major = parts.size() == 2 ? parse_int(parts[0]).value_or(0) : 0;
    const auto minor = parts.size() == 2 ? parse_int(parts[1]).value_or(0) : 0;
    if (engine.kind == EngineKind::Docker) return major < 1 || (major == 1 && minor < 41);  // 20.10
    const auto numbers = split(engine.version, '.');
    const auto first = parse_int(numbers[0]).value_or(0);
    const auto second = numbers.size() > 1 ? parse_int(numbers[1]).value_or(0) : 0;
    return first < 4 || (first == 4 && second < 3);
}

void add_socket(std::vector<std::string>& found, std::string_view address) {
    constexpr std::string_view kScheme = "unix://";
    if (address.starts_with(kScheme)) address.remove_prefix(kScheme.size());
    if (!address.starts_with("/")) return;  // ssh:// and tcp:// are engines of other machines
    for (const auto& known : found)
        if (known == address) return;
    found.emplace_back(address);
}

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

// ~/.docker/config.json names the context; what it means lies below the digest of its name.
std::string docker_context_address() {
    const auto folder = variable("DOCKER_CONFIG").empty() ? variable("HOME") + "/.docker" : variable("DOCKER_CONFIG");
    std::string name = variable("DOCKER_CONTEXT");
    if (name.empty()) {
        const auto text = read_file(folder + "/config.json", kMaxDocument);
        const auto config = text ? Json::parse(*text) : Result<Json>(not_found("no configuration"));
        if (config) name = (*config)["currentContext"].string_or("");
    }
    if (name.empty() || name == "default") return "";
    // The name of a context is that of a folder, hashed by the Docker CLI.
    const auto text = read_file(folder + "/contexts/meta/" + sha256_hex(name) + "/meta.json", kMaxDocument);
    if (!text) return "";
    const auto meta = Json::parse(*text);
    return meta ? (*meta)["Endpoints"]["docker"]["Host"].string_or("") : "";
}

}  // namespace

std::vector<std::string> engine_sockets() {
    std::vector<std::string> found;
    const auto runtime =
        variable("XDG_RUNTIME_DIR").empty() ? "/run/user/" + std::to_string(getuid()) : variable("XDG_RUNTIME_DIR");
    add_socket(found, variable("DOCKER_HOST"));
    add_socket(found, docker_context_address());
    add_socket(found, "/var/run/docker.sock");
    add_socket(found, runtime + "/docker.sock");
    add_socket(found, variable("CONTAINER_HOST"));
    if (geteuid() == 0) add_socket(found, "/run/podman/podman.sock");
    add_socket(found, runtime + "/podman/podman.sock");
    return found;
}

Result<FoundEngine> ask_engine(const std::string& socket) { return EngineClient(socket).about(); }

EngineClient::EngineClient(const std::string& socket) : socket_(socket), http_(net::HttpClient::unix_socket(socket)) {}

Result<FoundEngine> EngineClient::about() {
    {
        const MutexLock lock(mutex_);
        if (about_) return *about_;
    }
    const auto answer = TRY(call("GET", "/version", {}, "", std::chrono::seconds(10)));
    FoundEngine engine;
    engine.socket = socket_;
    engine.version = answer["Version"].string_or("");
    engine.api_version = answer["ApiVersion"].string_or("");
    for (const auto& component : answer["Components"].items())
        if (component["Name"].string_or("") == "Podman Engine") engine.kind = EngineKind::Podman;
    if (engine.version.empty()) return invalid_input("what answers at " + socket_ + " is no container engine");
    if (is_engine_too_old(engine))
        return invalid_input((engine.kind == EngineKind::Docker ? "Docker " : "Podman ") + engine.version + " at " +
                             socket_ + " is too old: Docker 20.10 or Podman 4.3 is needed");
    const MutexLock lock(mutex_);
    about_ = engine;
    return engine;
}

Result<Json> EngineClient::call(std::string_view method, const std::string& target, const net::Headers& headers,
                                std::string_view body, milliseconds timeout) {
    auto response = http_->call(method, target, headers, body, timeout, kMaxAnswer);
    if (!response)
        return Error{ErrorKind::Unavailable, "the container engine at " + socket_ + " does not answer",
                     response.error().message};
    if (response->status >= 400) return error_of(response->status, response->body);
    if (trim(response->body).empty()) return Json();
    auto document = Json::parse(response->body);
    return document ? std::move(*document) : Json(response->body);
}

Result<Json> EngineClient::get(const std::string& target, milliseconds timeout) {
    return call("GET", target, {}, "", timeout);
}

Result<Json> EngineClient::post(const std::string& target, const Json& body, milliseconds timeout) {
    return call("POST", target, kJsonBody, body.is_null() ? "" : body.dump(), timeout);
}

Result<Json> EngineClient::post_tar(const std::string& target, std::string_view tar) {
    return call("POST", target, {{"Content-Type", "application/x-tar"}}, tar, std::chrono::minutes(2));
}

Result<void> EngineClient::remove(const std::string& target) {
    const auto removed = call("DELETE", target, {}, "", std::chrono::minutes(2));
    if (!removed && removed.error().kind != ErrorKind::NotFound) return removed.error();
    return {};
}

Result<void> EngineClient::stream(std::string_view method, const std::string& target, const net::Headers& headers,
                                  const Piece& piece, net::Interrupt* interrupt) {
    Listener listener(piece);
    net::HttpClient::Patience patience;
    // Podman sends the head of some answers with the first byte of the body only.
    patience.head = patience.pause = patience.whole = kLong;
    patience.interrupt = interrupt;
    const auto done = http_->stream(method, target, headers, "", patience, listener);
    if (!listener.good()) return listener.error();
    if (!done) return Error{ErrorKind::Unavailable, "the container engine ended an answer", done.error().message};
    return {};
}

Result<void> EngineClient::stream_documents(std::string_view method, const std::string& target,
                                            const net::Headers& headers,
                                            const std::function<bool(const Json&)>& document,
                                            net::Interrupt* interrupt) {
    std::string text;
    bool wanted = true;
    const auto each_line = [&](std::string_view bytes) {
        text += bytes;
        for (size_t end = text.find('\n'); wanted && end != std::string::npos; end = text.find('\n')) {
            const auto parsed = Json::parse(trim(std::string_view(text).substr(0, end)));
            if (parsed) wanted = document(*parsed);
            text.erase(0, end + 1);
        }
        return wanted && text.size() < kMaxDocument;
    };
    TRY(stream(method, target, headers, each_line, interrupt));
    if (wanted && !trim(text).empty())
        if (const auto parsed = Json::parse(trim(text))) document(*parsed);
    return {};
}

std::string label_filter(std::string_view name, std::string_view value) {
    const auto label = std::string(name) + "=" + std::string(value);
    return percent_encode(Json::object({{"label", Json::array({label})}}).dump());
}

}  // namespace millwright::executors
