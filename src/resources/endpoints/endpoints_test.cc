#include "resources/endpoints/endpoints.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "executors/fake/fake_images.h"

namespace millwright::resources {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kRegion = "us-west-2";

std::string model_archive() {
    std::string buffer(65536, '\0');
    size_t used = 0;
    archive* writer = archive_write_new();
    archive_write_add_filter_gzip(writer);
    archive_write_set_format_ustar(writer);
    archive_write_open_memory(writer, buffer.data(), buffer.size(), &used);
    archive_entry* item = archive_entry_new();
    archive_entry_set_pathname(item, "xgboost-model");
    archive_entry_set_filetype(item, AE_IFREG);
    archive_entry_set_perm(item, 0644);
    archive_entry_set_size(item, 5);
    archive_write_header(writer, item);
    archive_write_data(writer, "trees", 5);
    archive_entry_free(item);
    archive_write_close(writer);
    archive_write_free(writer);
    return buffer.substr(0, used);
}

// Runs are entries in a table, and replicas answer as BEHAVE of their environment says: "ok", "exit" (ends at
// once), "silent" (never healthy). They outlive the Endpoints that started them.
class TestExecutor final : public executors::Executor {
  public:
    struct Run {
        executors::RunSpec spec;
        executors::RunListener* listener = nullptr;
        bool alive = true, cleaned = false;
        std::string behave;
        int pings = 0;
    };

    Result<void> start(const executors::RunSpec& spec, executors::RunListener& listener) override {
        bool exits;
        {
            const MutexLock lock(mutex_);
            const auto behave = spec.environment.find("BEHAVE");
            Run& run = runs_[spec.id];
            run = {spec, &listener, true, false, behave == spec.environment.end() ? "ok" : behave->second, 0};
            exits = run.behave == "exit";
        }
        if (exits) end(spec.id, executors::RunOutcome::Cause::Exited);
        return {};
    }
    Result<void> adopt(const std::string& id, const std::string&, executors::RunListener& listener) override {
        bool alive;
        {
            const MutexLock lock(mutex_);
            runs_[id].listener = &listener;
            alive = runs_[id].alive;
        }
        if (!alive) {
            executors::RunOutcome outcome;
            outcome.cause = executors::RunOutcome::Cause::Lost;
            listener.run_ended(id, outcome);
        }
        return {};
    }
    Result<void> request_stop(const std::string& id) override {
        return end(id, executors::RunOutcome::Cause::StopRequested), Result<void>();
    }
    Result<void> kill(const std::string& id) override {
        return end(id, executors::RunOutcome::Cause::StopRequested), Result<void>();
    }
    void clean_up(const std::string& id, const std::string&) override {
        const MutexLock lock(mutex_);
        EXPECT_FALSE(runs_[id].alive);
        runs_[id].cleaned = true;
    }
    Json describe() const override { return Json::object(); }
    Result<std::string> served_at(const std::string& id, int) override {
        const MutexLock lock(mutex_);
        if (!runs_[id].alive || runs_[id].spec.served_port != 8080) return not_found("no port");
        return "tcp:" + id;
    }

    void end(const std::string& id, executors::RunOutcome::Cause cause) {
        executors::RunListener* listener;
        {
            const MutexLock lock(mutex_);
            if (!runs_[id].alive) return;
            runs_[id].alive = false;
            listener = runs_[id].listener;
        }
        executors::RunOutcome outcome;
        outcome.cause = cause;
        outcome.hosts = {{1, 0, false}};
        if (listener) listener->run_ended(id, outcome);
    }
    void forget_listeners() {
        const MutexLock lock(mutex_);
        for (auto& [id, run] : runs_) run.listener = nullptr;
    }
    std::vector<Run> runs() {
        const MutexLock lock(mutex_);
        std::vector<Run> out;
        for (const auto& [id, run] : runs_) out.push_back(run);
        return out;
    }
    std::vector<std::string> alive() {
        std::vector<std::string> out;
        for (const Run& run : runs())
            if (run.alive) out.push_back(run.spec.id);
        return out;
    }
    // Those who live, each with an answer of /ping that has been looked at.
    bool all_have_answered() {
        const auto all = runs();
        const auto lives = [](const Run& run) { return run.alive; };
        return std::any_of(all.begin(), all.end(), lives) && std::none_of(all.begin(), all.end(), [](const Run& run) {
                   return run.alive && run.pings < 2;  // the second is sent after the first was looked at
               });
    }
    void behave(const std::string& id, const std::string& how) {
        const MutexLock lock(mutex_);
        runs_[id].behave = how;
    }
    std::shared_ptr<ReplicaChannel> open_channel(const std::string& socket);

