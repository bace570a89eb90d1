// Tags of every SageMaker resource, by ARN. A resource is registered when it is created and forgotten when it is
// deleted, in the same transaction, so tags never outlive it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "metadata_store/database.h"

namespace millwright::resources {

using TagList = std::vector<std::pair<std::string, std::string>>;

inline constexpr size_t kMaxTagsPerResource = 50;

// [{"Key": …, "Value": …}, …] of a request. InvalidInput: a key twice, a key that starts with "aws:", more than 50.
Result<TagList> parse_tags(const Json& tags);
Json tags_to_json(const TagList& tags);

// Thread-safe.
class Tags {
  public:
    static Result<std::unique_ptr<Tags>> open(metadata_store::Database& database);
    virtual ~Tags() = default;

    // For the creator of a resource, inside its own transaction.
    virtual Result<void> register_in(metadata_store::Transaction& transaction, std::string_view arn,
                                     const TagList& tags) = 0;
    virtual Result<void> forget_in(metadata_store::Transaction& transaction, std::string_view arn) = 0;

    // The tags of a resource as a transaction sees them, by key; none when there is no such resource.
    virtual Result<TagList> list_in(metadata_store::Connection& connection, std::string_view arn) = 0;

    // NotFound: no such resource. `add` replaces values of known keys and returns all tags; LimitExceeded beyond 50.
    virtual Result<TagList> add(std::string_view arn, const TagList& tags) = 0;
    virtual Result<TagList> list(std::string_view arn) = 0;  // by key
    virtual Result<void> remove(std::string_view arn,
                                const std::vector<std::string>& keys) = 0;  // missing keys are fine
};

}  // namespace millwright::resources
