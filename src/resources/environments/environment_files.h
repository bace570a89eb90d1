// The folder of all environments on disk, and the record beside each of them.
//
//   <id>/tree, <id>/environment.json    complete; they come into being together, by one rename
//   <id>/used                           its time of modification says when a job last took it
//   <id>.partial/                       being built: tree, run (folder of the builder's run), run-id, log
//   <id>.lock                           flock: whoever holds it builds or removes
//   trash-<hex>/                        being removed
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "resources/environments/environments.h"

namespace millwright::resources {

struct EnvironmentRecord {
    EnvironmentChoice choice;  // without the note
    std::string name;          // as EnvironmentInfo has it
    std::string base;          // id of the environment below it; empty: none
    std::string requirements;  // on top of the base, normalised
    std::string python;        // "3.11"
    std::vector<std::string> packages;
    uint64_t bytes = 0;
    Timestamp built{};
    double build_seconds = 0;
};

class EnvironmentFiles {
  public:
    explicit EnvironmentFiles(std::string folder) : folder_(std::move(folder)) {}

    const std::string& folder() const { return folder_; }
    std::string complete(std::string_view id) const { return folder_ + "/" + std::string(id); }
    std::string partial(std::string_view id) const { return complete(id) + ".partial"; }

    std::vector<std::string> ids() const;       // complete ones
    std::vector<std::string> building() const;  // with a partial folder, whether somebody works on it or not
    // NotFound.
    Result<EnvironmentRecord> read(std::string_view id) const;
    // Conflict: somebody else has it.
    Result<Fd> lock(std::string_view id) const;
    bool is_locked(std::string_view id) const;
    // Makes what lies in partial() the environment. Everything is on disk when it returns.
    Result<void> publish(const EnvironmentRecord& record) const;
    void mark_used(std::string_view id) const;
    Timestamp last_used(std::string_view id) const;
    // REQUIRES: its lock is held.
    Result<void> remove(std::string_view id) const;
    // What removals left behind that were cut short, and builds that nobody took over for a day.
    void empty_trash() const;

  private:
    std::string folder_;
};

// What the files below `folder` take on the disk.
uint64_t disk_usage(const std::string& folder);

}  // namespace millwright::resources
