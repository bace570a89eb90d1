// A request head from foreign bytes: target, then header lines. No input may pass as signed.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "aws/sigv4.h"
#include "base/strings.h"

using namespace millwright;

namespace {

class OneKey final : public aws::CredentialSource {
  public:
    std::optional<aws::Credential> find_credential(std::string_view) const override {
        return aws::Credential{"a secret that no fuzzer finds", "", std::nullopt, {}};
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    net::Request request;
    request.method = "GET";
    for (bool first = true; const std::string_view line : split(text, '\n')) {
        if (first) request.target = line;
        first = false;
        const size_t colon = line.find(':');
        if (colon != std::string_view::npos)
            request.headers.add(std::string(line.substr(0, colon)), std::string(line.substr(colon + 1)));
    }
    static const OneKey keys;
    static const aws::SignatureVerifier verifier(keys, system_clock());
    if (verifier.verify(request, "")) std::abort();
    return 0;
}
