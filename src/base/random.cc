#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/encoding.h"

namespace millwright {
namespace {

class SystemRandom final : public Random {
  public:
    std::string bytes(size_t count) override {
        std::string out(count, '\0');
        for (size_t filled = 0; filled < count;) {
            const ssize_t got = getrandom(out.data() + filled, count - filled, 0);
            CHECK(got > 0 || errno == EINTR);
            if (got > 0) filled += static_cast<size_t>(got);
        }
        return out;
    }
};

}  // namespace

std::string Random::hex(size_t digits) { return to_hex(bytes((digits + 1) / 2)).substr(0, digits); }

std::string Random::uuid() {
    std::string raw = bytes(16);
    raw[6] = static_cast<char>((raw[6] & 0x0F) | 0x40);
    raw[8] = static_cast<char>((raw[8] & 0x3F) | 0x80);
    std::string text = to_hex(raw);
    for (const size_t at : {20u, 16u, 12u, 8u}) text.insert(at, 1, '-');
    return text;
}

std::string Random::letters_and_digits(size_t count) {
    static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    std::string out = bytes(count);
    for (char& c : out) c = kAlphabet[c & 31];
    return out;
}

uint64_t Random::below(uint64_t limit) {
    CHECK(limit > 0);
    const std::string raw = bytes(sizeof(uint64_t));
    uint64_t value;
    std::memcpy(&value, raw.data(), sizeof value);
    return value % limit;
}

Random& system_random() {
    static SystemRandom random;
    return random;
}

}  // namespace millwright
