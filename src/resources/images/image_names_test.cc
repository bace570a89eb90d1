#include "resources/images/image_names.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "executors/fake/fake_images.h"
#include "resources/identity/policy_store.h"
#include "resources/identity/role_store.h"

namespace millwright::resources {
namespace {

// What was pushed.
class FakeRepositories final : public ImageRepositories {
  public:
    Result<Found> find(const oci::Reference& reference) override {
        Found found;
        const auto repository = repositories.find(reference.host + "/" + reference.repository);
        if (repository == repositories.end()) return found;
        found.repository = true;
        found.image = tags.contains(reference.repository + ":" + reference.tag);
        return found;
    }
    Result<aws::Access> access(const oci::Reference& reference, const std::string& action) override {
        const auto host = oci::parse_ecr_host(reference.host);
        aws::Access access;
        access.action = action;
        access.resource = "arn:aws:ecr:" + host->region + ":" + host->account + ":repository/" + reference.repository;
        access.resource_account = host->account;
        access.resource_policy = repositories.at(reference.host + "/" + reference.repository);
        return access;
    }
    std::map<std::string, std::string> repositories;  // and their policies
    std::set<std::string> tags;
};

class ImageNamesTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_images_XXXXXX";
        folder_ = mkdtemp(name);
        database_ = metadata_store::Database::open(folder_ + "/metadata.db").value();
        identity_ = Identity::open(folder_, *database_, system_clock(), system_random(), {}).value();
        aliases_ = std::make_unique<ImageAliases>(folder_ + "/aliases.json");
        names_ = std::make_unique<ImageNames>(ImageNames::Parts{repositories_, images_, *identity_, *aliases_});
        account_ = identity_->root().account;
        host_ = account_ + ".dkr.ecr.us-west-2.amazonaws.com";
        role_ = identity_->find_role(account_, "SageMakerRole").value();
    }
    void TearDown() override {
        identity_.reset();
        database_.reset();
        std::filesystem::remove_all(folder_);
    }

    void push(const std::string& repository, const std::string& tag) {
        repositories_.repositories.emplace(host_ + "/" + repository, "");
        repositories_.tags.insert(repository + ":" + tag);
        images_.add(host_ + "/" + repository + ":" + tag, {});
    }
    ImageCaller training() { return {account_, "us-west-2", &role_}; }
    ImageCaller model() { return {account_, "us-west-2", &role_, ImageCaller::For::Model}; }
    std::string meaning(const std::string& uri) { return names_->meaning(training(), uri).value(); }
    std::string refusal(const ImageCaller& caller, const std::string& image) {
        const auto checked = names_->check(caller, image);
        if (checked) return "";
        EXPECT_EQ(checked.error().kind, ErrorKind::InvalidInput);
        return checked.error().message;
    }
    // The role may do this and nothing else.
    Role limited_role(const std::string& actions) {
        const NewRole role{
            .name = "limited",
            .assume_role_policy =
                R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}})"};
        EXPECT_TRUE(identity_->roles().create(account_, role));
        EXPECT_TRUE(identity_->policies().put_inline(
            {HolderKind::Role, account_, "limited"}, "p",
            R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":)" + actions + R"(,"Resource":"*"}})"));
        return identity_->find_role(account_, "limited").value();
    }

    std::string folder_, account_, host_;
    std::unique_ptr<metadata_store::Database> database_;
    std::unique_ptr<Identity> identity_;
    std::unique_ptr<ImageAliases> aliases_;
    FakeRepositories repositories_;
    executors::FakeImages images_;
    std::unique_ptr<ImageNames> names_;
    Role role_;
};

TEST_F(ImageNamesTest, AnImageOfAwssThatThisMachineHasIsMeant) {
    const std::string host = "763104351884.dkr.ecr.us-west-2.amazonaws.com";
    for (const std::string name : {"/pytorch-training:2.0.0-cpu-py310", "/sagemaker-tensorflow:1.12.0-cpu-py2"}) {
        EXPECT_EQ(meaning(host + name), "");
        images_.add(host + name, {});
        EXPECT_EQ(meaning(host + name), host + name);
    }
    // The built-in algorithm, but for those who bring a script.
    const std::string xgboost = host + "/sagemaker-xgboost:1.7-1";
    images_.add(xgboost, {});
    EXPECT_EQ(meaning(xgboost), "");
    auto caller = training();
    caller.script = true;
    EXPECT_EQ(names_->meaning(caller, xgboost).value(), xgboost);
}

