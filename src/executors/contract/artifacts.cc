#include "executors/contract/artifacts.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <vector>

#include "executors/contract/job_files.h"
#include "executors/contract/training_contract.h"
#include "executors/contract/upload.h"

namespace millwright::executors {
namespace {

using object_store::ObjectStore;

// Model files are mostly numbers; higher levels cost time and save little.
constexpr const char* kCompressionLevel = "3";
constexpr size_t kBlock = 256 * 1024;
constexpr uint64_t kLargeFile = uint64_t{16} << 20;  // smaller ones are packed with their holes

struct HostFile {
    JobFile file;
    size_t host = 0;
};

// The folders of all hosts, and the union of what is in them, by path.
struct Union {
    std::vector<Fd> folders;  // by host; not open where the job removed the folder
    std::map<std::string, HostFile> files;
};

// "a" and "a/b" of two hosts may differ in kind; an entry is left out when a parent of it is not a folder.
bool parents_are_folders(const Union& all, const std::string& path) {
    for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const auto parent = all.files.find(path.substr(0, slash));
        if (parent == all.files.end() || parent->second.file.kind != JobFile::Kind::Folder) return false;
    }
    return true;
}

Result<Union> collect(const ArtifactPaths& paths, const std::string& inside, ArtifactForm form) {
    Union all;
    for (int host = 0; host < paths.hosts; ++host) {
        auto folder = open_folder_below(paths.folder, algo_name(host) + "/ml/" + inside);
        all.folders.emplace_back();
        if (!folder) {
            if (folder.error().kind == ErrorKind::NotFound) continue;
            return folder.error();
        }
        all.folders.back() = std::move(*folder);
        auto files = list_job_files(all.folders.back().get());
        if (!files) {
            if (files.error().kind == ErrorKind::LimitExceeded || files.error().kind == ErrorKind::Denied) {
                return invalid_input("/opt/ml/" + inside + " cannot be uploaded: " + files.error().message + ".");
            }
            return files.error();
        }
        if (form == ArtifactForm::Files) {
            if (const auto fit = check_holes(all.folders.back().get(), *files); !fit)
                return invalid_input("/opt/ml/" + inside + " cannot be uploaded: " + fit.error().message + ".");
        }
        for (auto& file : *files) {
            auto path = file.path;
            all.files.emplace(std::move(path), HostFile{std::move(file), static_cast<size_t>(host)});
        }
    }
    std::erase_if(all.files, [&](const auto& entry) { return !parents_are_folders(all, entry.first); });
    return all;
}

Result<Fd> open_for_upload(const Union& all, const HostFile& entry, const std::string& inside) {
    auto fd = open_job_file(all.folders[entry.host].get(), entry.file.path);
    if (fd) return fd;
    return invalid_input("/opt/ml/" + inside + "/" + entry.file.path + " cannot be read.");
}

struct FreeArchive {
    void operator()(archive* writer) const { archive_write_free(writer); }
};
struct FreeEntry {
    void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};

Error archive_error(archive* writer) {
    // A full disk is worth waiting for; everything else is ours.
    const bool full = archive_errno(writer) == ENOSPC || archive_errno(writer) == EDQUOT;
    const char* text = archive_error_string(writer);
    return {full ? ErrorKind::LimitExceeded : ErrorKind::Internal, "cannot write the archive", text ? text : ""};
}

// A file of terabytes that is one hole costs nothing to make and must cost nothing to pack.
bool is_sparse(const JobFile& file) {
    return file.kind == JobFile::Kind::Regular && file.size >= kLargeFile && file.stored < file.size / 2;
}

Result<void> write_bytes(archive* writer, int fd, const FileExtent& extent) {
    std::array<char, kBlock> block;
    for (uint64_t at = extent.begin; at < extent.end;) {
        const auto wanted = static_cast<size_t>(std::min<uint64_t>(extent.end - at, kBlock));
        const auto count = pread(fd, block.data(), wanted, static_cast<off_t>(at));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return error_from_errno("a file of the job became shorter while it was packed");
        if (archive_write_data(writer, block.data(), static_cast<size_t>(count)) != count) return archive_error(writer);
        at += static_cast<uint64_t>(count);
    }
    return {};
}

// The format knows the holes and drops what is passed for them.
Result<void> write_hole(archive* writer, uint64_t size) {
    static const std::array<char, kBlock> kZeros{};
    for (uint64_t left = size; left > 0;) {
        const auto count = static_cast<size_t>(std::min<uint64_t>(left, kBlock));
        if (archive_write_data(writer, kZeros.data(), count) != static_cast<ssize_t>(count))
            return archive_error(writer);
        left -= count;
    }
    return {};
}

Result<void> write_content(archive* writer, int fd, uint64_t size, const std::vector<FileExtent>& extents) {
    uint64_t at = 0;
    for (const auto& extent : extents) {
        TRY(write_hole(writer, extent.begin - at));
        TRY(write_bytes(writer, fd, extent));
        at = extent.end;
    }
    return write_hole(writer, size - at);
}

Result<void> write_entry(archive* writer, const Union& all, const HostFile& found, const std::string& inside) {
    const auto& file = found.file;
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), file.path.c_str());
    archive_entry_set_perm(entry.get(), file.mode);
    archive_entry_set_mtime(entry.get(), file.modified, 0);
    archive_entry_set_uname(entry.get(), "root");
    archive_entry_set_gname(entry.get(), "root");
    Fd content;
    std::vector<FileExtent> extents{{0, file.size}};
    switch (file.kind) {
        case JobFile::Kind::Folder:
            archive_entry_set_filetype(entry.get(), AE_IFDIR);
            break;
        case JobFile::Kind::Link:
            archive_entry_set_filetype(entry.get(), AE_IFLNK);
            archive_entry_set_symlink(entry.get(), file.target.c_str());
            break;
        case JobFile::Kind::Regular:
            archive_entry_set_filetype(entry.get(), AE_IFREG);
            archive_entry_set_size(entry.get(), static_cast<int64_t>(file.size));
            content = TRY(open_for_upload(all, found, inside));
            if (!is_sparse(file)) break;
            extents = extents_of(content.get(), file.size);
            for (const auto& [begin, end] : extents)
                archive_entry_sparse_add_entry(entry.get(), static_cast<int64_t>(begin),
                                               static_cast<int64_t>(end - begin));
            // The format finds no hole where nothing is stored at all.
            if (extents.empty()) archive_entry_sparse_add_entry(entry.get(), static_cast<int64_t>(file.size), 0);
            break;
    }
    if (archive_write_header(writer, entry.get()) < ARCHIVE_WARN) return archive_error(writer);
    if (!content) return {};
    return write_content(writer, content.get(), file.size, extents);
}

