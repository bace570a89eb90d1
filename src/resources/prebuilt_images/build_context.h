// What an engine gets to build a prebuilt image from: the Dockerfile and what it copies.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "resources/environments/package_index.h"
#include "resources/prebuilt_images/prebuilt_images.h"

namespace millwright::resources {

struct ContextFile {
    enum class Kind { Text, Copy, Folder };
    Kind kind = Kind::Text;
    std::string text;  // the content, or for Copy the path of a file on this machine
    mode_t mode = 0644;
};

// By path, without "/" in front.
using BuildContext = std::map<std::string, ContextFile>;

struct ContextParts {
    std::string dockerfiles;  // the folder images/
    std::string programs;     // millwright-runner and millwright-algorithms
    std::string python;       // what scripts import
};

// An image is built in steps; each is a Dockerfile. NotFound: a file of ours is missing.
// The base and those of frameworks: Debian and the packages, without our programs.
Result<BuildContext> packages_context(const PrebuiltImage& image, const ContextParts& parts, const PackageIndex& index);
// And the programs, on top of any of them.
Result<BuildContext> programs_context(const ContextParts& parts);
Result<BuildContext> algorithms_context(const ContextParts& parts);

// The program and the shared libraries that it is linked to, or opens itself (`opened`, their names), as a tree that
// needs nothing else: below `root` of the context. Libraries lie in /opt/millwright/lib, the loader at its own place.
Result<void> add_program_with_libraries(BuildContext& context, const std::string& program, const std::string& target,
                                        const std::vector<std::string>& opened = {});

// Hex; the same for the same paths, modes and contents.
Result<std::string> content_of(const BuildContext& context);

// As a tar archive, to a file that is open for writing.
Result<void> write_archive(const BuildContext& context, int file);
// As a folder, which is made: for `docker build` by hand, and other builders.
Result<void> write_folder(const BuildContext& context, const std::string& folder);

}  // namespace millwright::resources
