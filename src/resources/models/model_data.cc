#include "resources/models/model_data.h"

#include <vector>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::resources {
namespace {

Error no_file_name(std::string_view name) {
    return invalid_input("the entry \"" + valid_utf8(name.substr(0, 200)) + "\" is not a file name");
}

Result<void> fetch_archive(object_store::ObjectStore& objects, const object_store::S3Uri& uri, const ModelData& data,
                           const std::string& folder, const executors::ArchiveLimits& limits) {
    const auto object = TRY(objects.get(uri.bucket, uri.key));
    const Fd archive = TRY(object.descriptor());
    const auto extracted = executors::extract_archive(archive.get(), object.info.size, folder, limits);
    if (extracted || extracted.error().kind == ErrorKind::Internal) return extracted;
    return Error{extracted.error().kind,
                 "Failed to extract model data archive for container \"primary\" from URL \"" + data.uri +
                     "\". Please ensure that the object located at the URL is a valid tar.gz archive (" +
                     extracted.error().message + ").",
                 ""};
}

Result<void> fetch_prefix(object_store::ObjectStore& objects, const object_store::S3Uri& uri, const std::string& folder,
                          const executors::ArchiveLimits& limits) {
    object_store::ListRequest request;
    request.prefix = uri.key;
    uint64_t files = 0;
    for (;;) {
        const auto page = TRY(objects.list(uri.bucket, request));
        for (const object_store::ObjectInfo& object : page.objects) {
            const std::string_view name = std::string_view(object.key).substr(uri.key.size());
            if (name.empty() || (name.ends_with('/') && object.size == 0)) continue;  // "folder" keys of consoles
            if (++files > limits.max_entries)
                return Error{ErrorKind::LimitExceeded,
                             "the model has more than " + std::to_string(limits.max_entries) + " files", ""};
            if (name.ends_with('/') || name.find("//") != name.npos) return no_file_name(name);
            const std::vector<std::string> parts = TRY(executors::clean_archive_path(name));
            const std::string path = join(parts, "/");
            if (path != name) return no_file_name(name);
            TRY(make_directories(folder + "/" + path.substr(0, path.rfind('/') == path.npos ? 0 : path.rfind('/'))));
            TRY(objects.link_to(uri.bucket, object.key, folder + "/" + path));
        }
        if (!page.truncated) break;
        request.after = page.last;
    }
    if (files == 0) return not_found("no objects");
    return {};
}

Result<void> fetch(object_store::ObjectStore& objects, const ModelData& data, const std::string& folder,
                   const executors::ArchiveLimits& limits) {
    const auto uri = TRY(object_store::parse_s3_uri(data.uri));
    switch (data.form) {
        case ModelData::Form::TarGzip:
            return fetch_archive(objects, uri, data, folder, limits);
        case ModelData::Form::Prefix:
            return fetch_prefix(objects, uri, folder, limits);
        case ModelData::Form::File:
        case ModelData::Form::None:
            break;
    }
    const std::vector<std::string> name = TRY(executors::clean_archive_path(uri.key.substr(uri.key.rfind('/') + 1)));
    if (name.size() != 1) return no_file_name(uri.key);
    return objects.link_to(uri.bucket, uri.key, folder + "/" + name[0]);
}

}  // namespace

Result<void> fetch_model_data(object_store::ObjectStore& objects, const ModelData& data, const std::string& folder,
                              const executors::ArchiveLimits& limits) {
    TRY(make_directories(folder));
    if (data.form == ModelData::Form::None) return {};
    auto fetched = fetch(objects, data, folder, limits);
    if (fetched) return fetched;
    if (fetched.error().kind == ErrorKind::NotFound)
        return not_found("Failed to download model data for container \"primary\" from URL: \"" + data.uri +
                         "\". Please ensure that there is an object located at the URL.");
    return fetched;
}

}  // namespace millwright::resources