TEST_F(ImageNamesTest, ModelsOfAFrameworkAreServedByItsPrebuiltImage) {
    names_ = std::make_unique<ImageNames>(
        ImageNames::Parts{repositories_, images_, *identity_, *aliases_, [](const FrameworkImage& framework) {
                              const std::string name = "millwright/" + framework.framework + ":1";
                              return std::vector<std::string>{name + "-gpu", name};
                          }});
    const std::string uri = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-inference:2.0.0-cpu-py310";
    const auto means = [&](const std::string& image, bool script = false) {
        auto caller = model();
        caller.script = script;
        return names_->meaning(caller, image).value();
    };
    EXPECT_EQ(means(uri), "");
    images_.add("millwright/pytorch:1", {});
    EXPECT_EQ(means(uri), "millwright/pytorch:1");
    EXPECT_EQ(meaning(uri), "") << "training has environments";
    images_.add("millwright/pytorch:1-gpu", {});
    EXPECT_EQ(means(uri), "millwright/pytorch:1-gpu");
    images_.add("millwright/xgboost:1", {});
    EXPECT_EQ(means("sagemaker-xgboost:1.7-1"), "");
    EXPECT_EQ(means("sagemaker-xgboost:1.7-1", true), "millwright/xgboost:1");
    ASSERT_TRUE(aliases_->set("pytorch-inference", "mine:2"));
    EXPECT_EQ(means(uri), "mine:2");
}

TEST_F(ImageNamesTest, WhereNothingElseRunsEverythingIsAPrebuiltImage) {
    const auto prebuilt = [](const FrameworkImage& framework) {
        return std::vector<std::string>{"millwright/" + framework.framework + ":1"};
    };
    names_ =
        std::make_unique<ImageNames>(ImageNames::Parts{repositories_, images_, *identity_, *aliases_, prebuilt, true});
    EXPECT_EQ(meaning("sagemaker-xgboost:1.7-1"), "") << "nobody built it";
    images_.add("millwright/algorithms:latest", {});
    images_.add("millwright/pytorch:1", {});
    EXPECT_EQ(meaning("sagemaker-xgboost:1.7-1"), kAlgorithmsImage);
    EXPECT_EQ(meaning("pytorch-training:2.0.0-cpu-py310"), "millwright/pytorch:1");
}

constexpr const char* kPermissions = "ecr:BatchCheckLayerAvailability, ecr:BatchGetImage, ecr:GetDownloadUrlForLayer";

TEST_F(ImageNamesTest, AliasesComeFirstThenWhatWasPushedThenWhatWeKnow) {
    const std::string known = host_ + "/pytorch-training:2.0.0-cpu-py310";
    EXPECT_EQ(meaning(known), "");
    EXPECT_EQ(meaning(host_ + "/mine:1"), "");
    push("pytorch-training", "2.0.0-cpu-py310");
    EXPECT_EQ(meaning(known), known);
    EXPECT_EQ(meaning("pytorch-training:2.0.0-cpu-py310"), "pytorch-training:2.0.0-cpu-py310");
    // Of AWS's account it was not pushed.
    EXPECT_EQ(meaning("763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.0.0-cpu-py310"), "");
    ASSERT_TRUE(aliases_->set("pytorch-training", "millwright/pytorch:1"));
    EXPECT_EQ(meaning(known), "millwright/pytorch:1");
}

TEST_F(ImageNamesTest, APushedImageIsFound) {
    push("team/mine", "v1");
    EXPECT_EQ(refusal(training(), host_ + "/team/mine:v1"), "");
    EXPECT_EQ(refusal(model(), host_ + "/team/mine:v1"), "");
    EXPECT_EQ(refusal({account_, "us-west-2", nullptr, ImageCaller::For::Model}, host_ + "/team/mine:v1"), "");
}

