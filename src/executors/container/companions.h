// Programs of ours beside a run of containers: on the machine itself, as the server's user. They outlive the server.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "executors/container/run_record.h"

namespace millwright::executors {

// In sessions of their own, with an empty environment; what they say goes to <folder>/companion.log. When one cannot be
// started the others are ended again.
Result<std::vector<CompanionRecord>> start_companions(const std::vector<std::vector<std::string>>& commands,
                                                      const std::string& folder);
// SIGTERM, two seconds, SIGKILL. Fine when they have ended; a process that has got the same id meanwhile is left alone.
void end_companions(const std::vector<CompanionRecord>& companions);

}  // namespace millwright::executors