  private:
    friend class TestChannel;
    static std::string address_of(const Run& run) {
        return run.spec.image ? "tcp:" + run.spec.id : "unix:" + run.spec.folder + "/s/serve.sock";
    }
    bool answer_ping(const std::string& socket) {
        {
            const MutexLock lock(mutex_);
            for (auto& [id, run] : runs_)
                if (socket == address_of(run)) ++run.pings;
        }
        return healthy(socket, nullptr);
    }
    bool healthy(const std::string& socket, std::string* version) {
        const MutexLock lock(mutex_);
        for (const auto& [id, run] : runs_) {
            const bool image = run.spec.image.has_value();
            if (socket != address_of(run) || !run.alive || run.behave != "ok") continue;
            if (version) *version = image ? "image" : run.spec.environment.at("MILLWRIGHT_ALGORITHM_VERSION");
            return true;
        }
        return false;
    }

    Mutex mutex_;
    std::map<std::string, Run> runs_;
};

class TestChannel final : public ReplicaChannel {
  public:
    TestChannel(TestExecutor& executor, std::string socket) : executor_(executor), socket_(std::move(socket)) {}
    PingAnswer ping(std::chrono::milliseconds) override {
        return executor_.answer_ping(socket_) ? PingAnswer{200, ""} : PingAnswer{503, ""};
    }
    Result<ReplicaReply> invoke(const ReplicaRequest&, std::chrono::milliseconds) override {
        ReplicaReply reply;
        reply.status = 200;
        if (!executor_.healthy(socket_, &reply.body)) return Error{ErrorKind::Unavailable, "gone", ""};
        std::this_thread::sleep_for(200us);
        if (!executor_.healthy(socket_, nullptr)) return Error{ErrorKind::Unavailable, "went while it worked", ""};
        return reply;
    }

