#include "programs/launcher/image_user.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>
#include <optional>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::launcher {
namespace {

constexpr size_t kMaxBytes = size_t{4} << 20;

// The file is the image's: it may be a device, a FIFO or missing.
std::string read_inside(const char* path) {
    const Fd file(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file || fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
    std::string text(std::min(static_cast<size_t>(status.st_size), kMaxBytes), '\0');
    size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = read(file.get(), text.data() + size, text.size() - size);
        if (got <= 0) break;
        size += static_cast<size_t>(got);
    }
    text.resize(size);
    return text;
}

std::optional<uint32_t> to_id(std::string_view text) {
    const auto number = parse_int(text);
    // The largest number means "as it is" to the kernel.
    if (!number || *number < 0 || *number >= std::numeric_limits<uint32_t>::max()) return std::nullopt;
    return static_cast<uint32_t>(*number);
}

using Fields = std::vector<std::string_view>;

// Lines of passwd and group: fields between colons, the name first and the number third.
std::vector<Fields> entries_of(const std::string& text, size_t fields) {
    std::vector<Fields> entries;
    for (const std::string_view line : split(text, '\n')) {
        Fields entry;
        for (const std::string_view field : split(line, ':')) entry.push_back(field);
        if (entry.size() >= fields && !entry[0].empty() && to_id(entry[2])) entries.push_back(std::move(entry));
    }
    return entries;
}

const Fields* find(const std::vector<Fields>& entries, std::string_view wanted) {
    const auto number = to_id(wanted);
    for (const Fields& entry : entries)
        if (entry[0] == wanted || (number && to_id(entry[2]) == number)) return &entry;
    return nullptr;
}

bool is_member(const Fields& group, std::string_view name) {
    const auto members = split(group[3], ',');
    return std::find(members.begin(), members.end(), name) != members.end();
}

}  // namespace

Result<ImageUser> find_image_user(const std::string& text) {
    const size_t border = text.find(':');
    const std::string user = text.substr(0, border);
    const std::string group = border == std::string::npos ? "" : text.substr(border + 1);
    const std::string users = read_inside("/etc/passwd"), groups = read_inside("/etc/group");
    const std::vector<Fields> known_users = entries_of(users, 6), known_groups = entries_of(groups, 4);
    ImageUser found;
    const Fields* entry = find(known_users, user.empty() ? "0" : user);
    const auto number = to_id(user);
    if (!entry && !number && !user.empty()) return not_found("the image has no user " + user + ", whom it names");
    if (entry) {
        found.user = *to_id((*entry)[2]);
        found.group = to_id((*entry)[3]).value_or(0);
        if ((*entry)[5].starts_with("/")) found.home = (*entry)[5];
    } else {
        found.user = number.value_or(0);
    }
    if (!group.empty()) {
        const Fields* named = find(known_groups, group);
        const auto id = named ? to_id((*named)[2]) : to_id(group);
        if (!id) return not_found("the image has no group " + group + ", which it names");
        found.group = *id;
    } else if (entry) {
        for (const Fields& one : known_groups)
            if (is_member(one, (*entry)[0])) found.groups.push_back(*to_id(one[2]));
    }
    return found;
}

void own_output(const ImageUser& user, int descriptor) {
    static_cast<void>(fchown(descriptor, user.user, user.group) == 0);
}

Result<void> open_contract_to_user() {
    char root[] = "/opt/ml";
    char* roots[] = {root, nullptr};
    const std::unique_ptr<FTS, int (*)(FTS*)> tree(fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, nullptr), &fts_close);
    if (!tree) return error_from_errno("cannot read /opt/ml");
    while (FTSENT* entry = fts_read(tree.get())) {
        if (entry->fts_info != FTS_D || entry->fts_level == 0) continue;
        if (entry->fts_level == 1 && std::string_view(entry->fts_name) == "input") {
            fts_set(tree.get(), entry, FTS_SKIP);
            continue;
        }
        // What is mounted read-only stays so.
        if (chmod(entry->fts_accpath, 0777) != 0 && errno != EROFS && errno != EPERM)
            return error_from_errno(std::string("cannot open ") + entry->fts_path);
    }
    return {};
}

}  // namespace millwright::launcher
