#include "resources/prebuilt_images/build_context.h"

#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/strings.h"
#include "resources/environments/embedded.h"
#include "resources/prebuilt_images/portable_index.h"

namespace millwright::resources {
namespace {

namespace fs = std::filesystem;

// Where the build's own files lie while the packages are installed; see build_environment.py.
constexpr const char* kBuildFolder = "/opt/ml";
constexpr const char* kImagePrefix = "/opt/millwright/environment";
constexpr const char* kLibraries = "root/opt/millwright/lib/";
constexpr size_t kMaxFile = size_t{8} << 30;

mode_t mode_of(const std::string& path) {
    struct stat about {};
    const bool executable = stat(path.c_str(), &about) == 0 && (about.st_mode & S_IXUSR) != 0;
    return executable ? 0755 : 0644;
}

Result<void> add_copy(BuildContext& context, const std::string& source, const std::string& target) {
    if (!file_exists(source)) return not_found(source + " is missing; it goes into the image");
    context[target] = {ContextFile::Kind::Copy, source, mode_of(source)};
    return {};
}

bool belongs_to_images(const fs::path& path) {
    const std::string name = path.filename().string();
    return name != "__pycache__" && !name.ends_with(".pyc") && !name.ends_with("_test.py");
}

Result<void> add_tree(BuildContext& context, const std::string& source, const std::string& target) {
    std::error_code failed;
    fs::recursive_directory_iterator entry(source, failed);
    if (failed) return not_found("the folder " + source + " is missing; it goes into the image");
    for (const fs::recursive_directory_iterator end; entry != end; entry.increment(failed)) {
        if (failed) return Error{ErrorKind::Internal, "cannot read " + source, failed.message()};
        if (!belongs_to_images(entry->path())) {
            if (entry->is_directory()) entry.disable_recursion_pending();
            continue;
        }
        if (!entry->is_regular_file()) continue;
        const std::string path = entry->path().string();
        TRY(add_copy(context, path, target + path.substr(source.size())));
    }
    return {};
}

Result<void> add_packages(BuildContext& context, const PrebuiltImage& image, const PackageIndex& index) {
    const PackagePlan plan = plan_packages(*image.recipe, image.gpu);
    const PortableIndex portable = portable_index(index, plan, kBuildFolder);
    context["build/plan.json"].text = plan_document(plan, kImagePrefix, "");
    context["build/build_environment.py"].text = kBuildEnvironment;
    context["build/pip.conf"].text = portable.configuration;
    for (const auto& file : portable.files) TRY(add_copy(context, file.source, "build/" + file.name));
    return {};
}

// The loader that the program names: the content of its PT_INTERP.
Result<std::string> loader_of(const std::string& program) {
    const std::string head = TRY(read_file(program));
    Elf64_Ehdr elf{};
    if (head.size() < sizeof elf || !head.starts_with(ELFMAG)) return invalid_input(program + " is no program");
    std::memcpy(&elf, head.data(), sizeof elf);
    for (size_t i = 0; i < elf.e_phnum; ++i) {
        const size_t at = elf.e_phoff + i * sizeof(Elf64_Phdr);
        Elf64_Phdr part{};
        if (at + sizeof part > head.size()) break;
        std::memcpy(&part, head.data() + at, sizeof part);
        if (part.p_type != PT_INTERP || part.p_offset + part.p_filesz > head.size() || part.p_filesz == 0) continue;
        return std::string(head.data() + part.p_offset, part.p_filesz - 1);
    }
    return std::string();  // linked statically
}

Result<void> append_content(Digest& digest, const ContextFile& file) {
    if (file.kind != ContextFile::Kind::Copy) {
        digest.update(file.text);
        return {};
    }
    const std::string bytes = TRY(read_file(file.text, kMaxFile));
    digest.update(bytes);
    return {};
}

// --- tar: POSIX's pax format ---

constexpr size_t kBlock = 512;

struct TarHeader {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
        user[32], group[32], device_major[8], device_minor[8], prefix[155], padding[12];
};
static_assert(sizeof(TarHeader) == kBlock);

template <size_t N>
void set_octal(char (&field)[N], uint64_t value) {
    for (size_t i = N - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

TarHeader tar_header(const std::string& name, char type, mode_t mode, uint64_t size) {
    TarHeader header{};
    std::copy(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(std::min(name.size(), sizeof header.name)),
              header.name);
    set_octal(header.mode, mode);
    set_octal(header.uid, 0);
    set_octal(header.gid, 0);
    set_octal(header.size, size);
    set_octal(header.mtime, 0);  // the engine compares contents; a time would spoil its cache
    header.type = type;
    std::memcpy(header.magic, "ustar", 6);
    std::memcpy(header.version, "00", 2);
    std::memset(header.checksum, ' ', sizeof header.checksum);
    unsigned sum = 0;
    for (const char byte : std::string_view(reinterpret_cast<const char*>(&header), kBlock))
        sum += static_cast<unsigned char>(byte);
    header.checksum[6] = '\0';
    for (size_t i = 6; i-- > 0; sum >>= 3) header.checksum[i] = static_cast<char>('0' + (sum & 7));
    return header;
}

// "21 path=build/x.whl\n": the number counts the whole record, itself too.
std::string path_record(const std::string& path) {
    const size_t rest = std::string_view(" path=\n").size() + path.size();
    size_t size = rest + 1;
    while (std::to_string(size).size() + rest != size) ++size;
    return std::to_string(size) + " path=" + path + "\n";
}

Result<void> write_entry(int out, const TarHeader& header, std::string_view bytes) {
    TRY(write_all(out, {reinterpret_cast<const char*>(&header), kBlock}));
    TRY(write_all(out, bytes));
    return write_all(out, std::string((kBlock - bytes.size() % kBlock) % kBlock, '\0'));
}

Result<std::string> bytes_of(const ContextFile& file) {
    if (file.kind == ContextFile::Kind::Copy) return read_file(file.text, kMaxFile);
    return file.kind == ContextFile::Kind::Text ? file.text : std::string();
}

}  // namespace

Result<void> add_program_with_libraries(BuildContext& context, const std::string& program, const std::string& target,
                                        const std::vector<std::string>& opened) {
    TRY(add_copy(context, program, target));
    const std::string loader = TRY(loader_of(program));
    if (loader.empty()) return {};
    TRY(add_copy(context, loader, "root" + loader));
    std::string preloaded;
    for (const std::string& name : opened) preloaded += (preloaded.empty() ? "" : ":") + name;
    const std::string listed = TRY(output_of({loader, "--preload", preloaded, "--list", program}));
    for (const std::string_view line : split(listed, '\n')) {
        const size_t arrow = line.find(" => ");  // "libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f…)"
        if (arrow == line.npos) continue;
        const std::string_view name = trim(line.substr(0, arrow));
        std::string_view path = line.substr(arrow + 4);
        path = trim(path.substr(0, path.find(" (")));
        if (!path.starts_with("/"))
            return not_found("the library " + std::string(name) + " of " + program + " is missing");
        TRY(add_copy(context, std::string(path), kLibraries + std::string(name)));
    }
    for (const std::string& name : opened)
        if (!context.contains(kLibraries + name))
            return not_found("the library " + name + " of " + program + " is missing");
    return {};
}

Result<BuildContext> packages_context(const PrebuiltImage& image, const ContextParts& parts,
                                      const PackageIndex& index) {
    BuildContext context;
    const std::string folder = parts.dockerfiles + "/" + image.name;
    TRY(add_copy(context, folder + "/Dockerfile", "Dockerfile"));
    if (image.recipe)
        TRY(add_packages(context, image, index));
    else
        TRY(add_tree(context, folder + "/bin", "bin"));
    return context;
}

Result<BuildContext> programs_context(const ContextParts& parts) {
    BuildContext context;
    const std::string folder = parts.dockerfiles + "/programs";
    TRY(add_copy(context, folder + "/Dockerfile", "Dockerfile"));
    TRY(add_tree(context, folder + "/bin", "opt/millwright/bin"));
    TRY(add_copy(context, parts.programs + "/millwright-runner", "opt/millwright/bin/millwright-runner"));
    TRY(add_tree(context, parts.python, "opt/millwright/python"));
    return context;
}

Result<BuildContext> algorithms_context(const ContextParts& parts) {
    BuildContext context;
    TRY(add_copy(context, parts.dockerfiles + "/algorithms/Dockerfile", "Dockerfile"));
    TRY(add_program_with_libraries(context, parts.programs + "/millwright-algorithms",
                                   "root/opt/millwright/bin/millwright-algorithms", {"libopenblas.so.0"}));
    context["root/tmp"] = {ContextFile::Kind::Folder, "", 01777};
    context["root/root"] = {ContextFile::Kind::Folder, "", 0700};
    context["root/etc/passwd"].text = "root:x:0:0:root:/root:\n";
    context["root/etc/group"].text = "root:x:0:\n";
    return context;
}

Result<std::string> content_of(const BuildContext& context) {
    Digest digest(DigestKind::Sha256);
    for (const auto& [path, file] : context) {
        Digest own(DigestKind::Sha256);
        TRY(append_content(own, file));
        digest.update(path + "\n" + std::to_string(static_cast<int>(file.kind)) + " " + std::to_string(file.mode) +
                      "\n" + own.finish());
    }
    return to_hex(digest.finish());
}

Result<void> write_archive(const BuildContext& context, int out) {
    for (const auto& [path, file] : context) {
        const std::string bytes = TRY(bytes_of(file));
        const bool folder = file.kind == ContextFile::Kind::Folder;
        const std::string name = path + (folder ? "/" : "");
        if (name.size() > sizeof TarHeader::name) {  // of some wheels; then an entry of its own says it
            const std::string record = path_record(name);
            TRY(write_entry(out, tar_header("path", 'x', 0644, record.size()), record));
        }
        TRY(write_entry(out, tar_header(name, folder ? '5' : '0', file.mode, bytes.size()), bytes));
    }
    return write_all(out, std::string(2 * kBlock, '\0'));
}

Result<void> write_folder(const BuildContext& context, const std::string& folder) {
    for (const auto& [path, file] : context) {
        const std::string target = folder + "/" + path;
        const bool is_folder = file.kind == ContextFile::Kind::Folder;
        TRY(make_directories(is_folder ? target : target.substr(0, target.rfind('/'))));
        if (!is_folder) {
            const std::string bytes = TRY(bytes_of(file));
            TRY(write_file(target, bytes, file.mode));
        }
        if (chmod(target.c_str(), file.mode) != 0) return error_from_errno("cannot set the mode of " + target);
    }
    return {};
}

}  // namespace millwright::resources
