#include "resources/prebuilt_images/prebuilt_images.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "base/strings.h"
#include "net/http_server.h"
#include "resources/prebuilt_images/build_context.h"
#include "resources/prebuilt_images/image_builder.h"
#include "resources/prebuilt_images/portable_index.h"

namespace millwright::resources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Folder {
  public:
    Folder() {
        std::string name = testing::TempDir() + "prebuilt-XXXXXX";
        path_ = mkdtemp(name.data());
    }
    ~Folder() { static_cast<void>(remove_tree(path_).has_value()); }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    void write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
        const std::string path = path_ + "/" + name;
        ASSERT_TRUE(make_directories(path.substr(0, path.rfind('/'))).has_value());
        ASSERT_TRUE(write_file(path, text, mode).has_value());
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

std::string first_reference(const std::string& name, bool gpu = false) {
    const auto image = find_prebuilt_image(name, gpu);
    return image ? image->references().front() : image.error().message;
}

TEST(PrebuiltImages, AreNamedByFrameworkAndVersion) {
    EXPECT_THAT(find_prebuilt_image("base", false)->references(), ElementsAre("millwright/base:latest"));
    EXPECT_THAT(find_prebuilt_image("tensorflow", false)->references(),
                ElementsAre("millwright/tensorflow:2.21.0", "millwright/tensorflow:latest"));
    EXPECT_THAT(find_prebuilt_image("tensorflow-2.15", false)->references(),
                ElementsAre("millwright/tensorflow:2.15.1"));
    EXPECT_THAT(find_prebuilt_image("python", false)->references(), ElementsAre("millwright/python:latest"));
    EXPECT_EQ(first_reference("123456789012.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310"),
              "millwright/pytorch:2.13.0");
    EXPECT_THAT(first_reference("caffe"), HasSubstr("There is no image caffe to build"));
}

TEST(PrebuiltImages, ForGpusHaveTagsOfTheirOwnWhereThereArePackages) {
    EXPECT_THAT(find_prebuilt_image("pytorch", true)->references(), ElementsAre("millwright/pytorch:2.13.0-gpu"));
    EXPECT_EQ(first_reference("public.ecr.aws/x/pytorch-training:2.0.0-gpu-py310"), "millwright/pytorch:2.13.0-gpu");
    EXPECT_EQ(first_reference("mxnet", true), "millwright/mxnet:1.9.1");
}

TEST(PrebuiltImages, EveryRecipeHasOneAndADockerfile) {
    const auto images = all_prebuilt_images(false);
    EXPECT_EQ(images.size(), recipes().size() + 2);
    EXPECT_EQ(images.front().name, "base");
    for (const PrebuiltImage& image : images)
        EXPECT_TRUE(file_exists(std::string(IMAGES_FOLDER) + "/" + image.name + "/Dockerfile")) << image.name;
}

PackagePlan small_plan() { return {.packages = "torch==2.13.0\nnumpy\n", .pins = "numpy==1.2\nTyping_Ext==4\n"}; }

TEST(PortableIndex, TakesTheFilesThatThePlanNamesOutOfLocalFolders) {
    const Folder folder;
    for (const char* name :
         {"wheels/torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl", "wheels/torch-2.13.1-py3-none-any.whl",
          "wheels/numpy-1.2.tar.gz", "wheels/numpy-1.20-py3-none-any.whl", "wheels/notes.txt",
          "index/files/typing_ext-4-py3-none-any.whl"})
        folder.write(name, "x");
    folder.write("index/simple/typing-ext/index.html",
                 "<a href=\"../../files/typing_ext-4-py3-none-any.whl#sha256=0\">typing_ext</a>");
    PackageIndex index;
    index.certificate = "/etc/ca.pem";
    index.variables = {{"PIP_FIND_LINKS", folder / "wheels"},
                       {"PIP_EXTRA_INDEX_URL", "https://index.example/simple file://" + (folder / "index/simple")},
                       {"PIP_CERT", kCertificateInside}};
    const PortableIndex portable = portable_index(index, small_plan(), "/opt/ml");
    EXPECT_EQ(portable.configuration,
              "[global]\ncert = /opt/ml/certificates.pem\nextra-index-url = https://index.example/simple\n"
              "find-links = /opt/ml/packages\n");
    std::vector<std::string> names;
    for (const auto& file : portable.files) names.push_back(file.name);
    EXPECT_THAT(names, testing::UnorderedElementsAre("packages/torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
                                                     "packages/numpy-1.2.tar.gz",
                                                     "packages/typing_ext-4-py3-none-any.whl", "certificates.pem"));
}

TEST(PortableIndex, ALocalIndexAloneMeansThatThereIsNoOther) {
    const Folder folder;
    folder.write("index/numpy/numpy-1.2-py3-none-any.whl", "x");
    folder.write("constraints.txt", "numpy<2\n");
    PackageIndex index;
    index.variables = {{"PIP_INDEX_URL", folder / "index"}, {"PIP_CONSTRAINT", folder / "constraints.txt"}};
    const PortableIndex portable = portable_index(index, small_plan(), "/opt/ml");
    EXPECT_EQ(portable.configuration,
              "[global]\nconstraint = /opt/ml/files/0-constraints.txt\n"
              "find-links = /opt/ml/packages\nno-index = true\n");
    EXPECT_EQ(portable.files.size(), 2u);
}

ContextParts parts_in(const Folder& folder) {
    folder.write("programs/millwright-runner", "ELF", 0755);
    folder.write("python/package/module.py", "pass\n");
    folder.write("python/package/module_test.py", "fail\n");
    folder.write("python/package/__pycache__/module.pyc", "x");
    return {.dockerfiles = IMAGES_FOLDER, .programs = folder / "programs", .python = folder / "python"};
}

TEST(BuildContexts, OfTheBaseHaveOurProgramsAndNoLeftovers) {
    const Folder folder;
    const auto context = build_context(*find_prebuilt_image("base", false), parts_in(folder), {});
    ASSERT_TRUE(context.has_value()) << context.error().message;
    std::vector<std::string> paths;
    for (const auto& [path, file] : *context) paths.push_back(path);
    EXPECT_THAT(paths, ElementsAre("Dockerfile", "bin/millwright-runner", "bin/need_packages", "bin/serve",
                                   "python/package/module.py"));
    EXPECT_EQ(context->at("bin/serve").mode, 0755u);
    unlink((folder / "programs/millwright-runner").c_str());
    EXPECT_FALSE(build_context(*find_prebuilt_image("base", false), parts_in(folder), {}).has_value() &&
                 !file_exists(folder / "programs/millwright-runner"));
}

TEST(BuildContexts, OfFrameworksHaveThePlanOfTheRecipe) {
    const Folder folder;
    const auto image = find_prebuilt_image("scikit-learn-1.4", false);
    const auto context = build_context(*image, parts_in(folder), {});
    ASSERT_TRUE(context.has_value()) << context.error().message;
    const auto plan = Json::parse(context->at("build/plan.json").text);
    EXPECT_EQ((*plan)["prefix"].string_or(""), "/opt/millwright/environment");
    EXPECT_EQ((*plan)["pins"].string_or(""), plan_packages(*image->recipe, false).pins);
    EXPECT_THAT(context->at("build/build_environment.py").text, HasSubstr("plan.json"));
}

TEST(BuildContexts, TheContentChangesWithEveryFile) {
    BuildContext context;
    context["a"].text = "1";
    const std::string before = *content_of(context);
    EXPECT_EQ(*content_of(context), before);
    context["a"].mode = 0755;
    const std::string executable = *content_of(context);
    EXPECT_NE(executable, before);
    context["a"].text = "2";
    EXPECT_NE(*content_of(context), executable);
}

TEST(BuildContexts, AProgramBringsItsLibraries) {
    BuildContext context;
    const auto added = add_program_with_libraries(context, "/bin/sh", "root/bin/sh");
    ASSERT_TRUE(added.has_value()) << added.error().message;
    EXPECT_TRUE(context.contains("root/bin/sh"));
    EXPECT_TRUE(context.contains("root/opt/millwright/lib/libc.so.6"));
    const Folder folder;
    ASSERT_TRUE(write_folder(context, folder.path()).has_value());
    const auto said = output_of({folder / "root/bin/sh", "-c", "echo works"});
    EXPECT_EQ(*said, "works\n");
}

TEST(BuildContexts, AreTarArchives) {
    BuildContext context;
    context["Dockerfile"].text = "FROM scratch\n";
    context["root/tmp"] = {ContextFile::Kind::Folder, "", 01777};
    const std::string deep = "build/packages/" + std::string(190, 'f') + ".whl";
    context[deep] = {ContextFile::Kind::Text, std::string(1000, 'x'), 0755};
    const Folder folder;
    {
        const auto file = open_file(folder / "context.tar", O_WRONLY | O_CREAT);
        ASSERT_TRUE(write_archive(context, file->get()).has_value());
    }
    const auto listed = output_of({"/bin/tar", "-tvf", folder / "context.tar"});
    ASSERT_TRUE(listed.has_value()) << listed.error().detail;
    EXPECT_THAT(*listed, HasSubstr("-rw-r--r-- 0/0              13"));
    EXPECT_THAT(*listed, HasSubstr("drwxrwxrwt"));
    EXPECT_THAT(*listed, HasSubstr(deep));
    const auto unpacked = output_of({"/bin/tar", "-xOf", folder / "context.tar", deep});
    EXPECT_EQ(*unpacked, std::string(1000, 'x'));
}

}  // namespace
}  // namespace millwright::resources
