// Helper containers: each holds a network namespace that a host of a run joins, and carries the connections between it
// and the server (programs/gate). Those of runs with one host are kept for the next run, so such a run starts one
// container only.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/result.h"
#include "executors/container/engine_client.h"

namespace millwright::executors {

// What the namespace is for. Gates of equal wishes can take each other's place.
struct GateWish {
    bool isolated = false;      // no way to the server
    std::string egress_socket;  // see RunSpec; empty: none
    uint16_t served_port = 0;
    std::string network;  // id of the run's network; empty: alone, and may be kept
    std::string gateway;  // this machine's address in it
    int host = 0;         // the name inside: algo-<host + 1>
    std::string run;      // of a network
    friend bool operator==(const GateWish&, const GateWish&) = default;
};

struct Gate {
    std::string container;  // id
    std::string folder;     // on this machine; has the socket `served`
    std::string address;    // of eth0
};

// Thread-safe.
class Gates {
  public:
    // `owner`: of the label that marks our containers.
    Gates(EngineClient& engine, const ContainerSettings& settings, std::string owner);
    ~Gates();

    Result<Gate> take(const GateWish& wish);
    // After the run: whether it is kept for the next one; else it stays the caller's, who removes it.
    bool keep(const GateWish& wish, const Gate& gate);
    // Fine when it is gone. After the containers that have joined it.
    Result<void> remove(const Gate& gate);
    // What gates of servers before this one have left. REQUIRES: none has been made yet.
    void remove_folders_but(const std::set<std::string>& used);
    // Somebody will soon take one: makes it in the background, unless one is there.
    void warm(const GateWish& wish);

    // The image that all helpers have, by id; made when it is missing.
    Result<std::string> image();
    // Runs the gate's program to its end: `arguments` with folders shown at the same paths. As root of the machine
    // where the engine permits it.
    Result<void> run_helper(const std::vector<std::string>& arguments, const std::vector<std::string>& folders,
                            Json host_config = Json::object());

  private:
    std::optional<Gate> take_kept(const GateWish& wish);
    Result<Gate> make(const GateWish& wish);
    void remove_quietly(const Gate& gate);
    Result<std::string> wait_until_ready(int fifo, const std::string& container);
    void work(const std::stop_token& stop);

    EngineClient& engine_;
    const ContainerSettings& settings_;
    const std::string owner_;
    Mutex image_mutex_;
    std::string image_ GUARDED_BY(image_mutex_);

    struct Kept {
        GateWish wish;
        Gate gate;
    };
    Mutex mutex_;
    Condition changed_;
    std::vector<Kept> kept_ GUARDED_BY(mutex_);
    std::vector<GateWish> wanted_ GUARDED_BY(mutex_);
    bool making_ GUARDED_BY(mutex_) = false;
    bool stopping_ GUARDED_BY(mutex_) = false;
    std::jthread worker_;
};

inline constexpr const char* kOwnerLabel = "millwright.data";
inline constexpr const char* kRunLabel = "millwright.run";
inline constexpr const char* kHostLabel = "millwright.host";
inline constexpr const char* kFolderLabel = "millwright.folder";
inline constexpr const char* kGateLabel = "millwright.gate";

}  // namespace millwright::executors
