// Where the requests for an endpoint go: the border between the control of endpoints and the gateway.
// Snapshots are immutable but for the counters; whoever handles a request holds one, and with it its
// replicas, until it is answered.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace millwright::resources {

struct ReplicaRequest {
    std::string_view content_type, accept, custom_attributes;  // empty: not sent
    std::string_view body;
};

struct ReplicaReply {
    int status = 0;
    std::string content_type, custom_attributes, body;
};

// An answer that is handed over while it comes. False from either: the client is gone, the rest is not wanted.
class ReplyReceiver {
  public:
    virtual ~ReplyReceiver() = default;
    virtual bool begin(const ReplicaReply& head) = 0;  // `head.body` is empty
    virtual bool piece(std::string_view bytes) = 0;
};

// How long a streamed answer may take: until its head, without a byte, and on the whole.
struct StreamPatience {
    std::chrono::milliseconds head{60'000}, pause{60'000}, whole{480'000};
};

struct PingAnswer {
    int status = 0;   // 0: none came, and
    std::string why;  // "no answer within 2 s", "connection refused"
    bool healthy() const { return status == 200; }
};

// The way to one replica's /ping and /invocations. Thread-safe.
class ReplicaChannel {
  public:
    virtual ~ReplicaChannel() = default;
    virtual PingAnswer ping(std::chrono::milliseconds timeout) = 0;
    // Whatever the replica answers is a value. Unavailable with detail "timeout": no answer in time;
    // Unavailable: no connection, or it broke; LimitExceeded: the answer is too large.
    virtual Result<ReplicaReply> invoke(const ReplicaRequest& request, std::chrono::milliseconds timeout) = 0;
    // The same piece by piece; an error after begin() is about the rest of the body. A channel that cannot stream hands
    // over the whole answer at once.
    virtual Result<void> invoke_stream(const ReplicaRequest& request, const StreamPatience& patience,
                                       ReplyReceiver& receiver);
};

// Makes the channel to a replica that listens, or will listen, there: "unix:/path" or "tcp:127.0.0.1:49153".
using OpenChannel = std::function<std::shared_ptr<ReplicaChannel>(const std::string& address)>;

struct ReplicaRoute {
    std::string log_stream;
    std::shared_ptr<ReplicaChannel> channel;
    mutable std::atomic<int> outstanding{0};
};

struct VariantRoute {
    std::string name;
    double weight = 1;
    bool random_replica = false;  // RoutingStrategy RANDOM; otherwise the least outstanding one
    std::vector<std::shared_ptr<const ReplicaRoute>> replicas;
};

struct EndpointRoute {
    std::string name, log_group;
    std::string status;                  // EndpointStatus at the time of the snapshot
    std::vector<VariantRoute> variants;  // empty until the endpoint was in service
};

// Thread-safe. Reading takes a shared lock for a look-up only.
class Routes {
  public:
    // `name` without regard to case; null when there is no such endpoint.
    std::shared_ptr<const EndpointRoute> find(std::string_view account, std::string_view region,
                                              std::string_view name) const;
    void set(std::string_view account, std::string_view region, std::string_view name,
             std::shared_ptr<const EndpointRoute> route);
    void erase(std::string_view account, std::string_view region, std::string_view name);

  private:
    mutable std::shared_mutex mutex_;
    std::unordered_map<std::string, std::shared_ptr<const EndpointRoute>> routes_;
};

}  // namespace millwright::resources
