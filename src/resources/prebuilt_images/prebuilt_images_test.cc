#include "resources/prebuilt_images/prebuilt_images.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/encoding.h"
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

std::vector<std::string> paths_of(const BuildContext& context) {
    std::vector<std::string> paths;
    for (const auto& [path, file] : context) paths.push_back(path);
    return paths;
}

TEST(BuildContexts, OfTheProgramsHaveNoLeftovers) {
    const Folder folder;
    const ContextParts parts = parts_in(folder);
    const auto context = programs_context(parts);
    ASSERT_TRUE(context.has_value()) << context.error().message;
    EXPECT_THAT(paths_of(*context), ElementsAre("Dockerfile", "opt/millwright/bin/millwright-runner",
                                                "opt/millwright/bin/serve", "opt/millwright/python/package/module.py"));
    EXPECT_EQ(context->at("opt/millwright/bin/serve").mode, 0755u);
    EXPECT_THAT(paths_of(*packages_context(*find_prebuilt_image("base", false), parts, {})),
                ElementsAre("Dockerfile", "bin/need_packages"));
}

TEST(BuildContexts, AMissingProgramIsNamed) {
    const Folder folder;
    const ContextParts parts = parts_in(folder);
    unlink((folder / "programs/millwright-runner").c_str());
    EXPECT_THAT(programs_context(parts).error().message, HasSubstr("millwright-runner is missing"));
    EXPECT_THAT(algorithms_context(parts).error().message, HasSubstr("millwright-algorithms is missing"));
}

TEST(BuildContexts, OfFrameworksHaveThePlanOfTheRecipe) {
    const Folder folder;
    const auto image = find_prebuilt_image("scikit-learn-1.4", false);
    const auto context = packages_context(*image, parts_in(folder), {});
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
    ASSERT_TRUE(add_program_with_libraries(context, "/bin/sh", "root/bin/sh", {"libm.so.6"}).has_value());
    EXPECT_TRUE(context.contains("root/opt/millwright/lib/libm.so.6"));
    const auto missing = add_program_with_libraries(context, "/bin/sh", "root/bin/sh", {"libnothere.so.0"});
    ASSERT_FALSE(missing.has_value());
    EXPECT_NE(missing.error().message.find("libnothere.so.0"), std::string::npos);
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

// An engine that answers every build with these lines, and knows what it was asked.
class FakeEngine {
  public:
    explicit FakeEngine(std::string said) : said_(std::move(said)) {
        auto server = net::HttpServer::start(
            {.unix_path = folder_ / "engine.sock", .control_threads = 2, .data_threads = 1, .inference_threads = 1},
            [](const net::Request&) { return net::Pool::Control; },
            [this](net::Request& request, net::ResponseWriter& writer) { answer(request, writer); });
        server_ = std::move(*server);
    }
    std::string socket() const { return folder_ / "engine.sock"; }
    std::string archive() const {
        folder_.write("context.tar", "a context");
        return folder_ / "context.tar";
    }
    std::string target, body;  // of the build

  private:
    void answer(net::Request& request, net::ResponseWriter& writer) {
        Result<void> sent;
        if (request.method == "POST" && request.raw_path() == "/v1.52/build") {
            target = percent_decode(request.target);
            body = *net::read_all(*request.body, 1 << 20);
            sent = writer.send(200, {}, said_);
        } else if (request.method == "GET" && percent_decode(request.target) == "/v1.52/images/millwright/x:1/json") {
            sent = writer.send(200, {}, R"({"Id": "sha256:12", "Size": 7, "Config": {"Labels": {"a": "b"}}})");
        } else if (request.raw_path() == "/_ping") {
            sent = writer.send(200, {{"Api-Version", "1.52"}}, "OK");
        } else {
            sent = writer.send(404, {}, R"({"message": "no such image"})");
        }
        EXPECT_TRUE(sent.has_value());
    }

    const Folder folder_;
    const std::string said_;
    std::unique_ptr<net::HttpServer> server_;
};

TEST(ImageBuilders, TellWhatTheStepsSayLineByLine) {
    FakeEngine engine(
        "{\"stream\":\"Step 1/2 : FROM x\\n @ half\"}\r\n{\"stream\":\" a line\\n\"}\r\n"
        "{\"status\":\"Downloading\",\"progressDetail\":{}}\r\n{\"aux\":{\"ID\":\"sha256:12\"}}\r\n");
    std::vector<std::string> lines;
    const auto builder = ImageBuilder::open(engine.socket());
    const auto built = (*builder)->build({.archive = engine.archive(),
                                          .references = {"millwright/x:1", "millwright/x:latest"},
                                          .arguments = {{"BASE", "debian:12"}},
                                          .network = "host"},
                                         [&](const std::string& line) { lines.push_back(line); });
    ASSERT_TRUE(built.has_value()) << built.error().message;
    EXPECT_EQ(built->id, "sha256:12");
    EXPECT_EQ(built->labels.at("a"), "b");
    EXPECT_THAT(lines, ElementsAre("Step 1/2 : FROM x", "@ half a line"));
    EXPECT_EQ(engine.body, "a context");
    EXPECT_THAT(engine.target, HasSubstr("&t=millwright/x:1&t=millwright/x:latest"));
    EXPECT_THAT(engine.target, HasSubstr(R"(&buildargs={"BASE":"debian:12"})"));
    EXPECT_THAT(engine.target, HasSubstr("&networkmode=host"));
}

TEST(ImageBuilders, AStepThatFailsIsTheErrorWithTheEndOfItsOutput) {
    FakeEngine engine(
        "{\"stream\":\"ERROR: no such package\\n\"}\r\n{\"errorDetail\":{\"code\":1},\"error\":\"the "
        "command returned 1\"}\r\n");
    const auto builder = *ImageBuilder::open(engine.socket());
    const auto built = builder->build({.archive = engine.archive(), .references = {"millwright/x:1"}}, {});
    ASSERT_FALSE(built.has_value());
    EXPECT_EQ(built.error().message, "the command returned 1");
    EXPECT_EQ(built.error().detail, "ERROR: no such package\n");
    EXPECT_EQ(builder->find("millwright/y:1").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(ImageBuilder::open(engine.socket() + "x").error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace millwright::resources
