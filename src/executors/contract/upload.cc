#include "executors/contract/upload.h"

#include <algorithm>
#include <vector>

namespace millwright::executors {

Result<void> put_in_parts(object_store::ObjectStore& store, const object_store::S3Uri& target, uint64_t size,
                          uint64_t part_bytes, const RangeSource& source_of) {
    // No structured binding: lambdas of C++20 may capture one, but clang 14 does not yet.
    const std::string& bucket = target.bucket;
    const std::string& key = target.key;
    if (size <= part_bytes) {
        TRY(store.put(bucket, key, {}, source_of(0, size)));
        return {};
    }
    // So that there are never more parts than S3 allows.
    part_bytes = std::max(part_bytes, size / object_store::kMaxParts + 1);
    const auto upload = TRY(store.create_upload(bucket, key, {}));
    const auto send = [&]() -> Result<void> {
        std::vector<object_store::CompletedPart> parts;
        for (uint64_t at = 0; at < size; at += part_bytes) {
            object_store::PartOptions options;
            options.length = std::min(part_bytes, size - at);
            const int number = static_cast<int>(parts.size()) + 1;
            const auto part =
                TRY(store.upload_part(bucket, key, upload.id, number, options, source_of(at, *options.length)));
            parts.push_back({number, part.etag, {}});
        }
        TRY(store.complete_upload(bucket, key, upload.id, parts, {}));
        return {};
    };
    auto sent = send();
    if (!sent) static_cast<void>(store.abort_upload(bucket, key, upload.id));
    return sent;
}

}  // namespace millwright::executors
