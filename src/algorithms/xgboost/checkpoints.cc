#include "algorithms/xgboost/checkpoints.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr std::string_view kName = "xgboost-checkpoint";
constexpr size_t kKept = 5;

// Rounds of the checkpoints in a folder, ascending.
std::vector<int> rounds_in(const std::string& folder) {
    std::vector<int> out;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(std::string(kName) + ".")) continue;
        const auto round = parse_int(std::string_view(name).substr(kName.size() + 1));
        if (round && *round >= 0 && *round < 100'000'000) out.push_back(static_cast<int>(*round));
    }
    std::sort(out.begin(), out.end());
    return out;
}

std::string checkpoint_path(const std::string& folder, int round) {
    return folder + "/" + std::string(kName) + "." + std::to_string(round);
}

}  // namespace

Result<std::optional<Checkpoint>> newest_checkpoint(const std::string& folder) {
    if (folder.empty()) return std::optional<Checkpoint>();
    const std::vector<int> rounds = rounds_in(folder);
    if (rounds.empty()) return std::optional<Checkpoint>();
    Checkpoint out;
    out.path = checkpoint_path(folder, rounds.back());
    out.model = TRY(read_file(out.path, size_t{1} << 34));
    out.completed_rounds = rounds.back() + 1;
    return std::optional<Checkpoint>(std::move(out));
}

Result<CheckpointWriter> CheckpointWriter::open(const std::string& folder) {
    TRY(make_directories(folder));
    CheckpointWriter out(folder);
    for (const int round : rounds_in(folder)) out.earlier_.insert(round);
    return out;
}

std::string CheckpointWriter::path_of(int round) const { return checkpoint_path(folder_, round); }

bool CheckpointWriter::being_uploaded(int round) const {
    return file_exists(path_of(round) + ".sagemaker-uploading") && !file_exists(path_of(round) + ".sagemaker-uploaded");
}

Result<void> CheckpointWriter::write(int round, std::string_view model) {
    TRY(replace_model_file(path_of(round), model));
    if (!earlier_.contains(round)) written_.push_back(round);
    // Those that are being uploaded are tried again after the next round.
    for (size_t i = 0; written_.size() > kKept && i + kKept < written_.size();) {
        if (being_uploaded(written_[i])) {
            ++i;
            continue;
        }
        ::unlink(path_of(written_[i]).c_str());
        written_.erase(written_.begin() + static_cast<ptrdiff_t>(i));
    }
    return {};
}

void CheckpointWriter::finish() {
    for (; written_.size() > kKept; written_.erase(written_.begin())) ::unlink(path_of(written_.front()).c_str());
}

Result<void> replace_model_file(const std::string& path, std::string_view bytes) {
    const std::string temporary = path + ".sagemaker-ignore";
    TRY(write_file(temporary, bytes));
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return error_from_errno("cannot rename " + temporary);
    return {};
}

}  // namespace millwright::algorithms::xgboost
