// Test helper: layers and images made in memory, and a source that has them.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/random.h"
#include "oci/image.h"
#include "oci/image_source.h"

namespace millwright::executors {

struct TarEntry {
    std::string name;
    char kind = 'f';      // f: file, d: folder, l: symbolic link, h: hard link, p: FIFO, c: device
    std::string content;  // of files; target of links
    mode_t mode = 0;      // 0: 0644, folders 0755
    int64_t modified = 1'600'000'000;
    int64_t user = 0, group = 0;
};

enum class Packing { None, Gzip, Zstd };

inline std::string make_tar(const std::vector<TarEntry>& entries, Packing packing = Packing::None) {
    const std::unique_ptr<archive, decltype(&archive_write_free)> writer(archive_write_new(), &archive_write_free);
    archive_write_set_format_pax_restricted(writer.get());
    if (packing == Packing::Gzip) archive_write_add_filter_gzip(writer.get());
    if (packing == Packing::Zstd) archive_write_add_filter_zstd(writer.get());
    size_t content = 0;
    for (const TarEntry& entry : entries) content += entry.content.size();
    std::string out((size_t{1} << 16) + entries.size() * 4096 + content * 2, '\0');
    size_t used = 0;
    EXPECT_EQ(archive_write_open_memory(writer.get(), out.data(), out.size(), &used), ARCHIVE_OK);
    for (const TarEntry& entry : entries) {
        const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> header(archive_entry_new(),
                                                                                   &archive_entry_free);
        archive_entry_set_pathname(header.get(), entry.name.c_str());
        archive_entry_set_perm(header.get(), entry.mode != 0 ? entry.mode : entry.kind == 'd' ? 0755 : 0644);
        archive_entry_set_mtime(header.get(), entry.modified, 0);
        archive_entry_set_uid(header.get(), entry.user);
        archive_entry_set_gid(header.get(), entry.group);
        const mode_t types[] = {AE_IFREG, AE_IFDIR, AE_IFLNK, AE_IFREG, AE_IFIFO, AE_IFCHR};
        archive_entry_set_filetype(header.get(), types[std::string_view("fdlhpc").find(entry.kind)]);
        if (entry.kind == 'l') archive_entry_set_symlink(header.get(), entry.content.c_str());
        if (entry.kind == 'h') archive_entry_set_hardlink(header.get(), entry.content.c_str());
        if (entry.kind == 'c') archive_entry_set_rdev(header.get(), 0x0801);
        archive_entry_set_size(header.get(), entry.kind == 'f' ? static_cast<int64_t>(entry.content.size()) : 0);
        EXPECT_GE(archive_write_header(writer.get(), header.get()), ARCHIVE_WARN) << entry.name;
        if (entry.kind == 'f') archive_write_data(writer.get(), entry.content.data(), entry.content.size());
    }
    EXPECT_EQ(archive_write_close(writer.get()), ARCHIVE_OK);
    out.resize(used);
    return out;
}

inline std::string digest_of(const std::string& bytes) { return "sha256:" + sha256_hex(bytes); }

class MemoryReader : public oci::BlobReader {
  public:
    explicit MemoryReader(std::string bytes) : bytes_(std::move(bytes)) {}
    uint64_t size() const override { return bytes_.size(); }
    Result<size_t> read(char* buffer, size_t size) override {
        const size_t count = std::min({size, bytes_.size() - at_, size_t{10'000}});
        std::memcpy(buffer, bytes_.data() + at_, count);
        at_ += count;
        return count;
    }

  private:
    std::string bytes_;
    size_t at_ = 0;
};

// Images by whole reference. `opened` counts the blobs that were asked for.
class MemorySource : public oci::ImageSource {
  public:
    Result<oci::FoundManifest> find_manifest(const oci::Reference& reference) override {
        std::string digest = reference.digest;
        if (const auto name = names.find(oci::to_string(reference)); digest.empty() && name != names.end())
            digest = name->second;
        const auto found = blobs.find(digest);
        if (found == blobs.end()) return not_found("no " + oci::to_string(reference));
        const auto json = Json::parse(found->second);
        return oci::FoundManifest{digest, (*json)["mediaType"].string_or(""), found->second};
    }
    Result<std::unique_ptr<oci::BlobReader>> open_blob(const oci::Reference&, std::string_view digest) override {
        {
            const MutexLock lock(mutex_);
            ++opened[std::string(digest)];
        }
        const auto found = blobs.find(std::string(digest));
        if (found == blobs.end()) return not_found("no blob " + std::string(digest));
        return std::unique_ptr<oci::BlobReader>(std::make_unique<MemoryReader>(found->second));
    }

    Result<bool> has_blob(std::string_view digest) override { return blobs.contains(std::string(digest)); }

    std::string add(const std::string& bytes) {
        blobs[digest_of(bytes)] = bytes;
        return digest_of(bytes);
    }
    static Json descriptor(const std::string& media_type, const std::string& bytes) {
        return Json::object(
            {{"mediaType", media_type}, {"digest", digest_of(bytes)}, {"size", static_cast<uint64_t>(bytes.size())}});
    }
    // Layers as tars without compression; `packed` as they are stored. `config` are members of the configuration.
    std::string add_image(const std::string& name, const std::vector<std::string>& layers,
                          const std::vector<std::string>& packed, Json config = Json::object()) {
        Json diff_ids = Json::array(), descriptors = Json::array();
        for (const std::string& layer : layers) diff_ids.push_back(digest_of(layer));
        for (const std::string& layer : packed) {
            add(layer);
            descriptors.push_back(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer));
        }
        if (!config.has("architecture")) config.set("architecture", oci::this_platform().architecture);
        if (!config.has("os")) config.set("os", "linux");
        config.set("rootfs", Json::object({{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}));
        const std::string text = config.dump();
        add(text);
        const Json manifest = Json::object({{"schemaVersion", 2},
                                            {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                                            {"config", descriptor("application/vnd.oci.image.config.v1+json", text)},
                                            {"layers", std::move(descriptors)}});
        const std::string digest = add(manifest.dump());
        if (!name.empty()) names[name] = digest;
        return digest;
    }

    std::map<std::string, std::string> names, blobs;
    std::map<std::string, int> opened;  // read it when no call is under way

  private:
    Mutex mutex_;
};

}  // namespace millwright::executors
