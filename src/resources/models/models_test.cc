#include "resources/models/models.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "resources/models/model_data.h"

namespace millwright::resources {
namespace {

constexpr std::string_view kRegion = "us-west-2";

class TestClock final : public Clock {
  public:
    Timestamp now() const override { return time += std::chrono::milliseconds(1); }
    Monotonic monotonic() const override { return {}; }
    mutable Timestamp time = from_epoch_milliseconds(1'800'000'000'000);
};

class ModelsTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_models_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = Identity::open(folder_, *database_, clock_, system_random(), {}).value();
        objects_ = object_store::ObjectStore::open(folder_ + "/objects", *database_, clock_, system_random()).value();
        tags_ = Tags::open(*database_).value();
        models_ = Models::open({*database_, *objects_, *identity_, *tags_, clock_}).value();
        account_ = identity_->root().account;
        EXPECT_TRUE(objects_->create_bucket(account_, kRegion, "bucket"));
        put("m/model.tar.gz");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void put(std::string_view key) { EXPECT_TRUE(objects_->put("bucket", key, {}, object_store::source_of("bytes"))); }
    static Json request(std::string_view name, Json container) {
        return Json::object({{"ModelName", name},
                             {"PrimaryContainer", std::move(container)},
                             {"ExecutionRoleArn", "arn:aws:iam::123456789012:role/SageMakerRole"}});
    }
    static Json container() {
        return Json::object({{"Image", "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:1.7-1"},
                             {"ModelDataUrl", "s3://bucket/m/model.tar.gz"}});
    }
    std::string refusal(const Json& wanted) {
        const auto made = models_->create(account_, kRegion, wanted);
        return made ? "" : made.error().message;
    }

    std::string folder_, account_;
    TestClock clock_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Identity> identity_;
    std::unique_ptr<object_store::ObjectStore> objects_;
    std::unique_ptr<Tags> tags_;
    std::unique_ptr<Models> models_;
};

TEST_F(ModelsTest, AModelIsFoundWithoutRegardToCaseAndGoneWhenDeleted) {
    Json wanted = request("My-Model", container());
    wanted.set("Tags", Json::array({Json::object({{"Key", "k"}, {"Value", "v"}})}));
    const auto made = models_->create(account_, kRegion, wanted);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->arn, "arn:aws:sagemaker:us-west-2:" + account_ + ":model/my-model");
    EXPECT_EQ(models_->find(account_, kRegion, "my-model")->name.name, "My-Model");
    EXPECT_EQ(tags_->list(made->arn)->size(), 1u);
    EXPECT_EQ(refusal(request("MY-MODEL", container())), "Cannot create already existing model \"" + made->arn + "\".");
    ASSERT_TRUE(models_->remove(account_, kRegion, "my-model"));
    EXPECT_EQ(models_->find(account_, kRegion, "My-Model").error().message,
              "Could not find model \"" + made->arn + "\".");
    EXPECT_EQ(models_->remove(account_, kRegion, "My-Model").error().kind, ErrorKind::NotFound);
    EXPECT_FALSE(tags_->list(made->arn));
}

TEST_F(ModelsTest, WhatCannotBeServedIsRefusedByName) {
    const auto with = [](std::string_view member, Json value) {
        Json out = container();
        out.set(member, std::move(value));
        return request("m", out);
    };
    const std::string pytorch = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:2.0-cpu";
    EXPECT_NE(refusal(with("Image", pytorch)).find("`millwright images build pytorch-2.0`"), std::string::npos);
    Json scripted = container();
    scripted.set("Image", "174872318107.dkr.ecr.us-west-2.amazonaws.com/pca:1");
    scripted.set("Environment", Json::object({{"SAGEMAKER_PROGRAM", "inference.py"}}));
    EXPECT_NE(refusal(request("m", scripted)).find("it takes no script"), std::string::npos);
    EXPECT_EQ(refusal(with("Mode", "MultiModel")), "Millwright does not support Mode MultiModel yet.");
    EXPECT_EQ(refusal(with("ModelPackageName", "p")),
              "Millwright does not support PrimaryContainer.ModelPackageName yet.");
    EXPECT_NE(refusal(with("Environment", Json::object({{"SAGEMAKER_PROGRAM", "inference.py"}})))
                  .find("`millwright images build xgboost-1.7-1`"),
              std::string::npos);
    EXPECT_EQ(refusal(with("ModelDataUrl", "s3://bucket/none.tar.gz")),
              "Could not find model data at s3://bucket/none.tar.gz.");
    EXPECT_EQ(refusal(with("ModelDataUrl", "s3://nowhere/x")), "Could not find model data at s3://nowhere/x.");
    Json no_data = container();
    no_data.erase("ModelDataUrl");
    EXPECT_EQ(refusal(request("m", no_data)),
              "ModelDataUrl or ModelDataSource is required for the built-in algorithms.");
    Json pipeline = request("m", container());
    pipeline.set("Containers", Json::array({container()}));
    EXPECT_EQ(refusal(pipeline), "Millwright does not support Containers yet.");
    Json vpc = request("m", container());
    vpc.set("VpcConfig", Json::object());
    EXPECT_EQ(refusal(vpc), "Millwright does not support VpcConfig yet.");
    EXPECT_EQ(models_->list(account_, kRegion, {})->items.size(), 0u) << "a refused request must leave nothing";
}

