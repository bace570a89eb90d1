// Forms of browsers. The first byte says how many bytes arrive at a time, which must not matter.
#include <cstdint>
#include <span>

#include "base/check.h"
#include "services/s3/form.h"

namespace {

using namespace millwright;

class SteppedBody final : public net::BodyReader {
  public:
    SteppedBody(std::string_view bytes, size_t step) : bytes_(bytes), step_(step) {}
    Result<size_t> read(std::span<char> buffer) override {
        const size_t count = std::min({buffer.size(), step_, bytes_.size()});
        bytes_.copy(buffer.data(), count);
        bytes_.remove_prefix(count);
        return count;
    }
    std::optional<uint64_t> length() const override { return std::nullopt; }

  private:
    std::string_view bytes_;
    size_t step_;
};

// Names and contents as one text.
std::string read_form(std::string_view bytes, size_t step) {
    SteppedBody body(bytes, step);
    s3::FormReader form(body, "b");
    std::string out;
    for (;;) {
        const auto part = form.next();
        if (!part) return out + "!";
        if (!*part) return out;
        out += "[" + (*part)->name + "|" + (*part)->filename + "|" + (*part)->content_type + "]";
        const auto field = form.read_field(1 << 16);
        if (!field) return out + "!";
        out += *field;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    CHECK(read_form(text, text.size() + 1) == read_form(text, 1 + data[0] % 16));
    static_cast<void>(s3::form_boundary(text));
    return 0;
}
