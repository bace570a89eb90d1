// The composition root: the only place that knows every module.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "programs/server/config.h"

namespace millwright::programs {

class Server {
  public:
    // Opens the data directory (one server at a time holds it) and takes over the jobs and replicas of an earlier
    // server. `programs`: folder of millwright-launcher and millwright-algorithms.
    static Result<std::unique_ptr<Server>> open(const Config& config, const std::string& programs);
    virtual ~Server() = default;
    // Answers requests from here on; writes <data-dir>/server.json {"url", "pid"}.
    virtual Result<void> listen() = 0;
};

// Where the programs of this build lie.
std::string folder_of_this_program();

enum class OperationsFormat { Json, Markdown };
// Every operation of every service spoken and whether it is implemented; from the tables the server itself runs on.
Result<std::string> list_operations(OperationsFormat format);

}  // namespace millwright::programs
