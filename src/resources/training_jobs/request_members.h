// What becomes of every member of a CreateTrainingJob request: honoured, accepted without effect, or refused. The one
// table behind the refusals and the page docs/reference/training.md; a test holds it complete against the service
// model.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace millwright::resources {

enum class Treatment { Honoured, NoEffect, Refused };

struct RequestMember {
    // "ResourceConfig.InstanceType", "InputDataConfig[].ChannelName", "HyperParameters{}" (a map of texts). A row
    // stands for everything below its path.
    std::string_view path;
    Treatment treatment = Treatment::Honoured;
    // Honoured: the test that shows it ("tests/conformance/test_training.py::test_x", or "Suite.Name" of a unit test).
    // NoEffect: why. Refused: what to do instead, the end of the message.
    std::string_view word;
};

std::span<const RequestMember> training_request_members();

// [{"member": path, "treatment": "honoured" | "no effect" | "refused", "word": …}, …]: for the page.
Json describe_training_request_members();

// Present and not switched off: false, 0, "", [] and {} ask for nothing.
bool is_asked_for(const Json& value);

// InvalidInput, naming the member, when the request asks for something that is refused.
Result<void> refuse_unsupported_members(const Json& request);

}  // namespace millwright::resources
