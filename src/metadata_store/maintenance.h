// Looking after a database from another process, whether a server has it open or not.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace millwright::metadata_store {

// A copy of `from` as it is now in a new file `to` (0600), synced. A server may write meanwhile; its log of writes
// grows until the copy is made. AlreadyExists: there is a file.
Result<void> copy_database(const std::string& from, const std::string& to);

// What is wrong with the file, at most 100 lines; nothing when it is sound. Reads all of it.
Result<std::vector<std::string>> check_database(const std::string& path);

}  // namespace millwright::metadata_store