TEST_F(ModelsTest, AnAlgorithmMayBeServedFromItsImage) {
    const auto served = read_container(container(), "millwright/algorithms:latest");
    ASSERT_TRUE(served);
    EXPECT_EQ(served->own_image, "millwright/algorithms:latest");
    EXPECT_EQ(served->algorithm + " " + served->algorithm_version, "xgboost 1.7-1");
    EXPECT_EQ(read_container(container(), "mine:1")->algorithm, "") << "an image of the user's";
    EXPECT_EQ(read_container(container())->own_image, "");
}

TEST_F(ModelsTest, ModelDataSourcesComeInThreeForms) {
    const auto source = [](const char* uri, const char* type, const char* compression) {
        Json out = container();
        out.erase("ModelDataUrl");
        out.set(
            "ModelDataSource",
            Json::object({{"S3DataSource",
                           Json::object({{"S3Uri", uri}, {"S3DataType", type}, {"CompressionType", compression}})}}));
        return out;
    };
    const auto form = [&](const Json& c) { return read_container(c)->data.form; };
    EXPECT_EQ(form(source("s3://bucket/m/model.tar.gz", "S3Object", "Gzip")), ModelData::Form::TarGzip);
    EXPECT_EQ(form(source("s3://bucket/m/model.tar.gz", "S3Object", "None")), ModelData::Form::File);
    EXPECT_EQ(form(source("s3://bucket/m/", "S3Prefix", "None")), ModelData::Form::Prefix);
    EXPECT_FALSE(read_container(source("s3://bucket/m/", "S3Prefix", "Gzip")));
    EXPECT_FALSE(read_container(source("s3://bucket/m", "S3Prefix", "None")));
    EXPECT_EQ(refusal(request("a", source("s3://bucket/m/", "S3Prefix", "None"))), "");
    EXPECT_EQ(refusal(request("b", source("s3://bucket/none/", "S3Prefix", "None"))),
              "Could not find model data at s3://bucket/none/.");
    put("p/a/one");
    put("p/two");
    ASSERT_TRUE(fetch_model_data(*objects_, {ModelData::Form::Prefix, "s3://bucket/p/"}, folder_ + "/out", {}));
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/out/a/one"));
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/out/two"));
    put("evil/../../up");
    EXPECT_EQ(
        fetch_model_data(*objects_, {ModelData::Form::Prefix, "s3://bucket/evil/"}, folder_ + "/out2", {}).error().kind,
        ErrorKind::InvalidInput);
    EXPECT_NE(
        fetch_model_data(*objects_, {ModelData::Form::TarGzip, "s3://bucket/m/model.tar.gz"}, folder_ + "/out3", {})
            .error()
            .message.find("Failed to extract model data archive"),
        std::string::npos);
}

TEST_F(ModelsTest, AnUntrustedRoleIsRefused) {
    IdentitySettings strict;
    strict.lenient_roles = false;
    identity_ = Identity::open(folder_, *database_, clock_, system_random(), strict).value();
    models_ = Models::open({*database_, *objects_, *identity_, *tags_, clock_}).value();
    EXPECT_NE(refusal(request("m", container())).find("Could not assume role"), std::string::npos);
}

TEST_F(ModelsTest, ListingsFilterSortAndContinue) {
    for (const char* name : {"b", "a", "cc", "c"}) ASSERT_EQ(refusal(request(name, container())), "");
    const auto names = [&](RecordQuery query) {
        std::string out;
        for (int page = 0; page < 10; ++page) {
            const auto got = models_->list(account_, kRegion, query);
            if (!got) return got.error().message;
            for (const RecordSummary& item : got->items) out += item.name + " ";
            if (got->next.empty()) break;
            query.after = got->next;
        }
        return out;
    };
    for (const size_t page_size : {1u, 2u, 3u, 10u}) {
        RecordQuery query;
        query.max_results = page_size;
        EXPECT_EQ(names(query), "c cc a b ") << "newest first, pages of " << page_size;
        query.ascending = true;
        EXPECT_EQ(names(query), "b a cc c ");
        query.sort_by = RecordQuery::SortBy::Name;
        EXPECT_EQ(names(query), "a b c cc ");
        query.ascending = false;
        EXPECT_EQ(names(query), "cc c b a ");
        query.name_contains = "C";
        EXPECT_EQ(names(query), "cc c ");
    }
    RecordQuery by_time;
    by_time.created_after = models_->find(account_, kRegion, "a")->created;
    EXPECT_EQ(names(by_time), "c cc ");
    by_time.created_before = models_->find(account_, kRegion, "c")->created;
    EXPECT_EQ(names(by_time), "cc ");
    RecordQuery broken;
    broken.after = {"x", "y"};
    EXPECT_EQ(names(broken), "not a position of this listing");
}

}  // namespace
}  // namespace millwright::resources
