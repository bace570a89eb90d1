// Counting the blocks of a tree that somebody else may be changing, or may have built to be hard to count.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <unordered_map>

namespace millwright::launcher {

using ProcessTree = std::multimap<pid_t, pid_t>;  // parent -> child
ProcessTree list_processes();

class DiskWalk {
  public:
    explicit DiskWalk(const std::stop_token& stop) : stop_(stop) {}

    // Everything below `folder`, without following links or crossing into other file systems.
    void add_tree(const std::string& folder);
    // Files without a name that the descendants of `init` (not itself) hold open.
    void add_deleted(pid_t init, const ProcessTree& processes);
    // Bytes on disk. Call once, at the end: names seen and names that exist are compared then.
    uint64_t total() const;
    // Folders inside folders beyond what can be followed: nobody needs that, except to hide something.
    bool too_deep() const { return too_deep_; }

  private:
    struct Linked {
        uint64_t names = 0, seen = 0, bytes = 0;
    };
    void add_folder(int folder, int depth);
    void add_entry(int folder, const char* name, int depth);
    void add_file(const struct stat& status);
    void add_descriptors(pid_t process);

    std::stop_token stop_;
    dev_t device_ = 0;
    uint64_t bytes_ = 0;
    std::unordered_map<uint64_t, Linked> linked_;  // by inode: files with several names, or none
    size_t descriptors_ = 0;
    bool too_deep_ = false;
};

}  // namespace millwright::launcher
