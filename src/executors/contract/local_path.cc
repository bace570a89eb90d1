#include "executors/contract/local_path.h"

#include "base/strings.h"

namespace millwright::executors {
namespace {

constexpr size_t kMaxComponent = 255;
constexpr size_t kMaxPath = 4000;

Error bad_key(std::string_view path, std::string_view why) {
    return invalid_input("S3 key '" + valid_utf8(path.substr(0, 200)) +
                         "' cannot become a file name: " + std::string(why) + ".");
}

}  // namespace

std::string_view path_below_prefix(std::string_view prefix, std::string_view key) {
    const auto rest = key.substr(prefix.size());
    if (!rest.empty()) {
        if (prefix.empty() || prefix.back() == '/') return rest;
        if (rest.front() == '/') return rest.substr(1);
    }
    const auto slash = prefix.rfind('/');
    return slash == std::string_view::npos ? key : key.substr(slash + 1);
}

Result<std::string> clean_local_path(std::string_view path) {
    if (path.size() > kMaxPath) return bad_key(path, "it is too long");
    if (path.find('\0') != std::string_view::npos) return bad_key(path, "it contains a NUL");
    std::string clean;
    for (const auto component : split(path, '/')) {
        if (component.empty()) continue;
        if (component == "." || component == "..") return bad_key(path, "it contains '.' or '..' as a folder");
        if (component.size() > kMaxComponent) return bad_key(path, "a part of it is longer than 255 bytes");
        if (!clean.empty()) clean += '/';
        clean += component;
    }
    if (clean.empty()) return bad_key(path, "nothing is left of it");
    return clean;
}

Result<void> PathSet::add_file(const std::string& path) {
    if (folders_.count(path)) return bad_key(path, "another key needs a folder of that name");
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        if (files_.count(path.substr(0, slash)))
            return bad_key(path, "another key is a file where this one needs a folder");
    }
    if (!files_.insert(path).second) return bad_key(path, "two keys would become the same file");
    return {};
}

}  // namespace millwright::executors
