// Looking into the metadata store of a running server from another process.
#pragma once

#include <memory>
#include <string>

#include "metadata_store/database.h"

namespace millwright::metadata_store {

// One snapshot: what was committed when it was first read. Writing fails. NotFound: there is no such file. Works while
// a server writes, and without one. Held open only as long as needed: the log of writes grows meanwhile.
Result<std::unique_ptr<Connection>> open_read_only(const std::string& path);

}  // namespace millwright::metadata_store
