#include "executors/choice/choice.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/files.h"
#include "executors/fake/fake_executor.h"
#include "executors/fake/fake_images.h"

namespace millwright::executors {
namespace {

class Listener final : public RunListener {
  public:
    void run_started(const std::string&, Timestamp) override {}
    void run_ended(const std::string& id, const RunOutcome& outcome) override { ended.emplace_back(id, outcome); }
    std::vector<std::pair<std::string, RunOutcome>> ended;
};

class Choice : public testing::Test {
  protected:
    Choice() {
        std::string name = testing::TempDir() + "choice-XXXXXX";
        folder = mkdtemp(name.data());
        engine_images.add("here:latest", in_engine());
        layers.add("here:latest", unpacked());
    }
    ~Choice() override { EXPECT_TRUE(remove_tree(folder)); }

    static RunImage in_engine() {
        RunImage image;
        image.engine_image = "sha256:1";
        return image;
    }
    static RunImage unpacked() {
        RunImage image;
        image.layers = {"/layers/1"};
        return image;
    }
    ContainerEngine container_engine() {
        return {engine, engine_images, [this]() -> Result<void> {
                    if (!engine_answers) return Error{ErrorKind::Unavailable, "connection refused", ""};
                    return {};
                }};
    }
    RunSpec spec(const std::string& id, std::optional<RunImage> image) const {
        RunSpec made;
        made.id = id;
        made.folder = folder + "/" + id;
        made.image = std::move(image);
        EXPECT_TRUE(make_directories(made.folder));
        return made;
    }
    // What prepare() gives for an image that both have.
    Result<RunImage> prepared(EngineWish wish, bool with_engine = true, bool with_layers = true) {
        ChoiceParts parts{.processes = processes, .why_no_layers = "no overlay", .why_no_engine = "no socket"};
        if (with_engine) parts.engine.emplace(container_engine());
        if (with_layers) parts.layers = &layers;
        parts.wish = wish;
        const auto images = choose_images(parts);
        return images->prepare(
            {{"", "here", "latest", ""}, "1", "r"}, [](const std::string&) {}, [] { return false; });
    }

    std::string folder;
    bool engine_answers = true;
    FakeExecutor processes, engine;
    FakeImages engine_images, layers;
    Listener listener;
};

TEST_F(Choice, RunsGoWhereTheirImageIs) {
    const auto chosen = choose_executor({.processes = processes, .engine = container_engine()});
    ASSERT_TRUE(chosen->start(spec("a", std::nullopt), listener));
    ASSERT_TRUE(chosen->start(spec("b", unpacked()), listener));
    ASSERT_TRUE(chosen->start(spec("c", in_engine()), listener));
    EXPECT_EQ(processes.starts(), 2u);
    EXPECT_EQ(engine.starts(), 1u);
    EXPECT_EQ(engine.wait_for_start(0).id, "c");
    EXPECT_FALSE(run_is_in_engine(folder + "/b"));
    EXPECT_TRUE(run_is_in_engine(folder + "/c"));
    ASSERT_TRUE(chosen->request_stop("a"));
    ASSERT_TRUE(chosen->request_stop("c"));
    EXPECT_EQ(processes.stop_requests(), std::vector<std::string>{"a"});
    EXPECT_EQ(engine.stop_requests(), std::vector<std::string>{"c"});
    chosen->clean_up("c", folder + "/c");
    EXPECT_TRUE(engine.cleaned_up().contains("c"));
    EXPECT_FALSE(processes.cleaned_up().contains("c"));
}

TEST_F(Choice, ARestartedServerAsksTheOneThatHasTheRun) {
    {
        const auto before = choose_executor({.processes = processes, .engine = container_engine()});
        ASSERT_TRUE(before->start(spec("a", std::nullopt), listener));
        ASSERT_TRUE(before->start(spec("c", in_engine()), listener));
    }
    engine.report_started("c", Timestamp{});
    engine.end("c", exited(1, 3));
    listener.ended.clear();
    // The configuration wants no engine any more, but the run is in one.
    const auto after =
        choose_executor({.processes = processes, .engine = container_engine(), .wish = EngineWish::Unwanted});
    ASSERT_TRUE(after->adopt("a", folder + "/a", listener));
    ASSERT_TRUE(after->adopt("c", folder + "/c", listener));
    ASSERT_EQ(listener.ended.size(), 1u);
    EXPECT_EQ(listener.ended[0].second.hosts.at(0).exit_code, 3);
    ASSERT_TRUE(after->request_stop("c"));
    EXPECT_EQ(engine.stop_requests(), std::vector<std::string>{"c"});
    ASSERT_TRUE(after->request_stop("a"));
    EXPECT_EQ(processes.stop_requests(), std::vector<std::string>{"a"});
}

TEST_F(Choice, ARunOfAnEngineThatIsGoneIsLost) {
    {
        const auto before = choose_executor({.processes = processes, .engine = container_engine()});
        ASSERT_TRUE(before->start(spec("c", in_engine()), listener));
    }
    const auto after = choose_executor({.processes = processes, .why_no_engine = "no socket was found"});
    ASSERT_TRUE(after->adopt("c", folder + "/c", listener));
    ASSERT_EQ(listener.ended.size(), 1u);
    EXPECT_EQ(listener.ended[0].second.cause, RunOutcome::Cause::Lost);
    EXPECT_EQ(listener.ended[0].second.message, "the container engine that had it is gone: no socket was found");
}

TEST_F(Choice, AnImageOfTheEngineIsNotStartedWithoutIt) {
    const auto chosen = choose_executor({.processes = processes, .why_no_engine = "no socket was found"});
    const auto started = chosen->start(spec("c", in_engine()), listener);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(processes.starts(), 0u);
}

TEST_F(Choice, ImagesComeFromTheEngineWhileItAnswers) {
    EXPECT_EQ(prepared(EngineWish::Preferred)->engine_image, "sha256:1");
    engine_answers = false;
    EXPECT_EQ(prepared(EngineWish::Preferred)->layers.size(), 1u);
    EXPECT_EQ(prepared(EngineWish::Preferred, false)->layers.size(), 1u);
}

TEST_F(Choice, ARequiredEngineIsNotReplaced) {
    EXPECT_EQ(prepared(EngineWish::Required)->engine_image, "sha256:1");
    engine_answers = false;
    const auto refused = prepared(EngineWish::Required);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "Images need a container engine (containers.engine): the container engine does not answer: connection "
              "refused");
}

TEST_F(Choice, WhatTheEngineDoesNotHaveMayHaveBeenImported) {
    engine_images.remove("here:latest");
    EXPECT_EQ(prepared(EngineWish::Preferred)->layers.size(), 1u);
    EXPECT_EQ(prepared(EngineWish::Required).error().kind, ErrorKind::NotFound);
    layers.remove("here:latest");
    EXPECT_EQ(prepared(EngineWish::Preferred).error().message, "there is no image here:latest");
}

TEST_F(Choice, AnUnwantedEngineGetsNothingNew) { EXPECT_EQ(prepared(EngineWish::Unwanted)->layers.size(), 1u); }

TEST_F(Choice, WithNeitherTheReasonsAreSaid) {
    const auto refused = prepared(EngineWish::Preferred, false, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
    EXPECT_EQ(refused.error().message, "This machine cannot run images: no socket, and without one: no overlay");
}

}  // namespace
}  // namespace millwright::executors
