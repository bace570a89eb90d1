#include "aws/audit_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/json.h"
#include "base/strings.h"

namespace millwright::aws {
namespace {

class AuditLogTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/mw_audit_XXXXXX";
        folder_ = mkdtemp(name);
        settings_.folder = folder_ + "/audit";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    size_t files() const {
        size_t count = 0;
        for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(settings_.folder)) ++count;
        return count;
    }
    std::vector<Json> lines() const {
        std::vector<Json> out;
        std::vector<std::string> paths;
        for (const auto& entry : std::filesystem::directory_iterator(settings_.folder)) paths.push_back(entry.path());
        std::sort(paths.begin(), paths.end());
        for (const std::string& path : paths) {
            const std::string text = *read_file(path);
            for (const std::string_view line : split(text, '\n'))
                if (!line.empty()) out.push_back(Json::parse(line).value());
        }
        return out;
    }

    std::string folder_;
    AuditLogSettings settings_;
};

AuditRecord record_of(std::string request) {
    AuditRecord record;
    record.request_id = std::move(request);
    record.arn = "arn:aws:iam::123456789012:user/ada";
    record.operation = "ListModels";
    record.decision = "allow";
    record.status = 200;
    return record;
}

TEST_F(AuditLogTest, EverythingIsThereWhenTheLogIsClosed) {
    {
        const auto log = AuditLog::open(settings_).value();
        for (int i = 0; i < 5000; ++i) log->record(record_of(std::to_string(i)));
    }
    const auto all = lines();
    ASSERT_EQ(all.size(), 5000u);
    for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i]["request_id"].as_string(), std::to_string(i));
    EXPECT_EQ(all[0]["status"].as_int(), 200);
    EXPECT_EQ(std::filesystem::status(settings_.folder + "/audit.jsonl").permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(AuditLogTest, LinesCannotBeForged) {
    AuditRecord record = record_of("x");
    record.user_agent = "agent\"}\n{\"request_id\":\"forged\xff\r\n\t\x01";
    record.resource = std::string(100'000, 'a');
    {
        const auto log = AuditLog::open(settings_).value();
        log->record(record);
    }
    const auto all = lines();
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0]["request_id"].as_string(), "x");
    EXPECT_EQ(all[0]["resource"].as_string().size(), 2048u);
}

TEST_F(AuditLogTest, FilesAreBoundedInSizeAndNumber) {
    settings_.max_file_bytes = 2000;
    settings_.max_files = 3;
    for (int round = 0; round < 8; ++round) {
        const auto log = AuditLog::open(settings_).value();
        for (int i = 0; i < 10; ++i) log->record(record_of(std::to_string(round)));
    }
    EXPECT_EQ(files(), 3u);
    EXPECT_EQ(lines().back()["request_id"].as_string(), "7");
}

TEST_F(AuditLogTest, WhatDoesNotFitIsCounted) {
    settings_.max_waiting_bytes = 1000;
    {
        const auto log = AuditLog::open(settings_).value();
        for (int i = 0; i < 2000; ++i) log->record(record_of("x"));
    }
    int64_t counted = 0;
    for (const Json& line : lines()) counted += line.has("lost") ? line["lost"].as_int() : 1;
    EXPECT_EQ(counted, 2000);
}

}  // namespace
}  // namespace millwright::aws
