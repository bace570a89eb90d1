// Texts of clients that are neither documents nor signatures: page tokens, user agents, compressed bodies.
#include <cstdint>

#include "aws/content_coding.h"
#include "aws/pipeline.h"
#include "aws/token.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::aws;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static const PageTokens tokens(std::string(32, 'k'));
    // Nobody makes a token without the key, so what is taken is what we gave.
    if (const auto position = tokens.decode("scope", text)) CHECK(tokens.encode("scope", *position) == text);
    static_cast<void>(is_polling_client(text));
    constexpr size_t kLimit = 1 << 16;
    if (const auto plain = decompress_gzip(text, kLimit)) CHECK(plain->size() <= kLimit);
    return 0;
}
