#include "algorithms/xgboost/data.h"

#include <gmock/gmock.h>

#include "algorithms/common/recordio.h"
#include "algorithms/xgboost/testing.h"

namespace millwright::algorithms::xgboost {
namespace {

using testing::HasSubstr;

TEST(ContentTypes, AreTakenWithTheirParameters) {
    for (const char* csv : {"csv", "text/csv", "TEXT/CSV; label_size=1", "text/csv;label_size=1;charset=utf8",
                            "text/csv; label_size=\"1\""}) {
        EXPECT_EQ(data_format(csv).value(), DataFormat::Csv) << csv;
    }
    for (const char* libsvm : {"", "libsvm", "text/libsvm ;charset=utf8", "text/x-libsvm"})
        EXPECT_EQ(data_format(libsvm).value(), DataFormat::Libsvm);
    EXPECT_EQ(data_format("application/x-recordio-protobuf").value(), DataFormat::RecordIo);
}

TEST(ContentTypes, OthersAreRefusedByName) {
    EXPECT_EQ(data_format("text/csv;label_size=2").error().message,
              "text/csv;label_size=2 is not an accepted csv ContentType. Optional parameter label_size must "
              "be equal to 1");
    EXPECT_THAT(data_format("application/x-parquet").error().message, HasSubstr("no Parquet reader"));
    EXPECT_THAT(data_format("application/json").error().message,
                HasSubstr("application/json is not an accepted ContentType: csv, "));
}

std::string channel_error(JobFolder& job) {
    const auto checked = check_channels(job.environment);
    return checked ? "none" : checked.error().message;
}

TEST(Channels, AreCheckedInTheContainersWords) {
    JobFolder none;
    none.add_channel("validation", "text/csv", {});
    EXPECT_EQ(channel_error(none), "Missing required channel: train");
    JobFolder extra;
    extra.add_channel("train", "text/csv", {});
    extra.add_channel("test", "text/csv", {});
    EXPECT_EQ(channel_error(extra), "Extraneous channel found: test");
    JobFolder pipe;
    pipe.add_channel("train", "text/libsvm", {});
    pipe.environment.channels[0].mode = "Pipe";
    EXPECT_THAT(channel_error(pipe), HasSubstr("Channel configuration for 'train' channel is not supported: libsvm"));
    pipe.environment.channels[0].content_type = "text/csv";
    EXPECT_EQ(channel_error(pipe), "none");
    pipe.environment.channels[0].record_wrapped = true;
    EXPECT_THAT(channel_error(pipe), HasSubstr("RecordWrapperType RecordIO"));
    JobFolder mixed;
    mixed.add_channel("train", "text/csv", {});
    mixed.add_channel("validation", "text/libsvm", {});
    EXPECT_THAT(channel_error(mixed), HasSubstr("same content type"));
}

TEST(Channels, TrainingIsTakenForTrainUnlessBothAreThere) {
    JobFolder job;
    job.add_channel("training", "text/csv", {{"a.csv", "1,2\n"}});
    EXPECT_EQ(channel_error(job), "none");
    job.add_channel("train", "text/csv", {});
    EXPECT_EQ(channel_error(job), "Extraneous channel found: training");
}

TrainingData read(JobFolder& job, std::map<std::string, std::string> hyperparameters = {{"num_round", "1"}}) {
    JobLog log("XGBoost", "algo-1", stderr);
    return read_channels(job.environment, check_hyperparameters(hyperparameters, "1.7-1").value(), log).value();
}

TEST(Channels, CsvWeightsAreTheSecondColumn) {
    JobFolder job;
    job.add_channel("train", "text/csv", {{"a.csv", "1,0.5,7,8\n0,2,9,\n"}});
    const TrainingData data = read(job, {{"num_round", "1"}, {"csv_weights", "1"}});
    EXPECT_EQ(data.train->columns, 2U);
    EXPECT_EQ(data.train->weights, (std::vector<float>{0.5F, 2}));
    EXPECT_TRUE(std::isnan(data.train->values[3]));
    EXPECT_FALSE(data.has_validation_channel);
}

TEST(Channels, SemicolonsAndTabsAreFoundOut) {
    JobFolder job;
    job.add_channel("train", "text/csv", {{"a.csv", "1;2;3\n0;4;5\n"}});
    job.add_channel("validation", "text/csv", {{"b.csv", "1\t2\t3\n"}});
    const TrainingData data = read(job);
    EXPECT_EQ(data.train->columns, 2U);
    EXPECT_EQ(data.validation->columns, 2U);
}

TEST(Channels, RecordIoBringsLabels) {
    std::string bytes;
    const std::vector<float> values = {1, 2, 3};
    const std::vector<float> label = {1};
    append_record(bytes, {.features = {{.name = "values", .values = values, .keys = {}, .shape = {}}},
                          .label = {{.name = "values", .values = label, .keys = {}, .shape = {}}},
                          .uid = {},
                          .metadata = {}});
    JobFolder job;
    job.add_channel("train", "application/x-recordio-protobuf", {{"matrix_0.pbr", bytes}});
    const TrainingData data = read(job);
    EXPECT_EQ(data.train->columns, 3U);
    EXPECT_EQ(data.train->labels[0], 1);
}

TEST(Channels, MarkerFilesAreSkipped) {
    JobFolder job;
    job.add_channel("train", "text/csv", {{"_SUCCESS", "x"}, {"part/a.csv", "1,2\n"}, {"part/b.csv", "0,3\n"}});
    EXPECT_EQ(read(job).train->rows, 2U);
}

}  // namespace
}  // namespace millwright::algorithms::xgboost