  private:
    TestExecutor& executor_;
    std::string socket_;
};

std::shared_ptr<ReplicaChannel> TestExecutor::open_channel(const std::string& socket) {
    return std::make_shared<TestChannel>(*this, socket);
}

class NoRepositories final : public ImageRepositories {
  public:
    Result<Found> find(const oci::Reference&) override { return Found{}; }
    Result<aws::Access> access(const oci::Reference&, const std::string&) override { return aws::Access{}; }
};

class EndpointsTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_endpoints_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        const Clock& clock = system_clock();
        identity_ = Identity::open(folder_, *database_, clock, system_random(), {}).value();
        objects_ = object_store::ObjectStore::open(folder_ + "/objects", *database_, clock, system_random()).value();
        logs_ = Logs::open(folder_ + "/logs", *database_, clock, system_random()).value();
        tags_ = Tags::open(*database_).value();
        aliases_ = std::make_unique<ImageAliases>(folder_ + "/aliases.json");
        images_ = std::make_unique<ImageNames>(ImageNames::Parts{repositories_, image_files_, *identity_, *aliases_});
        executors::RunImage image;
        image.layers = {"/layers/1"};
        image_files_.add("registry.example/mine:1", image);
        models_ = Models::open({*database_, *objects_, *identity_, *tags_, clock, images_.get()}).value();
        configs_ = EndpointConfigs::open({*database_, *models_, *tags_, clock}).value();
        account_ = identity_->root().account;
        EXPECT_TRUE(objects_->create_bucket(account_, kRegion, "bucket"));
        EXPECT_TRUE(objects_->put("bucket", "model.tar.gz", {}, object_store::source_of(model_archive())));
        EXPECT_TRUE(objects_->put("bucket", "broken.tar.gz", {}, object_store::source_of("nonsense")));
        make_model("good", "1.7-1", "ok");
        make_model("newer", "1.5-1", "ok");
        make_model("exits", "1.7-1", "exit");
        make_model("silent", "1.7-1", "silent");
        make_model("broken", "1.7-1", "ok", "broken.tar.gz");
        open();
    }
    void TearDown() override {
        endpoints_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        EndpointSettings settings;
        settings.folder = folder_ + "/endpoints";
        settings.algorithms_program = "/usr/bin/millwright-algorithms";
        settings.startup_poll = 2ms;
        settings.ping_interval = 10ms;
        settings.restart_pause = 2ms;
        settings.longest_restart_pause = 20ms;
        settings.workers = 3;
        endpoints_ =
            Endpoints::open(settings, {*database_, *objects_, executor_, *models_, *configs_, *logs_, *tags_,
                                       [this](const std::string& socket) { return executor_.open_channel(socket); },
                                       system_clock(), system_random(), images_.get(), identity_.get()})
                .value();
    }
    // A model of the image registry.example/mine:1, and its configuration.
    void make_image_model(const std::string& name, const std::string& behave, bool isolated = false) {
        Json container = Json::object({{"Image", "registry.example/mine:1"},
                                       {"Environment", Json::object({{"BEHAVE", behave}, {"MINE", "yes"}})}});
        if (behave == "ok") container.set("ModelDataUrl", "s3://bucket/model.tar.gz");
        const auto made = models_->create(account_, kRegion,
                                          Json::object({{"ModelName", name},
                                                        {"ExecutionRoleArn", "SageMakerRole"},
                                                        {"EnableNetworkIsolation", isolated},
                                                        {"PrimaryContainer", std::move(container)}}));
        ASSERT_TRUE(made) << made.error().message;
        make_config(name, Json::array({variant("AllTraffic", name, 2)}));
    }
    void make_model(const std::string& name, const std::string& version, const std::string& behave,
                    const std::string& data = "model.tar.gz") {
        const auto made = models_->create(
            account_, kRegion,
            Json::object({{"ModelName", name},
                          {"PrimaryContainer", Json::object({{"Image", "x/sagemaker-xgboost:" + version},
                                                             {"ModelDataUrl", "s3://bucket/" + data},
                                                             {"Environment", Json::object({{"BEHAVE", behave}})}})}}));
        ASSERT_TRUE(made) << made.error().message;
        make_config(name, Json::array({variant("AllTraffic", name, 1)}));
    }
    static Json variant(std::string_view name, std::string_view model, int count, double weight = 1) {
        return Json::object({{"VariantName", name},
                             {"ModelName", model},
                             {"InstanceType", "ml.m5.large"},
                             {"InitialInstanceCount", count},
                             {"InitialVariantWeight", weight}});
    }
    void make_config(std::string_view name, Json variants) {
        const auto made =
            configs_->create(account_, kRegion,
                             Json::object({{"EndpointConfigName", name}, {"ProductionVariants", std::move(variants)}}));
        ASSERT_TRUE(made) << made.error().message;
    }
    static Json request(std::string_view name, std::string_view config) {
        return Json::object({{"EndpointName", name}, {"EndpointConfigName", config}});
    }
    // Waits until the endpoint has settled.
    Endpoint settled(std::string_view name) {
        for (int i = 0; i < 100; ++i) {
            const auto now = endpoints_->describe_changed(account_, kRegion, name, 200ms);
            if (!now) return Endpoint{{}, "", now.error().message, "", "", {}, {}, {}};
            if (!now->changing()) return *now;
        }
        ADD_FAILURE() << name << " does not settle";
        return {};
    }
    template <typename Condition>
    bool eventually(Condition condition) {
        for (int i = 0; i < 15'000; ++i) {
            if (condition()) return true;
            std::this_thread::sleep_for(2ms);
        }
        return false;
    }
    std::string invoke(std::string_view name) {
        const auto route = endpoints_->routes().find(account_, kRegion, name);
        if (!route || route->variants.empty() || route->variants[0].replicas.empty()) return "no route";
        const auto reply = route->variants[0].replicas[0]->channel->invoke({}, 1s);
        return reply ? reply->body : reply.error().message;
    }

    std::string folder_, account_;
    NoRepositories repositories_;
    executors::FakeImages image_files_;
    TestExecutor executor_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Identity> identity_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<Logs> logs_;
    std::unique_ptr<Tags> tags_;
    std::unique_ptr<ImageAliases> aliases_;
    std::unique_ptr<ImageNames> images_;
    std::unique_ptr<Models> models_;
    std::unique_ptr<EndpointConfigs> configs_;
    std::unique_ptr<Endpoints> endpoints_;
};

