// Form bodies against every query operation of CloudWatch and IAM: decoded documents validate or are refused.
#include <cstdint>

#include "aws/protocol.h"
#include "aws/validate.h"
#include "net/http.h"

using namespace millwright;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) return 0;
    const auto model = *aws::find_service(data[0] & 1 ? "cloudwatch" : "iam");
    const uint32_t number = data[1] % model.operations().size();
    const auto operation = model.view_at(number, static_cast<aws::ModelOperation*>(nullptr));
    const auto shape = operation.input();
    if (!shape) return 0;
    const auto form = net::parse_query(std::string_view(reinterpret_cast<const char*>(data) + 2, size - 2));
    const auto document = aws::decode_query(*shape, form);
    if (document) static_cast<void>(aws::validate(*shape, *document));
    return 0;
}
