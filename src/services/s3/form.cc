#include "services/s3/form.h"

#include <algorithm>

#include "base/strings.h"

namespace millwright::s3 {
namespace {

constexpr size_t kMaxHeaderLine = 4096;
constexpr int kMaxHeaderLines = 16;

Error malformed(std::string text) { return {ErrorKind::InvalidInput, std::move(text), ""}; }

// The value of `name` in `form-data; name="a"; filename="b"`. Browsers write a quote inside as %22 or \".
std::string parameter_of(std::string_view header, std::string_view name) {
    size_t at = header.find(';');
    while (at != std::string_view::npos && at < header.size()) {
        ++at;
        const size_t equals = header.find('=', at);
        if (equals == std::string_view::npos) return "";
        const std::string_view key = trim(header.substr(at, equals - at));
        std::string value;
        at = equals + 1;
        if (at < header.size() && header[at] == '"') {
            for (++at; at < header.size() && header[at] != '"'; ++at) {
                if (header[at] == '\\' && at + 1 < header.size() && header[at + 1] == '"') ++at;
                value += header[at];
            }
            at = header.find(';', at);
        } else {
            const size_t end = header.find(';', at);
            value = trim(header.substr(at, end == std::string_view::npos ? end : end - at));
            at = end;
        }
        if (equals_ignoring_case(key, name)) return value;
    }
    return "";
}

}  // namespace

std::optional<std::string> form_boundary(std::string_view content_type) {
    if (!equals_ignoring_case(trim(content_type.substr(0, content_type.find(';'))), "multipart/form-data"))
        return std::nullopt;
    std::string boundary = parameter_of(content_type, "boundary");
    if (boundary.empty() || boundary.size() > 200) return std::nullopt;
    return boundary;
}

FormReader::FormReader(net::BodyReader& body, const std::string& boundary)
    : body_(body), delimiter_("\r\n--" + boundary), buffer_("\r\n") {}

Result<bool> FormReader::fill() {
    char block[16 * 1024];
    const size_t got = TRY(body_.read(block));
    buffer_.append(block, got);
    return got > 0;
}

Result<size_t> FormReader::read(std::span<char> buffer) {
    if (!in_part_ || buffer.empty()) return size_t{0};
    for (;;) {
        const size_t at = buffer_.find(delimiter_);
        if (at == 0) {
            buffer_.erase(0, delimiter_.size());
            in_part_ = false;
            return size_t{0};
        }
        // The last bytes may be the start of a delimiter.
        const size_t sure = at != std::string::npos ? at : buffer_.size() - std::min(buffer_.size(), delimiter_.size());
        if (sure > 0) {
            const size_t count = std::min(sure, buffer.size());
            std::copy_n(buffer_.begin(), count, buffer.begin());
            buffer_.erase(0, count);
            return count;
        }
        const bool more = TRY(fill());
        if (!more) return malformed("The body of your POST request is not well-formed multipart/form-data.");
    }
}

Result<void> FormReader::skip_part() {
    char block[16 * 1024];
    while (in_part_) TRY(read(block));
    return {};
}

Result<std::string> FormReader::read_line() {
    for (;;) {
        const size_t end = buffer_.find("\r\n");
        if (end != std::string::npos) {
            std::string line = buffer_.substr(0, end);
            buffer_.erase(0, end + 2);
            return line;
        }
        if (buffer_.size() > kMaxHeaderLine) return malformed("A header of a form field is too long.");
        const bool more = TRY(fill());
        if (!more) return malformed("The body of your POST request is not well-formed multipart/form-data.");
    }
}

Result<std::optional<FormReader::Part>> FormReader::next() {
    if (ended_) return std::optional<Part>();
    TRY(skip_part());
    while (buffer_.size() < 2) {
        const bool more = TRY(fill());
        if (!more) return malformed("The body of your POST request is not well-formed multipart/form-data.");
    }
    if (buffer_.starts_with("--")) {
        ended_ = true;
        return std::optional<Part>();
    }
    const std::string rest = TRY(read_line());
    if (!trim(rest).empty()) return malformed("The body of your POST request is not well-formed multipart/form-data.");
    Part part;
    for (int lines = 0;; ++lines) {
        const std::string line = TRY(read_line());
        if (line.empty()) break;
        if (lines == kMaxHeaderLines) return malformed("A form field has too many headers.");
        const size_t colon = line.find(':');
        if (colon == std::string::npos) return malformed("A header of a form field has no colon.");
        const std::string name = to_lower(trim(std::string_view(line).substr(0, colon)));
        const std::string_view value = trim(std::string_view(line).substr(colon + 1));
        if (name == "content-type") part.content_type = value;
        if (name != "content-disposition") continue;
        part.name = parameter_of(value, "name");
        part.filename = parameter_of(value, "filename");
    }
    in_part_ = true;
    return std::optional<Part>(std::move(part));
}

Result<std::string> FormReader::read_field(size_t limit) {
    std::string text;
    char block[4096];
    for (;;) {
        const size_t got = TRY(read(block));
        if (got == 0) return text;
        if (text.size() + got > limit) return malformed("The form fields before the file are too long.");
        text.append(block, got);
    }
}

}  // namespace millwright::s3