TEST_F(EndpointsTest, AnEndpointServesUntilItIsDeletedAndLeavesNothing) {
    const auto made = endpoints_->create(account_, kRegion, request("E", "good"));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->status, "Creating");
    EXPECT_EQ(endpoints_->create(account_, kRegion, request("e", "good")).error().message,
              "Cannot create already existing endpoint \"" + made->arn + "\".");
    const Endpoint served = settled("E");
    EXPECT_EQ(served.status, "InService");
    ASSERT_EQ(served.variants.size(), 1u);
    EXPECT_EQ(served.variants[0].current_count, 1);
    EXPECT_EQ(invoke("E"), "1.7-1");
    const executors::RunSpec spec = executor_.runs()[0].spec;
    EXPECT_EQ(spec.command, (std::vector<std::string>{"/usr/bin/millwright-algorithms", "serve"}));
    EXPECT_EQ(spec.environment.at("MILLWRIGHT_ALGORITHM"), "xgboost");
    EXPECT_EQ(spec.mounts[0].target, "/opt/ml/model");
    EXPECT_EQ(spec.mounts[0].mode, executors::Mount::Mode::ReadOnly);
    EXPECT_TRUE(std::filesystem::exists(spec.mounts[0].source + "/xgboost-model"));
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "E"));
    EXPECT_NE(settled("E").status.find("Could not find endpoint"), std::string::npos);
    EXPECT_EQ(invoke("E"), "no route");
    EXPECT_TRUE(executor_.runs()[0].cleaned);
    EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/endpoints"));
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("E", "good"))) << "the name is free again";
    EXPECT_EQ(settled("E").status, "InService");
}

TEST_F(EndpointsTest, AnImageIsServedOnItsPort) {
    make_image_model("image", "ok");
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "image")));
    ASSERT_EQ(settled("e").status, "InService");
    EXPECT_EQ(invoke("e"), "image");
    ASSERT_EQ(executor_.runs().size(), 2u);
    const executors::RunSpec spec = executor_.runs()[0].spec;
    EXPECT_EQ(spec.command, std::vector<std::string>{"serve"});
    ASSERT_TRUE(spec.image);
    EXPECT_EQ(spec.image->layers, std::vector<std::string>{"/layers/1"});
    EXPECT_FALSE(spec.image->entrypoint) << "its own";
    EXPECT_EQ(spec.served_port, 8080);
    EXPECT_EQ(spec.environment.at("SAGEMAKER_BIND_TO_PORT"), "8080");
    EXPECT_EQ(spec.environment.at("MINE"), "yes");
    EXPECT_TRUE(spec.environment.at("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").starts_with("/v2/credentials/"));
    EXPECT_FALSE(spec.environment.contains("PATH"));
    EXPECT_TRUE(std::filesystem::exists(spec.mounts.at(0).source + "/xgboost-model"));
    // A new server finds the port again.
    endpoints_.reset();
    executor_.forget_listeners();
    open();
    EXPECT_TRUE(eventually([&] { return invoke("e") == "image"; }));
    EXPECT_EQ(executor_.runs().size(), 2u);
    // One that fails is replaced.
    executor_.end(executor_.alive().at(1), executors::RunOutcome::Cause::Exited);
    EXPECT_TRUE(eventually([&] { return executor_.runs().size() == 3 && executor_.alive().size() == 2; }));
    EXPECT_TRUE(identity_->job_credentials(spec.environment.at("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")));
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "e"));
    EXPECT_NE(settled("e").status.find("Could not find endpoint"), std::string::npos);
    EXPECT_FALSE(identity_->job_credentials(spec.environment.at("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")));
}

