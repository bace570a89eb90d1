// CloudWatch Logs as a resource: groups, streams, and their events in files (base/event_file.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_file.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"

namespace millwright::resources {

struct StreamName {
    std::string account, region, group, stream;
};

// Thread-safe.
class Logs {
  public:
    // Event files live below `folder`, named by random ids.
    static Result<std::unique_ptr<Logs>> open(const std::string& folder, metadata_store::Database& database,
                                              const Clock& clock, Random& random);
    virtual ~Logs() = default;

    // Makes group and stream if they are missing and returns the file a launcher may append to. Idempotent.
    virtual Result<std::string> open_job_stream(const StreamName& name) = 0;
    // Calls for the Logs service (DescribeLogStreams, GetLogEvents, …) are declared here by whoever builds it.
};

}  // namespace millwright::resources
