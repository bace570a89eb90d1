#include "net/http.h"

#include "base/encoding.h"
#include "base/strings.h"

namespace millwright::net {

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const auto& [key, value] : fields_)
        if (equals_ignoring_case(key, name)) return value;
    return std::nullopt;
}

std::string Headers::get(std::string_view name, std::string_view otherwise) const {
    return std::string(find(name).value_or(otherwise));
}

void Headers::add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }

void Headers::set(std::string_view name, std::string value) {
    erase(name);
    add(std::string(name), std::move(value));
}

void Headers::erase(std::string_view name) {
    std::erase_if(fields_, [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

Result<std::string> read_all(BodyReader& body, size_t limit) {
    const Error too_large{ErrorKind::LimitExceeded, "the body is larger than " + std::to_string(limit) + " bytes", ""};
    const auto length = body.length();
    if (length && *length > limit) return too_large;
    std::string content;
    size_t filled = 0;
    for (;;) {
        if (filled == content.size()) {
            // A known length needs one byte more than the body, so that the end is seen without growing
            // again.
            const size_t wanted =
                filled == 0 && length ? static_cast<size_t>(*length) + 1 : std::max<size_t>(4096, filled * 2);
            content.resize(std::min(wanted, limit + 1));
        }
        const size_t got = TRY(body.read({content.data() + filled, content.size() - filled}));
        filled += got;
        if (filled > limit) return too_large;
        if (got == 0) break;
    }
    content.resize(filled);
    return content;
}

std::string_view Request::raw_path() const {
    const std::string_view text = target;
    return text.substr(0, text.find('?'));
}

std::string_view Request::raw_query() const {
    const size_t mark = target.find('?');
    return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string_view piece : split(query, '&')) {
        if (piece.empty()) continue;
        const size_t mark = piece.find('=');
        const std::string_view value = mark == std::string_view::npos ? "" : piece.substr(mark + 1);
        pairs.emplace_back(percent_decode(piece.substr(0, mark), Plus::Space), percent_decode(value, Plus::Space));
    }
    return pairs;
}

}  // namespace millwright::net
