// multipart/form-data (RFC 7578) as it arrives: fields one by one, the file as a stream.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http.h"

namespace millwright::s3 {

// The boundary of a Content-Type; nothing when it is no multipart/form-data or has no usable one.
std::optional<std::string> form_boundary(std::string_view content_type);

// Not thread-safe. All failures are InvalidInput (the form is malformed, or too long), but for those of the body.
class FormReader {
  public:
    // REQUIRES: body outlives the reader.
    FormReader(net::BodyReader& body, const std::string& boundary);

    struct Part {
        std::string name, filename, content_type;
    };
    // Goes to the next part, past what is left of the present one; nothing at the end of the form.
    Result<std::optional<Part>> next();
    // Bytes of the present part; 0 is its end.
    Result<size_t> read(std::span<char> buffer);
    // All of the present part, `limit` bytes at most.
    Result<std::string> read_field(size_t limit);

  private:
    Result<bool> fill();  // false at the end of the body
    Result<void> skip_part();
    Result<std::string> read_line();

    net::BodyReader& body_;
    std::string delimiter_;  // CR LF "--" boundary
    std::string buffer_;     // what was read and not yet handed out
    bool in_part_ = true;    // before the first delimiter there is a part that nobody wants
    bool ended_ = false;
};

}  // namespace millwright::s3