Result<void> write_archive(const Union& all, const std::string& inside, const std::string& path) {
    const std::unique_ptr<archive, FreeArchive> writer(archive_write_new());
    const bool sparse =
        std::any_of(all.files.begin(), all.files.end(), [](const auto& entry) { return is_sparse(entry.second.file); });
    if (sparse) {
        archive_write_set_format_pax_restricted(writer.get());
    } else {
        archive_write_set_format_gnutar(writer.get());  // no holes, but smaller headers
    }
    archive_write_add_filter_gzip(writer.get());
    archive_write_set_filter_option(writer.get(), "gzip", "compression-level", kCompressionLevel);
    archive_write_set_filter_option(writer.get(), "gzip", "timestamp", nullptr);  // the same input, the same bytes
    archive_write_set_bytes_in_last_block(writer.get(), 1);
    if (archive_write_open_filename(writer.get(), path.c_str()) != ARCHIVE_OK) return archive_error(writer.get());
    for (const auto& [name, file] : all.files) TRY(write_entry(writer.get(), all, file, inside));
    if (archive_write_close(writer.get()) != ARCHIVE_OK) return archive_error(writer.get());
    return {};
}

Result<std::string> upload_archive(ObjectStore& store, const ArtifactPaths& paths, const ArtifactRequest& request,
                                   const Union& all) {
    if (all.files.empty() && !request.even_if_empty) return std::string();
    const auto local = paths.folder + "/" + request.name + ".tar.gz";
    unlink(local.c_str());  // of an attempt before a crash, which may be linked into the store already
    TRY(write_archive(all, request.inside, local));
    object_store::PutOptions options;
    options.content_type = "application/x-tar";
    const auto key = request.target.key + request.name + ".tar.gz";
    TRY(store.adopt_file(request.target.bucket, key, options, local));
    unlink(local.c_str());
    return "s3://" + request.target.bucket + "/" + key;
}

// A file is put by its open descriptor: its path may lead through folders the job made.
Result<void> put_file(ObjectStore& store, const object_store::S3Uri& target, int fd, uint64_t size) {
    return put_in_parts(store, target, size, kPartBytes, [fd](uint64_t offset, uint64_t length) {
        return [fd, offset, length](std::span<char> buffer) mutable -> Result<size_t> {
            const auto wanted = static_cast<size_t>(std::min<uint64_t>(buffer.size(), length));
            ssize_t count = 0;
            do count = pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
            while (count < 0 && errno == EINTR);
            if (count < 0) return error_from_errno("cannot read a file of the job");
            offset += static_cast<uint64_t>(count);
            length -= static_cast<uint64_t>(count);
            return static_cast<size_t>(count);
        };
    });
}

Result<std::string> upload_files(ObjectStore& store, const ArtifactRequest& request, const Union& all) {
    const auto prefix = request.target.key + request.name + "/";
    bool any = false;
    for (const auto& [path, found] : all.files) {
        if (found.file.kind != JobFile::Kind::Regular) continue;
        const auto fd = TRY(open_for_upload(all, found, request.inside));
        TRY(put_file(store, {request.target.bucket, prefix + path}, fd.get(), found.file.size));
        any = true;
    }
    if (!any && !request.even_if_empty) return std::string();
    return "s3://" + request.target.bucket + "/" + prefix;
}

}  // namespace

Result<std::string> upload_artifacts(ObjectStore& store, const ArtifactPaths& paths, const ArtifactRequest& request) {
    const auto all = TRY(collect(paths, request.inside, request.form));
    if (request.form == ArtifactForm::Files) return upload_files(store, request, all);
    return upload_archive(store, paths, request, all);
}

}  // namespace millwright::executors
