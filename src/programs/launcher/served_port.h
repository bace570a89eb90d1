// The port that a host serves, reachable on the machine: connections to <folder>/<algo-N>/served.sock are carried to
// 127.0.0.1:<port> inside the host.
//
// A socket belongs to the network namespace where it was made, so the host's init makes them and this process, outside,
// connects them. Some are always ready; the init is asked for more ('P') before they run out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "programs/launcher/channel.h"
#include "programs/launcher/event_loop.h"
#include "programs/launcher/forwarder.h"

namespace millwright::launcher {

class ServedPort {
  public:
    // Listens at once; connections wait until begin(). `channel` of the host outlives the object.
    static Result<std::unique_ptr<ServedPort>> open(EventLoop& loop, const std::string& host_folder, uint16_t port,
                                                    int channel);
    // The init answers from now on.
    void begin();
    // 'P' of the init: sockets of the host's network.
    void take_sockets(Message message);
    Forwarder& forwarder() { return *forwarder_; }

  private:
    ServedPort(uint16_t port, int channel) : port_(port), channel_(channel) {}
    Result<Fd> connect_inside();
    void refill();

    uint16_t port_;
    int channel_;
    bool asked_ = false;
    std::vector<Fd> ready_;
    Fd listener_;  // until begin()
    std::unique_ptr<Forwarder> forwarder_;
};

// In the init: answers 'P' with as many sockets as wanted.
void hand_out_sockets(int channel, const Message& wanted);

}  // namespace millwright::launcher