TEST_F(EndpointsTest, AnIsolatedImageHasNoWayOut) {
    make_image_model("isolated", "ok", true);
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "isolated")));
    ASSERT_EQ(settled("e").status, "InService");
    const executors::RunSpec spec = executor_.runs()[0].spec;
    EXPECT_TRUE(spec.network_isolation);
    EXPECT_FALSE(spec.environment.contains("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    EXPECT_FALSE(spec.environment.contains("AWS_ENDPOINT_URL"));
}

TEST_F(EndpointsTest, WhatPingSaidIsInTheReason) {
    make_image_model("image-exits", "exit");
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "image-exits")));
    EXPECT_EQ(settled("e").failure_reason,
              "The primary container for production variant AllTraffic did not pass the ping health check. "
              "Please check CloudWatch logs for this endpoint. (it ended with exit code 1)");
    make_image_model("image-late", "late");
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("late", "image-late")));
    EXPECT_TRUE(eventually([&] { return executor_.alive().size() == 2; }));
    const auto changing = [&] { return endpoints_->describe(account_, kRegion, "late")->changing(); };
    for (int i = 0; i < 20 && changing(); ++i) {
        EXPECT_TRUE(eventually([&] { return executor_.all_have_answered() || !changing(); }));
        if (!changing()) break;
        for (const auto& id : executor_.alive()) executor_.end(id, executors::RunOutcome::Cause::Exited);
    }
    const auto reason = settled("late").failure_reason;
    EXPECT_NE(reason.find("/ping was last asked at 20"), std::string::npos) << reason;
    EXPECT_NE(reason.find("it answered 503; then it ended with exit code 1)"), std::string::npos) << reason;
}

TEST_F(EndpointsTest, AnImageThatIsGoneFailsTheEndpointAtOnce) {
    make_image_model("gone", "ok");
    image_files_.remove("registry.example/mine:1");
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "gone")));
    const Endpoint failed = settled("e");
    EXPECT_EQ(failed.status, "Failed");
    EXPECT_EQ(failed.failure_reason,
              "Please make sure all images included in the model for the production variant AllTraffic exist, and that "
              "the execution role used to create the model has permissions to access them. (there is no image "
              "registry.example/mine:1)");
    EXPECT_TRUE(executor_.runs().empty());
}

TEST_F(EndpointsTest, DeletingDoesNotWaitForAPull) {
    make_image_model("slow", "ok");
    image_files_.hold();
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "slow")));
    image_files_.wait_until_held();
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "e"));
    EXPECT_NE(settled("e").status.find("Could not find endpoint"), std::string::npos);
    // Nor does the end of the server.
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "slow")));
    image_files_.wait_until_held();
    endpoints_.reset();
    image_files_.release();
    open();
    EXPECT_EQ(settled("e").status, "InService");
}

TEST_F(EndpointsTest, AReplicaThatKeepsExitingFailsTheEndpoint) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "exits")));
    const Endpoint failed = settled("e");
    EXPECT_EQ(failed.status, "Failed");
    EXPECT_EQ(failed.failure_reason,
              "The primary container for production variant AllTraffic did not pass the ping health check. "
              "Please check CloudWatch logs for this endpoint. (it ended with exit code 1)");
    EXPECT_EQ(executor_.runs().size(), 3u);
    EXPECT_TRUE(eventually([&] { return std::filesystem::is_empty(folder_ + "/endpoints"); }));
    EXPECT_EQ(endpoints_->update(account_, kRegion, request("e", "good")).error().kind, ErrorKind::Conflict);
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "e"));
    EXPECT_NE(settled("e").status.find("Could not find"), std::string::npos);
}

TEST_F(EndpointsTest, BrokenModelDataFailsWithItsAddress) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "broken")));
    const Endpoint failed = settled("e");
    EXPECT_EQ(failed.status, "Failed");
    EXPECT_NE(failed.failure_reason.find("s3://bucket/broken.tar.gz"), std::string::npos) << failed.failure_reason;
}

