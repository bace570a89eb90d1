// Checkpoints of a training job: each host has a folder that begins as a copy of what lies below an S3 URI, and whose
// new and changed files go back there while the job runs and once more after its end.
//
//   <folder>/algo-N/checkpoints/   a plain folder, shown at LocalPath; restored files are copies (shared blocks where
//   the
//                                  file system can), because the job may write to them in place
//   <folder>/checkpoints.record    what is the same in S3, so that a restarted server uploads nothing again
//
// Other folders of a job are uploaded in the same way while it runs, but begin empty, have no markers, and a file that
// never rests is uploaded as it is from time to time:
//
//   <folder>/algo-N/ml/output/tensors/   and others that the job makes or not (live outputs)
//   <folder>/algo-N/live/<k>/            shown elsewhere than in /opt/ml/output
//   <folder>/live-<k>.record
//
// While the job runs, `f.sagemaker-uploading` lies beside a file f that is being uploaded and `f.sagemaker-uploaded`
// afterwards. These, and names that end in `.sagemaker-ignore`, are never uploaded. Nothing is ever deleted in S3.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/time.h"
#include "executors/contract/job_files.h"
#include "executors/contract/upload.h"
#include "object_store/object_store.h"

namespace millwright::executors {

inline constexpr const char* kCheckpointFolder = "checkpoints";
inline constexpr const char* kDefaultCheckpointPath = "/opt/ml/checkpoints";

struct CheckpointPlace {
    object_store::S3Uri uri;  // the key is empty or ends with '/'
    std::string local_path;   // of check_checkpoint_path()
};

// The path without superfluous slashes. InvalidInput: not absolute, ".", "..", or a place that belongs to somebody else
// (/opt/ml/input, /opt/ml/model, /opt/ml/output, system folders); the message names the member of the request.
Result<std::string> check_checkpoint_path(std::string_view path,
                                          const std::string& member = "CheckpointConfig.LocalPath");

// Copies the objects below `uri` to every host of the run in `folder` and returns their keys. InvalidInput: keys that
// are no paths; NotFound: no bucket; Conflict: `stop` was set. No objects at all are fine.
Result<std::vector<std::string>> restore_checkpoints(object_store::ObjectStore& store, const object_store::S3Uri& uri,
                                                     const std::string& folder, int hosts,
                                                     const std::atomic<bool>& stop);

// What distinguishes a file from a changed one, without reading it.
struct FileVersion {
    uint64_t inode = 0, size = 0;
    int64_t modified_ns = 0, changed_ns = 0;
    bool operator==(const FileVersion&) const = default;
};

// The uploads of one run. Thread-safe: one pass at a time.
class CheckpointUploads {
  public:
    struct Run {
        object_store::S3Uri uri;
        std::string folder;
        int hosts = 1;
        std::string inside = kCheckpointFolder;     // relative to the folder of a host
        std::string record = "checkpoints.record";  // relative to `folder`
        bool live = false;                          // a live output, not checkpoints
        std::chrono::milliseconds longest{5000};    // live: a file that never rests is uploaded after so long
        std::chrono::milliseconds quiet{500};       // a file that did not change for so long is finished
        uint64_t part_bytes = kPartBytes;           // larger files are uploaded in parts of this size
    };
    enum class Pass {
        Running,  // files that are finished, with markers
        Last,     // nobody writes any more: everything that changed
    };

    CheckpointUploads(object_store::ObjectStore& store, Run run) : store_(store), run_(std::move(run)) {}

    // Looks at all hosts' folders once. Of a path that several hosts changed the newest wins. Goes on with other files
    // after a file that cannot be uploaded and reports the first failure: InvalidInput and NotFound (no bucket) will
    // not heal by themselves. Unavailable: `stop` was set.
    Result<void> pass(Pass kind, Monotonic now, const std::atomic<bool>& stop);

  private:
    struct Entry {
        FileVersion stored{};   // in S3; all zero: not
        FileVersion refused{};  // cannot be uploaded, said once
        FileVersion seen{};
        Monotonic seen_since{}, differs_since{};
    };
    struct Due {
        size_t host = 0;
        std::string path;
        FileVersion version;
    };
    struct Host {
        Fd folder;
        std::map<std::string, Entry> entries;
    };

    std::string called(const std::string& path) const;  // begins messages
    std::string all_called() const;
    Result<void> load() REQUIRES(mutex_);
    Result<void> open_folders() REQUIRES(mutex_);
    Result<void> look(size_t host, Pass kind, Monotonic now, std::vector<Due>& due) REQUIRES(mutex_);
    Result<void> upload(const Due& due, Pass kind, const std::atomic<bool>& stop) REQUIRES(mutex_);
    bool is_due(Entry& entry, const FileVersion& version, Pass kind, Monotonic now) const;
    Result<void> put(int fd, const std::string& key, const FileVersion& version, const std::atomic<bool>& stop);

    object_store::ObjectStore& store_;
    const Run run_;
    Mutex mutex_;
    bool loaded_ GUARDED_BY(mutex_) = false;
    std::vector<Host> hosts_ GUARDED_BY(mutex_);
};

}  // namespace millwright::executors