TEST_F(ImageNamesTest, WhatIsMissingIsSaidInAwsWords) {
    push("mine", "v1");
    EXPECT_EQ(refusal(training(), host_ + "/yours:v1"),
              "Cannot find repository: yours in registry ID: " + account_ +
                  " Please check if your ECR repository exists and role " + role_.arn +
                  " has proper pull permissions for SageMaker: " + kPermissions);
    EXPECT_EQ(refusal(training(), host_ + "/mine:v2"),
              "Cannot find requested image: v2 in repository: mine in registry ID: " + account_ +
                  " Please check if your ECR image exists and role " + role_.arn +
                  " has proper pull permissions for SageMaker: " + kPermissions);
    EXPECT_EQ(refusal(model(), host_ + "/mine:v2"), "Requested image " + host_ + "/mine:v2 not found.");
    EXPECT_TRUE(refusal(training(), host_ + "/Mine:v2").starts_with("Invalid training image. Please provide a valid "));
    EXPECT_TRUE(refusal(model(), host_ + "/Mine:v2").starts_with("ECR image \"" + host_ + "/Mine:v2\" is invalid"));
}

TEST_F(ImageNamesTest, AnImageOfAwsThatWeDoNotHaveIsExplained) {
    const auto text = refusal(training(), "763104351884.dkr.ecr.us-west-2.amazonaws.com/huggingface-training:1");
    EXPECT_TRUE(text.starts_with("Cannot find repository: huggingface-training in registry ID: 763104351884"));
    EXPECT_NE(text.find("millwright images alias"), std::string::npos);
}

TEST_F(ImageNamesTest, TheRoleMustBeAllowedToPull) {
    push("mine", "v1");
    Role role = limited_role(R"(["s3:*","ecr:BatchGetImage"])");
    const ImageCaller caller{account_, "us-west-2", &role};
    EXPECT_EQ(refusal(caller, host_ + "/mine:v1"), "Access denied for repository: mine in registry ID: " + account_ +
                                                       ". Please check if your ECR repository exists and role " +
                                                       role.arn +
                                                       " has proper pull permissions for SageMaker: " + kPermissions);
    ASSERT_TRUE(identity_->policies().put_inline(
        {HolderKind::Role, account_, "limited"}, "p",
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:us-west-2:)" +
            account_ + R"(:repository/mine"}})"));
    EXPECT_EQ(refusal(caller, host_ + "/mine:v1"), "");
}

TEST_F(ImageNamesTest, ARepositoryOfAnotherAccountMustGrantItItself) {
    const auto other = identity_->create_account("other")->account;
    const std::string host = other + ".dkr.ecr.us-west-2.amazonaws.com";
    repositories_.repositories[host + "/theirs"] = "";
    repositories_.tags.insert("theirs:1");
    images_.add(host + "/theirs:1", {});
    EXPECT_TRUE(refusal(training(), host + "/theirs:1").starts_with("Access denied for repository: theirs"));
    EXPECT_TRUE(refusal({account_, "us-west-2", nullptr, ImageCaller::For::Model}, host + "/theirs:1")
                    .starts_with("The repository of your image " + host + "/theirs:1 does not grant "));
    repositories_.repositories[host + "/theirs"] =
        R"({"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::)" + account_ +
        R"(:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}})";
    EXPECT_EQ(refusal(training(), host + "/theirs:1"), "");
}

TEST_F(ImageNamesTest, NamesWithoutAHostAreLookedForEverywhere) {
    push("mine", "v1");
    images_.add("local:1", {});
    images_.add("mine:v1", {});
    EXPECT_EQ(refusal(training(), "local:1"), "");
    EXPECT_EQ(refusal(training(), "mine:v1"), "");
    EXPECT_EQ(refusal(training(), "absent:1"), "there is no image absent:1");
    EXPECT_EQ(refusal(training(), "registry.example/absent:1"), "there is no image registry.example/absent:1");
}

}  // namespace
}  // namespace millwright::resources
