// Builds images by the API of a container engine (Docker 20.10+ or Podman 4.3+), over its unix socket.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::resources {

struct ImageOrder {
    std::string archive;                           // the path of a tar: the context, with a Dockerfile
    std::vector<std::string> references;           // names that the image gets
    std::map<std::string, std::string> arguments;  // of the Dockerfile
    std::map<std::string, std::string> labels;
    std::string network;  // of the steps: "host", "bridge", a name; empty: the engine's own choice
    bool no_cache = false;
};

struct BuiltImage {
    std::string id;  // "sha256:…"
    std::map<std::string, std::string> labels;
    uint64_t bytes = 0;
};

struct ListedImage {
    std::string name, id;
    uint64_t bytes = 0;  // with what it shares with others
};

// On every image that we build; its value says what it was made from.
inline constexpr const char* kContentLabel = "millwright.content";

class ImageBuilder {
  public:
    // Lines that the engine and the steps of the build say, from the calling thread.
    using Progress = std::function<void(const std::string& line)>;

    // Unavailable: nobody answers.
    static Result<std::unique_ptr<ImageBuilder>> open(const std::string& socket);
    virtual ~ImageBuilder() = default;

    // NotFound.
    virtual Result<BuiltImage> find(const std::string& reference) = 0;
    // Minutes to hours. When the caller's process ends, the engine stops the build. InvalidInput: a step failed; the
    // message says which, the detail is the end of its output.
    virtual Result<BuiltImage> build(const ImageOrder& order, const Progress& progress) = 0;
    // Also gives an image these names.
    virtual Result<void> name(const std::string& id, const std::vector<std::string>& references) = 0;
    // What we have built, by all its names.
    virtual Result<std::vector<ListedImage>> list() = 0;
    // Takes the name away, and with the last one the image. NotFound: it is none of ours. Conflict: it is in use.
    virtual Result<void> remove(const std::string& reference) = 0;
    // Removes what builds left that nothing needs but their repetition: unnamed images with this label.
    virtual Result<void> remove_unnamed(const std::string& label) = 0;
    // Removes an image that has lost its last name to another; one that still has a name, or that something is made
    // from, stays.
    virtual void remove_if_unnamed(const std::string& id) = 0;
};

}  // namespace millwright::resources
