#include "resources/environments/requirements.h"

#include <vector>

#include "base/strings.h"
#include "resources/environments/environments.h"

namespace millwright::resources {
namespace {

// As pip cuts lines: '#' begins a comment at the start of a line or after white space.
std::string_view without_comment(std::string_view line) {
    for (size_t at = line.find('#'); at != line.npos; at = line.find('#', at + 1))
        if (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') return line.substr(0, at);
    return line;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    std::string continued;
    for (std::string_view line : split(text, '\n')) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        line = without_comment(line);
        if (line.ends_with('\\')) {
            continued += line.substr(0, line.size() - 1);
            continue;
        }
        continued += line;
        if (const std::string_view whole = trim(continued); !whole.empty()) lines.emplace_back(whole);
        continued.clear();
    }
    if (const std::string_view rest = trim(continued); !rest.empty()) lines.emplace_back(rest);
    return lines;
}

bool begins_with_option(std::string_view line, std::string_view option) {
    if (!line.starts_with(option)) return false;
    // "-r file", "-rfile", "--requirement=file", "--requirement file"
    if (!option.starts_with("--")) return true;
    return line.size() == option.size() || line[option.size()] == ' ' || line[option.size()] == '=';
}

bool is_remote(std::string_view address) {
    for (const std::string_view scheme : {"https://", "http://", "git+https://", "git+http://", "hg+https://"})
        if (address.starts_with(scheme)) return true;
    return false;
}

// The value of "--find-links=x" and "-f x".
std::string_view value_of(std::string_view line) {
    const size_t at = line.find_first_of(" =");
    return at == line.npos ? "" : trim(line.substr(at + 1));
}

bool needs_the_code(std::string_view line) {
    if (line.find("${") != line.npos) return true;  // the environment of the job decides
    for (const char* option : {"-e", "-r", "-c", "--editable", "--requirement", "--constraint"})
        if (begins_with_option(line, option)) return true;
    for (const char* option : {"-f", "--find-links", "-i", "--index-url", "--extra-index-url"})
        if (begins_with_option(line, option)) return !is_remote(value_of(line));
    if (line.starts_with("-")) return false;
    if (is_remote(line)) return false;
    if (const size_t at = line.find('@'); at != line.npos && line.find("://") != line.npos)
        return !is_remote(trim(line.substr(at + 1)));
    const std::string_view name = line.substr(0, line.find_first_of(" ;[<>=!~@"));
    return name.find('/') != name.npos || name.starts_with(".") || name.ends_with(".whl") || name.ends_with(".gz") ||
           name.ends_with(".zip") || name.find(':') != name.npos;
}

}  // namespace

std::string normalised_requirements(std::string_view text) {
    std::string out;
    for (const std::string& line : lines_of(text)) out += line + "\n";
    return out;
}

std::string line_bound_to_the_code(std::string_view text) {
    for (const std::string& line : lines_of(text))
        if (needs_the_code(line)) return line;
    return "";
}

bool can_be_shared(std::string_view requirements) { return line_bound_to_the_code(requirements).empty(); }

}  // namespace millwright::resources
