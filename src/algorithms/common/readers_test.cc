#include "algorithms/common/readers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "algorithms/common/recordio.h"
#include "base/files.h"

namespace millwright::algorithms {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

class Readers : public ::testing::Test {
  protected:
    Readers() {
        folder_ = (std::filesystem::temp_directory_path() / ("readers_test." + std::to_string(getpid()))).string();
        CHECK(make_directories(folder_).has_value());
    }
    ~Readers() override { (void)remove_tree(folder_).has_value(); }
    std::string write(const std::string& name, std::string_view bytes) {
        const std::string path = folder_ + "/" + name;
        CHECK(make_directories(std::filesystem::path(path).parent_path().string()).has_value());
        CHECK(write_file(path, bytes).has_value());
        return path;
    }
    std::string folder_;
};

Dataset parsed(std::string_view bytes, const ReaderOptions& options) {
    auto data = parse_bytes(bytes, "input", options);
    EXPECT_TRUE(data) << data.error().message;
    return data ? std::move(*data) : Dataset{};
}

std::string failure(std::string_view bytes, const ReaderOptions& options) {
    auto data = parse_bytes(bytes, "input", options);
    EXPECT_FALSE(data);
    return data ? "" : data.error().message;
}

// --- CSV ---

constexpr ReaderOptions kCsv{.format = Format::Csv};
constexpr ReaderOptions kLabelled{.format = Format::Csv, .label_size = 1};

TEST(Csv, RowsOfNumbers) {
    const Dataset data = parsed("1,2.5,-3\n4,5e1,.5\r\n\n 7 , 8,\t9", kCsv);
    EXPECT_EQ(data.rows, 3u);
    EXPECT_EQ(data.columns, 3u);
    EXPECT_FALSE(data.sparse);
    EXPECT_THAT(data.values, ElementsAre(1, 2.5, -3, 4, 50, .5, 7, 8, 9));
    EXPECT_THAT(data.labels, IsEmpty());
}

TEST(Csv, LabelsAndWeightsComeFirst) {
    ReaderOptions options = kLabelled;
    options.csv_weights = true;
    const Dataset data = parsed("1,0.5,10,11\n0,2,12,13\n", options);
    EXPECT_THAT(data.labels, ElementsAre(1, 0));
    EXPECT_THAT(data.weights, ElementsAre(.5, 2));
    EXPECT_THAT(data.values, ElementsAre(10, 11, 12, 13));
    EXPECT_EQ(parsed("1,2,3,4\n", {.label_size = 2}).label_width, 2u);
}

TEST(Csv, EmptyFieldsAreMissingOrRefused) {
    const Dataset data = parsed("1,,3\n,,\n", kCsv);
    EXPECT_TRUE(std::isnan(data.values[1]));
    EXPECT_TRUE(std::isnan(data.values[3]) && std::isnan(data.values[5]));
    EXPECT_EQ(failure("1,2\n1,\n", {.reject_missing = true}), "input: line 2: field 2 is empty");
    EXPECT_EQ(failure("1,2\n,2\n", kLabelled), "input: line 2: the label or weight is empty");
}

TEST(Csv, DelimiterIsSniffedFromTheFirstLine) {
    const ReaderOptions options{.sniff_delimiter = true};
    for (const char* text : {"1,2\n3,4\n", "1\t2\n3\t4\n", "1;2\n3;4\n", "1 2\n 3 4 \n", "1, 2\n3 ,4\n"})
        EXPECT_THAT(parsed(text, options).values, ElementsAre(1, 2, 3, 4)) << text;
    EXPECT_EQ(parsed("1\n2\n", options).columns, 1u);
}

TEST(Csv, ByteOrderMarkIsSkipped) {
    EXPECT_THAT(parsed("\xEF\xBB\xBF"
                       "1,2\n",
                       kCsv)
                    .values,
                ElementsAre(1, 2));
}

TEST(Csv, NothingInNothingOut) {
    EXPECT_EQ(parsed("", kCsv).rows, 0u);
    EXPECT_EQ(parsed(" \n\n", kLabelled).rows, 0u);
}

TEST(Csv, ErrorsNameTheLine) {
    EXPECT_EQ(failure("a,b\n1,2\n", kCsv), "input: line 1: 'a' is not a number (CSV input has no header line)");
    EXPECT_EQ(failure("1,2\n3,x4\n", kCsv), "input: line 2: 'x4' is not a number");
    EXPECT_EQ(failure("1,2\n\n3\n", kCsv), "input: line 3: the row has 1 fields, expected 2");
    EXPECT_EQ(failure("1,2\n3,4,5\n", kCsv), "input: line 2: the row has 3 fields, expected 2");
    EXPECT_EQ(failure("1,2\n3,4,\n", kCsv), "input: line 2: the row has 3 fields, expected 2");
    EXPECT_EQ(failure("1,2\n3,4x\n", kCsv), "input: line 2: unexpected 'x' after a number");
    EXPECT_EQ(failure("1,2\n", {.columns = 3}), "input: line 1: the row has 2 fields, expected 3");
    EXPECT_EQ(failure("1\n2\n", kLabelled), "input: line 1: the row has 1 fields: no features beside the label");
    EXPECT_EQ(failure("\"1\",2\n", kCsv), "input: line 1: '\"1\"' is not a number (CSV input has no header line)");
}

TEST(Csv, BlankLinesCannotMakeItAllocate) {
    std::string text = "1";
    for (int i = 1; i < 20000; ++i) text += ",1";
    text += std::string(4 << 20, '\n');
    EXPECT_EQ(parsed(text, kCsv).rows, 1u);
}

TEST_F(Readers, CsvDoesNotDependOnPiecesOrThreads) {
    std::mt19937 random(3);
    std::string text;
    for (int row = 0; row < 500; ++row) {
        for (int column = 0; column < 7; ++column)
            text += (column ? "," : "") + std::to_string(static_cast<double>(random() % 100000) / 100);
        text += row % 11 == 0 ? "\n\n" : "\n";
    }
    const auto files = std::vector<std::string>{write("a.csv", text), write("b.csv", text)};
    const Dataset whole = parsed(text + text, kLabelled);
    for (const size_t chunk_bytes : {1, 17, 100, 5000, 1 << 20})
        for (const unsigned threads : {1, 2, 3}) {
            ReaderOptions options = kLabelled;
            options.chunk_bytes = chunk_bytes;
            options.threads = threads;
            auto data = read_files(files, options);
            ASSERT_TRUE(data) << data.error().message;
            EXPECT_EQ(data->values, whole.values);
            EXPECT_EQ(data->labels, whole.labels);
            EXPECT_EQ(data->rows, 1000u);
        }
}

// A number as some program may write it.
std::string number_text(std::mt19937& random) {
    const auto digits = [&](size_t most) {
        std::string out;
        for (size_t left = random() % (most + 1); left > 0; --left) out += static_cast<char>('0' + random() % 10);
        return out;
    };
    std::string text = std::vector<std::string>{"", "", "-", "+"}[random() % 4];
    switch (random() % 8) {
        case 0:
            return text + "0" + digits(3);
        case 1:
            return text + digits(16) + "7";
        case 2:
            return text + digits(2) + "3.";
        case 3:
            return text + "." + digits(17) + "1";
        case 4:
            return text + digits(3) + "1e" + std::to_string(static_cast<int>(random() % 90) - 45);
        case 5:
            return text + (random() % 2 ? "nan" : "inf");
        default:
            return text + digits(7) + "4." + digits(9);
    }
}

TEST(Csv, SameBitsAsStrtofForEveryKindOfField) {
    std::mt19937 random(11);
    for (int file = 0; file < 3000; ++file) {
        const size_t columns = 1 + random() % 9;
        const char delimiter = ",;\t"[random() % 3];
        const std::string line_end = random() % 4 ? "\n" : "\r\n";
        std::string text;
        std::vector<float> expected;
        for (size_t row = 0, rows = 1 + random() % 6; row < rows; ++row) {
            for (size_t column = 0; column < columns; ++column) {
                if (column > 0) text += delimiter;
                const std::string number = number_text(random);
                expected.push_back(std::strtof(number.c_str(), nullptr));
                text += random() % 9 ? number : " " + number + " ";
            }
            text += line_end;
        }
        if (random() % 2) text.resize(text.size() - line_end.size());
        const Dataset data = parsed(text, {.delimiter = delimiter});
        ASSERT_EQ(data.columns, columns) << text;
        ASSERT_EQ(data.values.size(), expected.size()) << text;
        for (size_t i = 0; i < expected.size(); ++i)
            ASSERT_EQ(std::bit_cast<uint32_t>(data.values[i]), std::bit_cast<uint32_t>(expected[i]))
                << i << " of " << text;
    }
}

TEST(Csv, UsualFieldsAreTakenWhereverTheInputEnds) {
    // Each length of the last field at each distance from the end.
    for (size_t length = 1; length < 20; ++length) {
        const std::string number = std::string("8765.43210987654321000").substr(0, length);
        for (size_t behind = 0; behind < 20; ++behind) {
            const std::string text = "1.5," + number + "," + std::string(behind + 1, '7');
            const Dataset data = parsed(text, kCsv);
            EXPECT_EQ(data.values[1], std::strtof(number.c_str(), nullptr)) << text;
            EXPECT_EQ(data.values[2], std::strtof(std::string(behind + 1, '7').c_str(), nullptr)) << text;
        }
        EXPECT_EQ(failure("1.5," + number + "x,2.5,345678901234567\n", kCsv),
                  "input: line 1: unexpected 'x' after a number");
        EXPECT_EQ(failure("1.5," + number + "..1,2.5,345678901234567\n", kCsv).substr(0, 26),
                  "input: line 1: unexpected ");
    }
    for (const char* rubbish : {"-", ".", "+", "-.", "1-", "--1", "1.2.3", "/", ":", "1:2", "e5", ".e5"})
        EXPECT_FALSE(parse_bytes("1.5," + std::string(rubbish) + ",2.5,34567890123456789\n", "input", kCsv)) << rubbish;
}

TEST_F(Readers, TheEarliestErrorWinsAndNamesItsFile) {
    std::string text;
    for (int row = 0; row < 200; ++row) text += row == 77 || row == 150 ? "bad\n" : "1.5\n";
    const auto files = std::vector<std::string>{write("good.csv", "1\n"), write("bad.csv", text)};
    for (int run = 0; run < 20; ++run) {
        auto data = read_files(files, {.chunk_bytes = 16, .threads = 2});
        ASSERT_FALSE(data);
        EXPECT_EQ(data.error().message, folder_ + "/bad.csv: line 78: 'bad' is not a number");
        EXPECT_EQ(data.error().kind, ErrorKind::InvalidInput);
    }
}

// --- libsvm ---

constexpr ReaderOptions kLibsvm{.format = Format::Libsvm};

TEST(Libsvm, LabelsWeightsQueriesAndFeatures) {
    const Dataset data =
        parsed("1:0.5 qid:3 0:1.5 4:-2 # a comment\n\n-1:2 qid:3\n+1:1 qid:9 2:1e3\r\n# end\n", kLibsvm);
    EXPECT_EQ(data.rows, 3u);
    EXPECT_EQ(data.columns, 5u);
    EXPECT_THAT(data.labels, ElementsAre(1, -1, 1));
    EXPECT_THAT(data.weights, ElementsAre(.5, 2, 1));
    EXPECT_THAT(data.query_ids, ElementsAre(3, 3, 9));
    EXPECT_THAT(data.row_starts, ElementsAre(0, 2, 2, 3));
    EXPECT_THAT(data.indices, ElementsAre(0, 4, 2));
    EXPECT_THAT(data.values, ElementsAre(1.5, -2, 1000));
}

TEST(Libsvm, OneBasedIndicesAreShiftedWhenAskedFor) {
    ReaderOptions options = kLibsvm;
    EXPECT_EQ(parsed("1 1:5 3:6\n", options).columns, 4u);
    options.shift_one_based_indices = true;
    const Dataset shifted = parsed("1 1:5 3:6\n", options);
    EXPECT_EQ(shifted.columns, 3u);
    EXPECT_THAT(shifted.indices, ElementsAre(0, 2));
    EXPECT_THAT(parsed("1 1:5\n0 0:1\n", options).indices, ElementsAre(1, 0));
    options.columns = 3;
    EXPECT_EQ(parsed("1 3:6\n", options).columns, 3u);
    EXPECT_EQ(failure("1 0:1 3:6\n", options), "input: a feature index is out of range for 3 features");
}

TEST(Libsvm, LabelsMayBeLeftOutForInference) {
    const ReaderOptions options{.format = Format::Libsvm, .label_optional = true};
    const Dataset data = parsed("0:1 2:3\n1:4\n", options);
    EXPECT_THAT(data.labels, IsEmpty());
    EXPECT_THAT(data.indices, ElementsAre(0, 2, 1));
    EXPECT_THAT(parsed("1 0:1\n", options).labels, ElementsAre(1));
}

TEST(Libsvm, ErrorsNameTheLine) {
    EXPECT_EQ(failure("1 0:1\nx 0:1\n", kLibsvm), "input: line 2: the label 'x' is not a number");
    EXPECT_EQ(failure("1 a:1\n", kLibsvm), "input: line 1: 'a:1' is not a feature index");
    EXPECT_EQ(failure("1 -1:1\n", kLibsvm), "input: line 1: '-1:1' is not a feature index");
    EXPECT_EQ(failure("1 0\n", kLibsvm), "input: line 1: expected ':' and a value after a feature index");
    EXPECT_EQ(failure("1 0:\n", kLibsvm), "input: line 1: the value '' is not a number");
    EXPECT_EQ(failure("1 0:1x\n", kLibsvm), "input: line 1: unexpected 'x' after a value");
    EXPECT_EQ(failure("1,2,3\n", kLibsvm), "input: line 1: unexpected ',2,3' after the label");
    EXPECT_EQ(failure("1 99999999999:1\n", kLibsvm), "input: line 1: the feature index 99999999999 is too large");
    EXPECT_EQ(failure("1:2 0:1\n1 0:1\n", kLibsvm), "input: line 2: some rows have a weight and some do not");
    EXPECT_EQ(failure("1 qid:1 0:1\n1 0:1\n", kLibsvm), "input: line 2: some rows have a query id and some do not");
    EXPECT_EQ(failure("1 0:1\n1 qid:1 0:1\n", kLibsvm), "input: line 2: some rows have a query id and some do not");
    EXPECT_EQ(failure("1 5:1\n", {.format = Format::Libsvm, .columns = 5}),
              "input: line 1: the feature index 5 is out of range for 5 features");
}

TEST(Libsvm, PiecesJoinToTheSameRows) {
    std::string text;
    for (int row = 0; row < 300; ++row)
        text +=
            std::to_string(row % 2) + " " + std::to_string(row % 13) + ":1 " + std::to_string(20 + row % 5) + ":2\n";
    const Dataset whole = parsed(text, kLibsvm);
    auto cut = parse_bytes(text, "input", {.format = Format::Libsvm, .chunk_bytes = 64, .threads = 3});
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->row_starts, whole.row_starts);
    EXPECT_EQ(cut->indices, whole.indices);
    EXPECT_EQ(cut->values, whole.values);
    EXPECT_EQ(cut->columns, 25u);
}

