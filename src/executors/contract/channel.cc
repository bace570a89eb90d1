#include "executors/contract/channel.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "base/json.h"
#include "base/strings.h"
#include "executors/contract/feed_spec.h"
#include "executors/contract/local_path.h"
#include "executors/contract/shuffle.h"

namespace millwright::executors {
namespace {

using object_store::ObjectStore;

constexpr size_t kListPage = 1000;
constexpr size_t kMaxKeyBytes = 1024;

Error too_many() {
    return invalid_input("A channel may have at most " + std::to_string(kMaxChannelObjects) + " objects.");
}

std::string uri_of(const std::string& bucket, const std::string& key) { return "s3://" + bucket + "/" + key; }

enum class Paths { Wanted, None };

Result<ChannelContent> list_prefix(ObjectStore& store, const object_store::S3Uri& uri, Paths paths) {
    ChannelContent content;
    content.prefix_uri = uri_of(uri.bucket, uri.key);
    object_store::ListRequest request{.prefix = uri.key, .delimiter = "", .after = "", .max_keys = kListPage};
    for (;;) {
        auto page = TRY(store.list(uri.bucket, request));
        for (auto& object : page.objects) {
            if (object.key.empty() || object.key.back() == '/') continue;  // a folder marker of some S3 browser
            std::string path;
            if (paths == Paths::Wanted) path = TRY(clean_local_path(path_below_prefix(uri.key, object.key)));
            content.objects.push_back({uri.bucket, std::move(object.key), std::move(path)});
        }
        if (content.objects.size() > kMaxChannelObjects) return too_many();
        if (!page.truncated) break;
        request.after = page.last;
    }
    if (content.objects.empty())
        return invalid_input("No S3 objects found under S3 URL \"" + content.prefix_uri + "\".");
    return content;
}

// The view of a folder: unlike the other modes a prefix that ends within a name selects nothing.
Result<ChannelContent> list_folder(ObjectStore& store, object_store::S3Uri uri) {
    const auto asked = uri_of(uri.bucket, uri.key);
    const bool whole = uri.key.empty() || uri.key.back() == '/';
    if (!whole) uri.key += '/';
    auto content = list_prefix(store, uri, Paths::Wanted);
    if (content || whole || content.error().kind != ErrorKind::InvalidInput) return content;
    uri.key.pop_back();
    const auto page = TRY(store.list(uri.bucket, {.prefix = uri.key, .delimiter = "", .after = "", .max_keys = 1}));
    if (page.objects.empty()) return content;
    return invalid_input("In FastFile mode the S3 URL must be a whole folder: there are no objects under \"" + asked +
                         "/\".");
}

Result<std::string> read_manifest(ObjectStore& store, const object_store::S3Uri& uri) {
    const auto object = TRY(store.get(uri.bucket, uri.key));
    if (object.info.size > kMaxManifestBytes) {
        return invalid_input("The manifest " + uri_of(uri.bucket, uri.key) + " is larger than 64 MiB.");
    }
    return object.read_all(kMaxManifestBytes);
}

Result<void> make_parents(const std::string& folder, const std::string& path, PathSet& known) {
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const auto parent = path.substr(0, slash);
        if (!known.add_folder(parent)) continue;
        if (mkdir((folder + "/" + parent).c_str(), 0755) != 0 && errno != EEXIST) {
            return error_from_errno("cannot make a folder for the channel's files");
        }
    }
    return {};
}

Result<void> link_object(ObjectStore& store, const ChannelObject& object, const std::string& path) {
    auto linked = store.link_to(object.bucket, object.key, path);
    if (linked || linked.error().kind != ErrorKind::NotFound) return linked;
    return not_found("The object " + uri_of(object.bucket, object.key) + " does not exist.");
}

Result<ChannelContent> list_objects(ObjectStore& store, const Channel& channel) {
    const bool pipe = channel.mode == Channel::Mode::Pipe;
    if (channel.source == Channel::Source::ManifestFile) return parse_manifest(TRY(read_manifest(store, channel.uri)));
    if (channel.mode == Channel::Mode::FastFile) return list_folder(store, channel.uri);
    return list_prefix(store, channel.uri, pipe ? Paths::None : Paths::Wanted);
}

void shuffle(std::vector<ChannelObject>& objects, uint64_t seed) {
    std::vector<ChannelObject> shuffled;
    shuffled.reserve(objects.size());
    for (size_t i = 0; i < objects.size(); ++i)
        shuffled.push_back(std::move(objects[shuffled_position(i, objects.size(), seed, 0)]));
    objects = std::move(shuffled);
}

}  // namespace