TEST_F(EndpointsTest, AnUpdateLosesNoRequest) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "good")));
    ASSERT_EQ(settled("e").status, "InService");
    std::atomic<bool> stop{false};
    std::atomic<int> asked{0}, failed{0};
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i)
        clients.emplace_back([&] {
            while (!stop) {
                const auto route = endpoints_->routes().find(account_, kRegion, "e");
                ++asked;
                if (!route || route->variants.empty() || route->variants[0].replicas.empty() ||
                    !route->variants[0].replicas[0]->channel->invoke({}, 1s))
                    ++failed;
            }
        });
    for (int round = 0; round < 6; ++round) {
        ASSERT_TRUE(endpoints_->update(account_, kRegion, request("e", round % 2 == 0 ? "newer" : "good")));
        EXPECT_EQ(endpoints_->update(account_, kRegion, request("e", "good")).error().message,
                  "Cannot update in-progress endpoint \"arn:aws:sagemaker:us-west-2:" + account_ + ":endpoint/e\".");
        const Endpoint now = settled("e");
        EXPECT_EQ(now.status, "InService");
        EXPECT_EQ(now.config_name, round % 2 == 0 ? "newer" : "good");
        EXPECT_EQ(invoke("e"), round % 2 == 0 ? "1.5-1" : "1.7-1");
    }
    stop = true;
    clients.clear();
    EXPECT_EQ(failed, 0) << "of " << asked;
    EXPECT_GT(asked, 50);
    EXPECT_TRUE(eventually([&] { return executor_.alive().size() == 1; })) << "old replicas are stopped";
}

TEST_F(EndpointsTest, AFailedUpdateKeepsTheOldVersion) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "good")));
    ASSERT_EQ(settled("e").status, "InService");
    ASSERT_TRUE(endpoints_->update(account_, kRegion, request("e", "exits")));
    const Endpoint now = settled("e");
    EXPECT_EQ(now.status, "InService");
    EXPECT_EQ(now.config_name, "good");
    EXPECT_NE(now.failure_reason.find("did not pass the ping health check"), std::string::npos);
    EXPECT_EQ(invoke("e"), "1.7-1");
    ASSERT_TRUE(endpoints_->update(account_, kRegion, request("e", "newer"))) << "it can be tried again";
    EXPECT_EQ(settled("e").failure_reason, "");
    EXPECT_EQ(invoke("e"), "1.5-1");
}

TEST_F(EndpointsTest, ADeadOrSickReplicaIsReplaced) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "good")));
    ASSERT_EQ(settled("e").status, "InService");
    const std::string first = executor_.alive().at(0);
    executor_.end(first, executors::RunOutcome::Cause::Exited);
    EXPECT_TRUE(eventually([&] { return invoke("e") == "1.7-1"; }));
    const std::string second = executor_.alive().at(0);
    EXPECT_NE(second, first);
    executor_.behave(second, "silent");
    EXPECT_TRUE(eventually([&] { return executor_.alive() != std::vector{second} && invoke("e") == "1.7-1"; }));
    EXPECT_EQ(endpoints_->describe(account_, kRegion, "e")->status, "InService");
}

TEST_F(EndpointsTest, ARestartedServerTakesReplicasOver) {
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("kept", "good")));
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("died", "newer")));
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("creating", "silent")));
    ASSERT_EQ(settled("kept").status, "InService");
    ASSERT_EQ(settled("died").status, "InService");
    ASSERT_TRUE(eventually([&] { return executor_.runs().size() == 3; })) << "the third never settles";
    endpoints_->shut_down();
    executor_.forget_listeners();
    const auto before = executor_.runs();
    for (const auto& run : before)
        if (run.spec.environment.at("MILLWRIGHT_ALGORITHM_VERSION") == "1.5-1")
            executor_.end(run.spec.id, executors::RunOutcome::Cause::Exited);
    endpoints_.reset();
    open();
    EXPECT_TRUE(eventually([&] { return invoke("kept") == "1.7-1" && invoke("died") == "1.5-1"; }));
    EXPECT_EQ(executor_.runs().size(), before.size() + 1) << "only the dead one is started again";
    EXPECT_EQ(endpoints_->describe(account_, kRegion, "creating")->status, "Creating");
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "creating"));
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "kept"));
    ASSERT_TRUE(endpoints_->remove(account_, kRegion, "died"));
    EXPECT_TRUE(
        eventually([&] { return executor_.alive().empty() && std::filesystem::is_empty(folder_ + "/endpoints"); }));
}

