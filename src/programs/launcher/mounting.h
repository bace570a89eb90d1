// Thin wrappers over the mount system calls of Linux 5.12 that glibc 2.36 does not have everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::launcher {

enum class Access { ReadOnly, Writable };

// A detached copy of the tree below `source` (with the mounts in it), without set-id programs. Devices work only when
// `source` is a device itself.
Result<Fd> detached_bind(const std::string& source, Access access);
// The same; fails when a part of `source` is a symbolic link.
Result<Fd> detached_bind_without_links(const std::string& source, Access access);
// Puts a detached tree over `target`, which must exist.
Result<void> attach(const Fd& tree, const std::string& target);
Result<void> bind(const std::string& source, const std::string& target, Access access);
// A detached overlay: `lower` is seen, `upper` takes the changes, `work` is an empty folder beside `upper`.
Result<Fd> detached_overlay(const std::string& lower, const std::string& upper, const std::string& work,
                            bool user_namespace);
// A detached file system of its own. `attributes`: MOUNT_ATTR_…
Result<Fd> detached_new(const char* type, uint64_t attributes,
                        const std::vector<std::pair<const char*, std::string>>& options);
Result<void> mount_new(const char* type, const std::string& target, unsigned long flags, const char* options);

// Makes `target` as an empty folder or file, with its parents, where nothing is.
enum class Shape { Folder, File };
Result<void> make_mount_point(const std::string& target, Shape shape);
// Copies a tree: folders, files, symbolic links, modes. Stands in for an overlay.
Result<void> copy_tree(const std::string& source, const std::string& target);
Result<void> copy_file(const std::string& source, const std::string& target, mode_t mode);

}  // namespace millwright::launcher