// --- RecordIO-protobuf ---

constexpr ReaderOptions kRecordIo{.format = Format::RecordIo};

std::string record(std::vector<float> values, std::vector<float> label = {}, std::vector<uint64_t> keys = {},
                   std::vector<uint64_t> shape = {}) {
    RecordParts parts;
    parts.features = {{"values", values, keys, shape}};
    if (!label.empty()) parts.label = {{"values", label, {}, {}}};
    std::string out;
    append_record(out, parts);
    return out;
}

std::string frame(std::string_view payload) {
    std::string out;
    append_frame(out, payload);
    return out;
}

std::string field(int number, std::string_view bytes) {
    return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + std::string(bytes);
}

// A record with the given bytes of a Value under features["values"].
std::string record_of_value(std::string_view value) { return frame(field(1, field(1, "values") + field(2, value))); }

std::string raw(auto number) { return {reinterpret_cast<const char*>(&number), sizeof number}; }

TEST(RecordIo, DenseRecordsWithLabels) {
    const Dataset data = parsed(record({1, 2, 3}, {7}) + record({4, 5, 6}, {8}), kRecordIo);
    EXPECT_EQ(data.rows, 2u);
    EXPECT_EQ(data.columns, 3u);
    EXPECT_THAT(data.values, ElementsAre(1, 2, 3, 4, 5, 6));
    EXPECT_THAT(data.labels, ElementsAre(7, 8));
    EXPECT_FALSE(data.sparse);
}

