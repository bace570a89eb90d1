// What the user says image URIs stand for: <data-dir>/image-aliases.json, written by `millwright images alias` and read
// again whenever it has changed, by a server that runs as well.
//
//   {"pytorch-training:2.0.0-cpu-py310": "millwright/pytorch:2.0.0", "xgboost": "my/xgboost"}
//
// A name is a whole URI, or what follows its host, or its last part; the last two with a tag or for all tags. The first
// that fits in this order counts, one with a tag before one without. A target without a tag gets the tag of the URI.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace millwright::resources {

// Thread-safe, and safe against other processes that change the file.
class ImageAliases {
  public:
    explicit ImageAliases(std::string file) : file_(std::move(file)) {}

    // What is to be used in the place of `uri`; nothing: the URI stands for itself.
    Result<std::optional<std::string>> find(std::string_view uri) const;
    Result<std::map<std::string, std::string>> all() const;
    // InvalidInput: one of them is no name of an image.
    Result<void> set(const std::string& name, const std::string& target);
    Result<void> remove(const std::string& name);  // NotFound

  private:
    Result<void> write(const std::map<std::string, std::string>& aliases) const;

    const std::string file_;
};

// Of aliases that were read before: find() without the file.
std::optional<std::string> alias_of(const std::map<std::string, std::string>& aliases, std::string_view uri);

}  // namespace millwright::resources
