#include "resources/prebuilt_images/portable_index.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "base/encoding.h"
#include "base/files.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxListing = size_t{16} << 20;

// "Typing_Extensions" -> "typing-extensions", as indexes spell folders.
std::string normalised(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool divider = c == '-' || c == '_' || c == '.';
        if (divider && !out.empty() && out.back() == '-') continue;
        out += divider ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    return out;
}

// Name -> version. A requirement without one is pinned elsewhere in the plan.
std::map<std::string, std::string> pinned(const PackagePlan& plan) {
    std::map<std::string, std::string> versions;
    const std::string text =
        replace_all(join({plan.packages, plan.pins, plan.alone, plan.build_tools}, "\n"), " ", "\n");
    for (const std::string_view line : split(text, '\n')) {
        const size_t equals = line.find("==");
        if (equals == line.npos) continue;
        const std::string_view name = line.substr(0, std::min(equals, line.find('[')));
        versions[normalised(name)] = line.substr(equals + 2);
    }
    return versions;
}

// "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl" or "chainer-7.8.1.tar.gz" of the pin NAME==VERSION.
bool is_of_pin(std::string_view file, std::string_view name, std::string_view version) {
    const bool wheel = file.ends_with(".whl");
    if (!wheel && !file.ends_with(".tar.gz") && !file.ends_with(".zip")) return false;
    for (size_t dash = file.find('-'); dash != file.npos; dash = file.find('-', dash + 1)) {
        if (normalised(file.substr(0, dash)) != name) continue;
        const std::string rest = replace_all(file.substr(dash + 1), "%2B", "+");
        if (!rest.starts_with(version)) return false;
        const std::string_view behind = std::string_view(rest).substr(version.size());
        return behind.starts_with('+') || behind.starts_with(wheel ? "-" : ".tar.gz") || behind == ".zip";
    }
    return false;
}

// The path behind "/a", "file:///a" and "file://localhost/a"; empty for what is not of this machine.
std::string local_path(std::string_view address) {
    for (const std::string_view start : {"file://localhost/", "file:///"})
        if (address.starts_with(start)) return "/" + std::string(address.substr(start.size()));
    return address.starts_with("/") ? std::string(address) : "";
}

// The files that a page of an index links to.
std::vector<std::string> linked_files(const fs::path& page) {
    std::vector<std::string> files;
    const auto text = read_file(page.string(), kMaxListing);
    constexpr std::string_view kLink = "href=\"";
    for (size_t at = text ? text->find(kLink) : std::string::npos; at != std::string::npos;) {
        const size_t begin = at + kLink.size(), end = text->find_first_of("\"#", begin);
        if (end == std::string::npos) break;
        const std::string target = text->substr(begin, end - begin);
        if (target.find("://") == std::string::npos) files.push_back((page.parent_path() / target).lexically_normal());
        at = text->find(kLink, end);
    }
    return files;
}

std::vector<std::string> files_in(const fs::path& folder) {
    std::vector<std::string> files;
    std::error_code failed;
    for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
        files.push_back(entry->path().string());
    return files;
}

class Collector {
  public:
    Collector(const PackagePlan& plan, std::string_view folder) : pins_(pinned(plan)), folder_(folder) {}

    // A folder of packages, or an index with a folder per name.
    void add_packages(const std::string& path) {
        const auto here = files_in(path);
        for (const auto& [name, version] : pins_) {
            for (const std::string& file : here) add_if_pinned(file, name, version);
            const fs::path own = fs::path(path) / name;
            for (const std::string& file : files_in(own)) add_if_pinned(file, name, version);
            for (const std::string& file : linked_files(own / "index.html")) add_if_pinned(file, name, version);
        }
    }

    // Returns where it will be.
    std::string add_file(const std::string& path) {
        const std::string name =
            "files/" + std::to_string(result_.files.size()) + "-" + fs::path(path).filename().string();
        result_.files.push_back({path, name});
        return folder_ + "/" + name;
    }

    PortableIndex& result() { return result_; }
    bool has_packages() const { return !packages_.empty(); }

  private:
    void add_if_pinned(const std::string& file, std::string_view name, std::string_view version) {
        const std::string leaf = replace_all(fs::path(file).filename().string(), "%2B", "+");
        if (!is_of_pin(leaf, name, version) || !file_exists(file) || !packages_.insert(leaf).second) return;
        result_.files.push_back({file, "packages/" + leaf});
    }

    const std::map<std::string, std::string> pins_;
    const std::string folder_;
    std::set<std::string> packages_;
    PortableIndex result_;
};

std::string key_of(std::string_view variable) { return replace_all(to_lower(variable.substr(4)), "_", "-"); }

}  // namespace

PortableIndex portable_index(const PackageIndex& index, const PackagePlan& plan, std::string_view folder) {
    Collector collector(plan, folder);
    std::map<std::string, std::string> settings;
    for (const auto& [variable, value] : index.variables) {
        const std::string key = key_of(variable);
        std::vector<std::string> kept;
        for (const std::string_view word : split(value, ' ')) {
            const std::string path = local_path(trim(word));
            std::error_code failed;
            if (path.empty() || path == kCertificateInside)
                kept.emplace_back(word);
            else if (fs::is_directory(path, failed))
                collector.add_packages(path);
            else if (file_exists(path))
                kept.push_back(collector.add_file(path));
        }
        const std::string text = join(kept, " ");
        if (!trim(text).empty())
            settings[key] = text;
        else if (key == "index-url")
            settings["no-index"] = "true";
    }
    if (collector.has_packages()) {
        std::string& links = settings["find-links"];
        links += (links.empty() ? "" : " ") + std::string(folder) + "/packages";
    }
    if (!index.certificate.empty()) collector.result().files.push_back({index.certificate, "certificates.pem"});
    PortableIndex result = std::move(collector.result());
    result.configuration = "[global]\n";
    for (const auto& [key, value] : settings) result.configuration += key + " = " + value + "\n";
    return result;
}

}  // namespace millwright::resources
