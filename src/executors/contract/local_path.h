// From object keys to paths inside a channel, and the guard against keys that would leave it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"

namespace millwright::executors {

// The part of `key` that becomes a path, for a key that an S3Prefix `prefix` selected:
//   prefix "data/train" or "data/train/", key "data/train/a/x.csv" -> "a/x.csv"
//   prefix "data/tra",                    key "data/train/x.csv"   -> "train/x.csv"
//   prefix = key "data/x.csv"                                      -> "x.csv"
// REQUIRES: key starts with prefix and does not end with '/'.
std::string_view path_below_prefix(std::string_view prefix, std::string_view key);

// A relative path with repeated slashes folded. InvalidInput: "..", ".", NUL, a component over 255 bytes, more than
// 4000 bytes, or nothing left.
Result<std::string> clean_local_path(std::string_view path);

// The files of one channel on one host: refuses a path used twice and a file where another key needs a folder.
class PathSet {
  public:
    Result<void> add_file(const std::string& path);
    // True when the folder is seen for the first time.
    bool add_folder(const std::string& path) { return folders_.insert(path).second; }
    size_t files() const { return files_.size(); }

  private:
    std::unordered_set<std::string> files_, folders_;
};

}  // namespace millwright::executors
