// Runs as containers of an engine that speaks the Docker Engine API on a unix socket: Docker 20.10 or later, Podman 4.3
// or later, with or without root. docs/internals/container_executor.md tells how.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "executors/executor.h"
#include "executors/images.h"
#include "oci/image_source.h"

namespace millwright::executors {

enum class EngineKind { Docker, Podman };

struct FoundEngine {
    std::string socket;
    EngineKind kind = EngineKind::Docker;
    std::string version;      // "20.10.24"
    std::string api_version;  // "1.41"
};

// Where the Docker CLI and Podman look: $DOCKER_HOST (unix:// only), the current context of ~/.docker, the system's and
// the user's sockets of Docker, then of Podman ($CONTAINER_HOST first).
std::vector<std::string> engine_sockets();
// Asks what is behind a socket; quick. Unavailable: nobody answers. InvalidInput: too old, or no such engine.
Result<FoundEngine> ask_engine(const std::string& socket);

// For people: {"version", "socket", "users", "restart", "gpus", "security", "missing": […]}. What had to be tried out
// is there when a server with this state folder has done so. Quick, and starts nothing.
Result<Json> describe_engine(const std::string& socket, const std::string& state_folder);

struct EngineLogin {
    std::string user, password;
};

struct ContainerSettings {
    std::string socket;        // absolute path
    std::string state_folder;  // <data>/containers; made when it is missing
    std::string gate_program;  // absolute path of millwright-gate, a static program
    // The server's API on a unix socket: what 169.254.170.2:80 inside leads to, wherever RunSpec::forward_to points.
    // Its folder is shown to helper containers of ours, never to jobs, so nothing secret lies in it. Empty: such runs
    // are refused.
    std::string api_socket;

    // Images. Our registry as this machine's engine reaches it, "127.0.0.1:9770"; empty: there is none.
    std::string registry_address;
    oci::ImageSource* registry = nullptr;  // asked with an ECR host in the reference
    // Who may pull what the caller of the request may.
    std::function<Result<EngineLogin>(const ImageRequest&)> log_in;
    std::map<std::string, std::function<Result<EngineLogin>()>> logins;  // to other registries, by host
};

// One engine, as an executor and as a place for images. Thread-safe. Making it asks the engine nothing, so runs of an
// engine that is away for the moment can be adopted; they are looked for until it is back. Destroying it leaves all
// runs alive.
class ContainerRuntime {
  public:
    static Result<std::unique_ptr<ContainerRuntime>> make(ContainerSettings settings);
    virtual ~ContainerRuntime() = default;
    virtual Executor& executor() = 0;
    virtual Images& images() = 0;
    // Whether the engine answers and can run what we start; quick.
    virtual Result<void> works() = 0;
};

}  // namespace millwright::executors