TEST_F(EndpointsTest, WeightsAndCountsChangeWhileServing) {
    make_config("two", Json::array({variant("a", "good", 2, 3), variant("b", "newer", 1, 1)}));
    ASSERT_TRUE(endpoints_->create(account_, kRegion, request("e", "two")));
    ASSERT_EQ(settled("e").status, "InService");
    EXPECT_EQ(executor_.alive().size(), 3u);
    const Json wish = Json::object(
        {{"EndpointName", "e"},
         {"DesiredWeightsAndCapacities",
          Json::array({Json::object({{"VariantName", "a"}, {"DesiredWeight", 0.5}, {"DesiredInstanceCount", 1}}),
                       Json::object({{"VariantName", "b"}, {"DesiredInstanceCount", 3}})})}});
    ASSERT_TRUE(endpoints_->update_weights_and_capacities(account_, kRegion, wish));
    const Endpoint now = settled("e");
    EXPECT_EQ(now.status, "InService");
    EXPECT_EQ(now.variants[0].desired_weight, 0.5);
    EXPECT_EQ(now.variants[1].current_count, 3);
    EXPECT_TRUE(eventually([&] { return executor_.alive().size() == 4; }));
    const auto route = endpoints_->routes().find(account_, kRegion, "e");
    EXPECT_EQ(route->variants[0].weight, 0.5);
    EXPECT_EQ(route->variants[0].replicas.size(), 1u);
    Json update = request("e", "two");
    update.set("RetainAllVariantProperties", true);
    ASSERT_TRUE(endpoints_->update(account_, kRegion, update));
    EXPECT_EQ(settled("e").variants[1].desired_count, 3);
}

TEST_F(EndpointsTest, WhatIsMissingOrUnsupportedIsRefused) {
    EXPECT_EQ(
        endpoints_->create(account_, kRegion, request("e", "none")).error().message,
        "Could not find endpoint configuration \"arn:aws:sagemaker:us-west-2:" + account_ + ":endpoint-config/none\".");
    EXPECT_EQ(endpoints_->describe(account_, kRegion, "e").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(endpoints_->remove(account_, kRegion, "e").error().kind, ErrorKind::NotFound);
    EXPECT_EQ(endpoints_->update(account_, kRegion, request("e", "good")).error().kind, ErrorKind::NotFound);
    Json rolling = request("e", "good");
    rolling.set("DeploymentConfig", Json::object());
    EXPECT_EQ(endpoints_->create(account_, kRegion, rolling).error().message,
              "Millwright does not support DeploymentConfig yet.");
    const auto refusal = [&](Json variant_document, std::string_view member, Json value) {
        variant_document.set(member, std::move(value));
        const auto made =
            configs_->create(account_, kRegion,
                             Json::object({{"EndpointConfigName", "c"},
                                           {"ProductionVariants", Json::array({std::move(variant_document)})}}));
        return made ? "" : made.error().message;
    };
    const Json base = variant("v", "good", 1);
    EXPECT_EQ(refusal(base, "ServerlessConfig", Json::object()),
              "Millwright does not support ProductionVariants.ServerlessConfig yet.");
    EXPECT_EQ(refusal(base, "InstanceType", "ml.none.large"), "Unknown instance type ml.none.large.");
    EXPECT_NE(refusal(base, "ModelName", "none").find("Could not find model"), std::string::npos);
    EXPECT_EQ(refusal(base, "InitialVariantWeight", 0.0),
              "At least one production variant must have a weight greater than zero.");
    EXPECT_NE(refusal(base, "InitialInstanceCount", 1000).find("service limit"), std::string::npos);
    EXPECT_EQ(
        configs_
            ->create(account_, kRegion,
                     Json::object({{"EndpointConfigName", "c"}, {"ProductionVariants", Json::array({base, base})}}))
            .error()
            .message,
        "Production variant names must be unique: v.");
    for (const char* member :
         {"DataCaptureConfig", "AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants"}) {
        Json config = Json::object({{"EndpointConfigName", "c"}, {"ProductionVariants", Json::array({base})}});
        config.set(member, Json::object());
        EXPECT_EQ(configs_->create(account_, kRegion, config).error().message,
                  "Millwright does not support " + std::string(member) + " yet.");
    }
}

}  // namespace
}  // namespace millwright::resources
