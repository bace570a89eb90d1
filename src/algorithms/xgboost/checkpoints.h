// Checkpoints as the XGBoost container writes them: `xgboost-checkpoint.N` after round N (from 0), the newest
// five kept.
//
// The platform uploads the folder while the job runs. Whoever uploads `f` puts `f.sagemaker-uploading` beside
// it and `f.sagemaker-uploaded` afterwards; names that end in `.sagemaker-ignore` are never uploaded. So
// files are written under an ignored name and renamed, and an old file is removed only when it is not being
// uploaded.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright::algorithms::xgboost {

struct Checkpoint {
    std::string path;
    std::string model;
    int completed_rounds = 0;
};

// The newest one in `folder` that can be read, or none.
Result<std::optional<Checkpoint>> newest_checkpoint(const std::string& folder);

class CheckpointWriter {
  public:
    // Checkpoints that are there already, from an earlier run, are never removed.
    static Result<CheckpointWriter> open(const std::string& folder);
    Result<void> write(int round, std::string_view model);
    // At the end of training: removes what is left, being uploaded or not.
    void finish();

  private:
    explicit CheckpointWriter(std::string folder) : folder_(std::move(folder)) {}
    std::string path_of(int round) const;
    bool being_uploaded(int round) const;

    std::string folder_;
    std::set<int> earlier_;
    std::vector<int> written_;  // still in the folder, oldest first
};

// Replaces a file without anyone seeing half of it; the temporary name is one that is not uploaded.
Result<void> replace_model_file(const std::string& path, std::string_view bytes);

}  // namespace millwright::algorithms::xgboost