TEST(RecordIo, SparseRecords) {
    const Dataset data = parsed(record({1, 2}, {}, {3, 9}, {10}) + record({}, {}, {}, {10}), kRecordIo);
    EXPECT_TRUE(data.sparse);
    EXPECT_EQ(data.columns, 10u);
    EXPECT_THAT(data.row_starts, ElementsAre(0, 2, 2));
    EXPECT_THAT(data.indices, ElementsAre(3, 9));
}

TEST(RecordIo, DenseRowsBeforeSparseOnesBecomeSparse) {
    const Dataset data = parsed(record({1, 0, 2}) + record({5}, {}, {1}, {3}), kRecordIo);
    EXPECT_TRUE(data.sparse);
    EXPECT_THAT(data.row_starts, ElementsAre(0, 3, 4));
    EXPECT_THAT(data.values, ElementsAre(1, 0, 2, 5));
}

TEST(RecordIo, OtherNumberTypes) {
    const std::string doubles = field(3, field(1, raw(1.5) + raw(-2.0)));
    const std::string ints = field(7, field(1, std::string("\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)));
    EXPECT_THAT(parsed(record_of_value(doubles), kRecordIo).values, ElementsAre(1.5, -2));
    EXPECT_THAT(parsed(record_of_value(ints), kRecordIo).values, ElementsAre(5, -1));
    EXPECT_THAT(parsed(record_of_value(doubles) + record_of_value(ints), kRecordIo).values,
                ElementsAre(1.5, -2, 5, -1));
}

TEST(RecordIo, UnpackedAndSplitRepeatedFields) {
    const std::string unpacked = field(2, "\x0d" + raw(1.5f) + "\x0d" + raw(2.5f));
    const std::string split = field(2, field(1, raw(1.5f)) + field(1, raw(2.5f) + raw(3.5f)));
    const std::string both =
        field(2, field(1, raw(1.0f)) + "\x0d" + raw(2.0f) + std::string("\x10\x00\x10\x03\x18\x04", 6));
    EXPECT_THAT(parsed(record_of_value(unpacked), kRecordIo).values, ElementsAre(1.5, 2.5));
    EXPECT_THAT(parsed(record_of_value(split), kRecordIo).values, ElementsAre(1.5, 2.5, 3.5));
    const Dataset sparse = parsed(record_of_value(both), kRecordIo);
    EXPECT_THAT(sparse.indices, ElementsAre(0, 3));
    EXPECT_EQ(sparse.columns, 4u);
}

TEST(RecordIo, UnknownFieldsMapOrderAndRepeatedKeys) {
    const auto value = [](float number) { return field(2, field(1, raw(number))); };
    const std::string unknown = std::string("\x50\x01", 2) + field(11, "zzz") + std::string("\x63\x08\x01\x64", 4) +
                                std::string("\x6d\1\2\3\4", 5);
    const std::string message = unknown + field(1, field(1, "other") + field(2, value(9))) +
                                field(1, field(2, value(1)) + field(1, "values")) +  // value before key
                                field(1, field(1, "values") + field(2, value(2))) + field(3, "uid-1") + field(4, "{}");
    ReaderOptions options = kRecordIo;
    options.keep_record_infos = true;
    const Dataset data = parsed(frame(message), options);
    EXPECT_THAT(data.values, ElementsAre(2));
    EXPECT_EQ(data.record_infos[0].uid, "uid-1");
    EXPECT_EQ(data.record_infos[0].metadata, "{}");
}

TEST(RecordIo, RecordsInSeveralPartsAreJoinedWithTheMagic) {
    std::string payload = record({1, 2}).substr(8, 0);
    const std::string whole = record({std::bit_cast<float>(kRecordIoMagic), 2, 3});
    payload = whole.substr(8);
    const size_t at = payload.find(raw(kRecordIoMagic));
    ASSERT_NE(at, std::string::npos);
    const auto part = [](uint32_t flag, std::string_view bytes) {
        std::string out = frame(bytes);
        const uint32_t word = flag << 29 | static_cast<uint32_t>(bytes.size());
        return out.replace(4, 4, raw(word));
    };
    const Dataset expected = parsed(whole, kRecordIo);
    const std::string length_true = payload.substr(0, *reinterpret_cast<const uint32_t*>(whole.data() + 4));
    const Dataset data = parsed(part(1, length_true.substr(0, at)) + part(3, length_true.substr(at + 4)), kRecordIo);
    EXPECT_EQ(data.rows, 1u);
    EXPECT_THAT(data.values, ElementsAreArray(expected.values));
    EXPECT_EQ(failure(part(1, length_true.substr(0, at)), kRecordIo),
              "input: offset 0: the file ends between the parts of a record");
    EXPECT_EQ(failure(part(3, length_true), kRecordIo), "input: offset 0: RecordIO continuation without a first part");
}

TEST(RecordIo, ErrorsNameTheOffset) {
    const std::string good = record({1, 2, 3});
    const std::string size = std::to_string(good.size());
    EXPECT_EQ(failure(good + "abcdefgh", kRecordIo), "input: offset " + size + ": RecordIO magic number expected");
    EXPECT_EQ(failure(good + "abc", kRecordIo), "input: offset " + size + ": the file ends inside a RecordIO header");
    EXPECT_EQ(failure(good + good.substr(0, good.size() - 6), kRecordIo),
              "input: offset " + size + ": the file ends inside a record of " +
                  std::to_string(*reinterpret_cast<const uint32_t*>(good.data() + 4)) + " bytes");
    EXPECT_EQ(failure(good + frame("\x0a\x7f"), kRecordIo),
              "input: offset " + size + ": the record is not a valid protobuf message");
    EXPECT_EQ(failure(good + record({1, 2}), kRecordIo),
              "input: offset " + size + ": the record has 2 features, the one before 3");
    EXPECT_EQ(failure(good + record({1, 2, 3}, {1}), kRecordIo),
              "input: offset " + size + ": the record has 1 labels, the one before 0");
    EXPECT_EQ(failure(frame(""), kRecordIo), "input: offset 0: the record has no numeric feature 'values'");
    EXPECT_EQ(failure(record({1}, {}, {5}, {5}), kRecordIo),
              "input: offset 0: the key 5 is out of range for the shape 5");
    EXPECT_EQ(failure(record({1, 2}, {}, {1}, {5}), kRecordIo), "input: offset 0: the record has 1 keys but 2 values");
    EXPECT_EQ(failure(record({1}, {}, {0}), kRecordIo), "input: offset 0: a sparse record needs a shape of one number");
    EXPECT_EQ(failure(good, {.format = Format::RecordIo, .columns = 4}),
              "input: offset 0: the record has 3 features, expected 4");
    EXPECT_EQ(failure(good, {.format = Format::RecordIo, .require_label = true}),
              "input: offset 0: the record has no label");
}

TEST(RecordIo, EveryTruncationIsAnErrorOrFewerRows) {
    const std::string whole = record({1, 2, 3}, {4}) + record({5}, {4}, {1}, {3}) + record({1, 2, 3}, {4});
    for (size_t size = 0; size < whole.size(); ++size) {
        auto data = parse_bytes(whole.substr(0, size), "input", kRecordIo);
        EXPECT_TRUE(!data || data->rows < 3) << size;
    }
}

TEST_F(Readers, RecordIoDoesNotDependOnPiecesOrThreads) {
    std::string bytes;
    for (int row = 0; row < 200; ++row) bytes += record({1.0f * static_cast<float>(row), 2, 3}, {4});
    const auto file = write("data.pbr", bytes);
    const Dataset whole = parsed(bytes, kRecordIo);
    ASSERT_EQ(whole.rows, 200u);
    for (const size_t chunk_bytes : {1, 100, 1 << 20}) {
        auto data = read_files({file}, {.format = Format::RecordIo, .chunk_bytes = chunk_bytes, .threads = 2});
        ASSERT_TRUE(data);
        EXPECT_EQ(data->values, whole.values);
        EXPECT_EQ(data->labels, whole.labels);
    }
}

// Records of equal bytes around their numbers have a way of their own; `keep_record_infos` takes the general one.
TEST(RecordIo, RecordsThatDifferInOneThingAreReadAsTheyAre) {
    std::mt19937 random(5);
    const auto value = [&](size_t count) {
        std::string numbers;
        for (size_t i = 0; i < count; ++i) numbers += raw(static_cast<float>(random() % 1000));
        return field(2, field(2, field(1, numbers)));
    };
    const auto features = [&] { return field(1, field(1, "values") + value(3)); };
    const auto label = [&] { return field(2, field(1, "values") + value(1)); };
    const auto payload = [&](size_t kind) {
        switch (kind) {
            case 0:
                return features() + label();
            case 1:
                return label() + features();
            case 2:
                return features() + label() + field(3, std::to_string(100 + random() % 900));
            case 3:
                return features() + features() + label();
            case 4:  // as long as the next one
                return features() + label() + field(1, field(1, "others") + value(3));
            case 5:
                return field(1, field(1, "others") + value(3)) + features() + label();
            case 6:  // and this one, of which the last values count
                return features() + label() + features();
            case 7:
                return field(1, value(3) + field(1, "values")) + label();
            default:
                return features() + label() + field(9, std::string(random() % 5, 'u'));
        }
    };
    for (int file = 0; file < 500; ++file) {
        std::string bytes;
        size_t kind = random() % 9;
        const size_t rows = 1 + random() % 30;
        for (size_t row = 0; row < rows; ++row) {
            bytes += frame(payload(kind));
            if (random() % 3 == 0) kind = random() % 9;
        }
        const Dataset quick = parsed(bytes, kRecordIo);
        const Dataset general = parsed(bytes, {.format = Format::RecordIo, .keep_record_infos = true});
        ASSERT_EQ(quick.rows, rows);
        ASSERT_EQ(quick.values, general.values);
        ASSERT_EQ(quick.labels, general.labels);
        ASSERT_EQ(quick.columns, 3u);
    }
}

// --- streaming and listing ---

TEST_F(Readers, ChunksCoverAllRowsAndKeepTheirThread) {
    std::string text;
    for (int row = 0; row < 1000; ++row) text += std::to_string(row) + ",1\n";
    const auto file = write("data.csv", text);
    std::vector<std::vector<float>> seen(2);
    ASSERT_TRUE(for_each_chunk({file}, {.chunk_bytes = 100, .threads = 2},
                               [&](unsigned thread, Dataset& chunk) -> Result<void> {
                                   for (size_t row = 0; row < chunk.rows; ++row)
                                       seen[thread].push_back(chunk.dense_row(row)[0]);
                                   return {};
                               }));
    EXPECT_TRUE(std::is_sorted(seen[0].begin(), seen[0].end()));
    EXPECT_TRUE(std::is_sorted(seen[1].begin(), seen[1].end()));
    EXPECT_EQ(seen[0].size() + seen[1].size(), 1000u);
    EXPECT_EQ(seen[0][0], 0);
}

TEST_F(Readers, AVisitorsErrorEndsTheStream) {
    const auto file = write("data.csv", "1\n2\n3\n");
    auto outcome = for_each_chunk({file}, {.chunk_bytes = 1},
                                  [](unsigned, Dataset&) -> Result<void> { return invalid_input("enough"); });
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().message, "enough");
}

TEST_F(Readers, ListingFollowsTheRules) {
    write("b.csv", "1\n");
    write("deep/er/a.csv", "1\n");
    write("_SUCCESS", "x");
    write("empty.csv", "");
    auto files = list_channel_files(folder_, kXgboostFolders);
    ASSERT_TRUE(files) << files.error().message;
    EXPECT_THAT(*files, ElementsAre(folder_ + "/b.csv", folder_ + "/deep/er/a.csv"));
    write(".hidden", "x");
    auto hidden = list_channel_files(folder_, kXgboostFolders);
    ASSERT_FALSE(hidden);
    EXPECT_EQ(hidden.error().message, "Hidden file found in the data path! Remove that before training.");
    EXPECT_EQ(list_channel_files(folder_, kFirstPartyFolders)->size(), 2u);
    write("1/2/3/4/x.csv", "1\n");
    EXPECT_FALSE(list_channel_files(folder_, {.max_depth = 3}));
    EXPECT_THAT(*list_channel_files(folder_ + "/b.csv", kFirstPartyFolders), ElementsAre(folder_ + "/b.csv"));
    EXPECT_FALSE(list_channel_files(folder_ + "/absent", kFirstPartyFolders));
}

TEST(ContentType, SetsFormatAndLabelSize) {
    ReaderOptions options;
    ASSERT_TRUE(apply_content_type("text/csv; label_size=2; charset=utf-8", options));
    EXPECT_EQ(options.format, Format::Csv);
    EXPECT_EQ(options.label_size, 2u);
    ASSERT_TRUE(apply_content_type("text/x-libsvm", options));
    EXPECT_EQ(options.format, Format::Libsvm);
    ASSERT_TRUE(apply_content_type("Application/X-RecordIO-protobuf", options));
    EXPECT_EQ(options.format, Format::RecordIo);
    EXPECT_FALSE(apply_content_type("text/plain", options));
    EXPECT_FALSE(apply_content_type("text/csv;label_size=-1", options));
    EXPECT_FALSE(apply_content_type("text/csv;label_size=x", options));
}

}  // namespace
}  // namespace millwright::algorithms
