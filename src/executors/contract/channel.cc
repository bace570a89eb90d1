#include "executors/contract/channel.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/json.h"
#include "base/strings.h"
#include "executors/contract/local_path.h"

namespace millwright::executors {
namespace {

using object_store::ObjectStore;

constexpr size_t kListPage = 1000;
constexpr size_t kMaxKeyBytes = 1024;

Error too_many() {
    return invalid_input("A channel may have at most " + std::to_string(kMaxChannelObjects) + " objects.");
}

Result<ChannelContent> list_prefix(ObjectStore& store, const object_store::S3Uri& uri) {
    ChannelContent content;
    content.prefix_uri = "s3://" + uri.bucket + "/" + uri.key;
    object_store::ListRequest request{.prefix = uri.key, .delimiter = "", .after = "", .max_keys = kListPage};
    for (;;) {
        auto page = TRY(store.list(uri.bucket, request));
        for (auto& object : page.objects) {
            if (object.key.empty() || object.key.back() == '/') continue;  // a folder marker of some S3 browser
            auto path = TRY(clean_local_path(path_below_prefix(uri.key, object.key)));
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

Result<std::string> read_manifest(ObjectStore& store, const object_store::S3Uri& uri) {
    const auto object = TRY(store.get(uri.bucket, uri.key));
    if (object.info.size > kMaxManifestBytes) {
        return invalid_input("The manifest s3://" + uri.bucket + "/" + uri.key + " is larger than 64 MiB.");
    }
    return read_file("/proc/self/fd/" + std::to_string(object.fd.get()), kMaxManifestBytes);
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
    if (channel.source == Channel::Source::S3Prefix) return list_prefix(store, channel.uri);
    return parse_manifest(TRY(read_manifest(store, channel.uri)));
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
        auto linked = store.link_to(object.bucket, object.key, folder + "/" + object.path);
        if (!linked && linked.error().kind == ErrorKind::NotFound) {
            return not_found("The object s3://" + object.bucket + "/" + object.key + " does not exist.");
        }
        TRY(std::move(linked));
    }
    return {};
}

}  // namespace millwright::executors
