// A seeded smoke run of the fuzz targets: good examples with bytes changed, cut, repeated and moved.
#include "algorithms/common/parsers_fuzz.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "algorithms/common/ndarray.h"
#include "algorithms/common/recordio.h"

namespace millwright::algorithms {
namespace {

std::string mutate(std::string text, std::mt19937& random) {
    static constexpr std::string_view kInteresting("\0\xff\x7f\x80,\n:.-e9 #\"[{\r\x0a\x12", 20);
    for (size_t step = 0, steps = 1 + random() % 6; step < steps; ++step) {
        if (text.empty()) return text;
        const size_t at = random() % text.size();
        switch (random() % 6) {
            case 0:
                text[at] = static_cast<char>(random());
                break;
            case 1:
                text[at] = kInteresting[random() % kInteresting.size()];
                break;
            case 2:
                text.resize(at);
                break;
            case 3:
                text.insert(at, text.substr(random() % text.size(), random() % 40));
                break;
            case 4:
                text.erase(at, random() % 8);
                break;
            default:
                text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
                break;
        }
    }
    return text;
}

void smoke(void (*target)(std::string_view), const std::vector<std::string>& examples) {
    std::mt19937 random(2026);
    for (int run = 0; run < 4000; ++run) target(mutate(examples[static_cast<size_t>(run) % examples.size()], random));
}

std::string records() {
    const float values[] = {1, 2, 3};
    const uint64_t keys[] = {0, 5, 300};
    const uint64_t shape[] = {400};
    std::string out;
    for (int i = 0; i < 3; ++i)
        append_record(out, {.features = {{"values", values, {}, {}}},
                            .label = {{"values", {values, 1}, {}, {}}},
                            .uid = "u",
                            .metadata = {}});
    append_record(out, {.features = {{"values", values, keys, shape}},
                        .label = {{"values", {values, 1}, {}, {}}},
                        .uid = {},
                        .metadata = {}});
    return out;
}

TEST(FuzzSmoke, Csv) { smoke(fuzzing::csv, {"1,2.5,3\n4,5e3,-6\n7,8,9\n", "1;0.5;2\n\n0;1;\r\n", "1 2 3\n4 5 6\n"}); }
TEST(FuzzSmoke, Libsvm) {
    smoke(fuzzing::libsvm, {"1:2 qid:1 1:2.5 7:1e3 # x\n0:1 qid:1 2:3\n", "1 0:1 5:2\n0 3:1\n", "1:2 3:4\n"});
}
TEST(FuzzSmoke, RecordIo) { smoke(fuzzing::recordio, {records(), records().substr(0, 120)}); }
TEST(FuzzSmoke, JsonRequests) {
    smoke(fuzzing::json_request, {R"({"instances":[{"features":[1.5,16,3]},{"features":[1,2,3]}]})",
                                  R"({"instances":[{"data":{"features":{"keys":[0,2],"shape":[3],"values":[1,1]}}}]})",
                                  "{\"features\":[1,2,3]}\n{\"data\":{\"features\":{\"values\":[1,2,3]}}}\n"});
}
TEST(FuzzSmoke, NdArrays) {
    smoke(fuzzing::ndarray,
          {write_ndarrays({{NdArray::floats({1, 2}, {1, 2}), NdArray::floats({3}, {1, 2, 3})}, {"mean", "v"}}),
           write_ndarrays({{NdArray::floats({2}, {1, 2})}, {}})});
}

}  // namespace
}  // namespace millwright::algorithms
