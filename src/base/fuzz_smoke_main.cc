// Runs a fuzz target without libFuzzer: its seeds as they are, then with bytes changed, cut, repeated and moved. The
// same every time. `tools/dev fuzz` looks for what this does not find.
//
//   <target>_smoke [RUNS]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kRuns = 2000;
constexpr size_t kMaxBytes = 1 << 16;

std::vector<std::string> read_seeds(const std::string& folder) {
    std::vector<std::string> paths, seeds{""};
    std::error_code none;
    for (const auto& item : std::filesystem::directory_iterator(folder, none)) paths.push_back(item.path());
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) seeds.push_back(millwright::read_file(path).value_or(""));
    return seeds;
}

std::string changed(std::string text, std::mt19937& random) {
    static constexpr std::string_view kTelling("\0\xff\x7f\x80,\n:.-e9 #\"[{}]\\\r<>/&=%;'*$x", 36);
    const auto at = [&] { return text.empty() ? 0 : random() % text.size(); };
    for (auto changes = 1 + random() % 6; changes > 0; --changes) {
        switch (random() % 7) {
            case 0:
                if (!text.empty()) text[at()] = static_cast<char>(random());
                break;
            case 1:
                text.insert(at(), 1, kTelling[random() % kTelling.size()]);
                break;
            case 2:
                text.resize(at());
                break;
            case 3:
                text.insert(at(), text.substr(at(), random() % 40));
                break;
            case 4:
                text.erase(at(), random() % 8);
                break;
            case 5:
                if (!text.empty()) text[at()] ^= static_cast<char>(1 << (random() % 8));
                break;
            default:
                if (!text.empty()) text[at()] = kTelling[random() % kTelling.size()];
        }
    }
    text.resize(std::min(text.size(), kMaxBytes));
    return text;
}

void run(const std::string& text) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> seeds = read_seeds(FUZZ_SEEDS);
    const int runs = count > 1 ? std::atoi(arguments[1]) : kRuns;
    std::mt19937 random(2026);
    for (const std::string& seed : seeds) run(seed);
    for (int i = 0; i < runs; ++i) run(changed(seeds[static_cast<size_t>(i) % seeds.size()], random));
    std::printf("%zu seeds, %d changes\n", seeds.size() - 1, runs);
    return 0;
}
