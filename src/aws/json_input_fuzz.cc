// JSON bodies against every SageMaker operation: parsed, decoded and validated, or refused.
#include <cstdint>

#include "aws/protocol.h"
#include "aws/validate.h"

using namespace millwright;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const auto model = *aws::find_service("sagemaker");
    const uint32_t number = static_cast<uint32_t>(data[0] << 8 | data[1]) % model.operations().size();
    const auto shape = model.view_at(number, static_cast<aws::ModelOperation*>(nullptr)).input();
    const auto wire = Json::parse(std::string_view(reinterpret_cast<const char*>(data) + 2, size - 2));
    if (!shape || !wire) return 0;
    const auto document = aws::decode_json(*shape, *wire);
    if (document) static_cast<void>(aws::validate(*shape, *document));
    return 0;
}