Result<ChannelContent> parse_manifest(std::string_view text) {
    const auto document = Json::parse(text);
    const std::string form = "A manifest is a JSON array: [{\"prefix\": \"s3://…\"}, \"relative key\", …].";
    if (!document || !document->is_array() || document->size() == 0) return invalid_input(form);
    const auto& prefix = (*document)[size_t{0}]["prefix"];
    if (!prefix.is_string()) return invalid_input(form);
    const auto base = TRY(object_store::parse_s3_uri(prefix.as_string()));
    if (document->size() == 1) return invalid_input("The manifest lists no objects.");
    if (document->size() - 1 > kMaxChannelObjects) return too_many();

    ChannelContent content;
    content.prefix_uri = prefix.as_string();
    for (size_t i = 1; i < document->size(); ++i) {
        const auto& entry = (*document)[i];
        if (!entry.is_string()) return invalid_input(form);
        const auto& relative = entry.as_string();
        if (relative.starts_with('/')) {
            return invalid_input("The manifest entry '" + relative.substr(0, 200) + "' is not a relative key.");
        }
        if (base.key.size() + relative.size() > kMaxKeyBytes)
            return invalid_input("A key of the manifest is longer than 1024 bytes.");
        auto path = TRY(clean_local_path(relative));
        content.objects.push_back({base.bucket, base.key + relative, std::move(path)});
    }
    return content;
}

Result<ChannelContent> resolve_channel(ObjectStore& store, const Channel& channel) {
    const bool pipe = channel.mode == Channel::Mode::Pipe;
    if (channel.source == Channel::Source::AugmentedManifest) {
        const auto text = TRY(read_manifest(store, channel.uri));
        auto content = TRY(parse_augmented_manifest(text, channel.attribute_names));
        content.prefix_uri = uri_of(channel.uri.bucket, channel.uri.key);
        return content;
    }
    auto content = TRY(list_objects(store, channel));
    if (channel.shuffle_seed && !pipe) shuffle(content.objects, *channel.shuffle_seed);
    return content;
}

Result<std::string> resolve_directory(const Channel& channel) {
    const auto refused = [&](const std::string& why) {
        return invalid_input("The DirectoryPath '" + valid_utf8(channel.directory.substr(0, 200)) + "' of channel '" +
                             channel.name + "' " + why + ".");
    };
    const auto root = open_file(channel.file_system, O_PATH | O_DIRECTORY);
    if (!root)
        return Error{ErrorKind::Internal, "the file system of channel '" + channel.name + "' is not there",
                     root.error().detail};
    // As in a job whose root is the file system: ".." and absolute links stay inside.
    open_how how{};
    how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    const Fd folder(static_cast<int>(syscall(
        SYS_openat2, root->get(), channel.directory.empty() ? "." : channel.directory.c_str(), &how, sizeof how)));
    if (!folder && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV || errno == EACCES))
        return refused(errno == EACCES ? "may not be read" : "is not a folder of the file system");
    if (!folder) return error_from_errno("cannot open the file system of channel '" + channel.name + "'");
    std::string path(PATH_MAX, '\0');
    const auto length = readlink(("/proc/self/fd/" + std::to_string(folder.get())).c_str(), path.data(), path.size());
    if (length <= 0 || static_cast<size_t>(length) == path.size()) return refused("is too long");
    path.resize(static_cast<size_t>(length));
    return path;
}

std::vector<size_t> shard_of(size_t objects, Channel::Distribution distribution, size_t rank, size_t hosts) {
    const bool sharded = distribution == Channel::Distribution::ShardedByS3Key;
    const size_t first = sharded ? rank : 0;
    const size_t step = sharded ? hosts : 1;
    std::vector<size_t> chosen;
    for (size_t i = first; i < objects; i += step) chosen.push_back(i);
    return chosen;
}

Result<void> link_channel(ObjectStore& store, const ChannelContent& content, const std::vector<size_t>& chosen,
                          const std::string& folder, const std::atomic<bool>& stop) {
    TRY(make_directories(folder));
    PathSet known;
    for (const size_t position : chosen) {
        if (stop.load(std::memory_order_relaxed)) return Error{ErrorKind::Conflict, "stopped while staging", ""};
        const auto& object = content.objects[position];
        TRY(known.add_file(object.path));
        TRY(make_parents(folder, object.path, known));
        TRY(link_object(store, object, folder + "/" + object.path));
    }
    return {};
}

Result<void> link_feed(ObjectStore& store, const ChannelContent& content, const std::string& folder,
                       const std::atomic<bool>& stop) {
    TRY(make_directories(folder));
    std::string names, made;
    for (size_t i = 0; i < content.objects.size(); ++i) {
        if (stop.load(std::memory_order_relaxed)) return Error{ErrorKind::Conflict, "stopped while staging", ""};
        const auto& object = content.objects[i];
        const auto path = feed_object_path(folder, i);
        auto parent = path.substr(0, path.rfind('/'));
        if (parent != made) {
            TRY(make_directories(parent));
            made = std::move(parent);
        }
        TRY(link_object(store, object, path));
        names += uri_of(object.bucket, object.key) + '\0';
    }
    TRY(write_file(feed_names_path(folder), names, 0600));
    return write_file(feed_items_path(folder), content.items, 0600);
}

}  // namespace millwright::executors
