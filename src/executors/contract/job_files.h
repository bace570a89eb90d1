// Reading what a job left behind, without trusting it: no link is followed, nothing but regular files is opened.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millwright::executors {

// Opens the folder `relative` below `root`, refusing links on the way. NotFound: missing, a link, or not a folder.
Result<Fd> open_folder_below(const std::string& root, std::string_view relative);
// A regular file directly in an open folder; NotFound for anything else, also FIFOs and links.
Result<Fd> open_regular(int folder, const std::string& name);

// One thing in a job's tree.
struct JobFile {
    enum class Kind { Folder, Regular, Link };
    std::string path;  // relative; folders without a closing '/'
    Kind kind = Kind::Regular;
    uint64_t size = 0;
    uint64_t stored = 0;   // bytes on the disk: less than `size` where the file has holes
    int64_t modified = 0;  // seconds since 1970
    uint32_t mode = 0;     // permission bits
    uint64_t inode = 0;
    int64_t modified_ns = 0, changed_ns = 0;  // st_mtim, st_ctim
    std::string target;                       // of a link: relative, and inside the tree
};

inline constexpr size_t kMaxJobFiles = 1'000'000;

// Everything below the folder, parents before children, siblings by name. Links that lead out of the tree, sockets,
// FIFOs and devices are left out. LimitExceeded beyond kMaxJobFiles or 64 levels; Denied: a folder we may not read.
Result<std::vector<JobFile>> list_job_files(int folder);

// Where a regular file has bytes on the disk; one extent for all of it where the file system cannot tell.
struct FileExtent {
    uint64_t begin = 0, end = 0;
};
std::vector<FileExtent> extents_of(int file, uint64_t size);

// Holes cost a job nothing, but are real bytes once the files are objects. InvalidInput: more than kMaxHoleBytes of
// them.
inline constexpr uint64_t kMaxHoleBytes = uint64_t{16} << 30;
Result<void> check_holes(int folder, const std::vector<JobFile>& files);

// Opens a Regular entry of list_job_files().
Result<Fd> open_job_file(int folder, const std::string& path);

}  // namespace millwright::executors
