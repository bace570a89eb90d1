// Which executor has a run, and where images are made ready: the container engine where there is one, else namespaces
// of our own.
//
// A run without an image, and one whose image consists of unpacked layers, belong to the process executor; a run whose
// image the engine holds belongs to the engine. The folder of such a run says so in the file `executor`, so that a
// restarted server asks the right one, also when the configuration has changed and the engine has gone meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "executors/executor.h"
#include "executors/images.h"

namespace millwright::executors {

// As the configuration says it.
enum class EngineWish {
    Preferred,  // the engine when it answers and has the image or can pull it, else without one
    Required,   // the engine, or nothing: images are refused while it does not answer
    Unwanted,   // known, for the runs it still has, but given no new ones
};

struct ContainerEngine {
    Executor& executor;
    Images& images;
    // Whether it answers at this moment; quick. The message of the error is for people.
    std::function<Result<void>()> works;
};

// Everything outlives the choice.
struct ChoiceParts {
    Executor& processes;
    Images* layers = nullptr;  // unpacks images for `processes`; null: this machine cannot, and why_no_layers says why
    std::string why_no_layers{};
    std::optional<ContainerEngine> engine{};
    std::string why_no_engine{};  // where there is none: "no socket of Docker or Podman was found"
    EngineWish wish = EngineWish::Preferred;
};

// Thread-safe. A run of an engine that is not there any more is reported Lost when it is adopted.
std::unique_ptr<Executor> choose_executor(const ChoiceParts& parts);
// Thread-safe. Unavailable: an image is asked for, and nothing here can run one; the message says why.
std::unique_ptr<Images> choose_images(const ChoiceParts& parts);

// Whether the engine has the run of this folder (`millwright jobs enter` asks without a server's executor).
bool run_is_in_engine(const std::string& folder);

}  // namespace millwright::executors
