// Images of a container engine: what it has, and what it can pull from our registry or from others.
#pragma once

#include <memory>

#include "executors/container/engine_client.h"
#include "executors/images.h"

namespace millwright::executors {

// Everything outlives it. `soon` is called when somebody asks for an image: a run will follow.
std::unique_ptr<Images> make_engine_images(EngineClient& engine, const ContainerSettings& settings,
                                           std::function<void()> soon);

// How far a pull is, from the documents with which the engine says so.
class PullProgress {
  public:
    // The line that is new to say, or empty.
    std::string note(const Json& document);

  private:
    struct Layer {
        uint64_t now = 0, total = 0;
        bool done = false;
    };
    std::map<std::string, Layer> layers_;
    std::string last_;
};

}  // namespace millwright::executors
