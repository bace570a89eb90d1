// Models: the record, what a model may ask for in this release, and what a serving replica needs to know of
// it.
//
// Requests are documents in the shape of CreateModel, already validated against the service model.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "base/time.h"
#include "metadata_store/database.h"
#include "object_store/object_store.h"
#include "resources/identity/identity.h"
#include "resources/images/image_names.h"
#include "resources/models/records.h"
#include "resources/tags/tags.h"

namespace millwright::resources {

struct Model {
    RecordName name;
    std::string arn;
    Timestamp created{};
    Json request;  // as created, without Tags
};

// Where the files of /opt/ml/model come from.
struct ModelData {
    enum class Form { TarGzip, File, Prefix, None };
    Form form = Form::TarGzip;
    std::string uri;
};

// A container that this release can serve: a built-in algorithm, or an image.
struct ServedContainer {
    std::string image;
    std::string algorithm, algorithm_version;  // empty: an image that knows itself what it serves
    std::string own_image;                     // what the image is called where it is; empty: there is none
    ModelData data;
    std::map<std::string, std::string> environment;
};

// What stands for a ContainerDefinition's image, as ImageNames::meaning() has it. `images` may be null.
Result<std::string> meaning_of_model_image(ImageNames* images, std::string_view account, std::string_view region,
                                           const Json& container);

// InvalidInput names the gap. Takes a ContainerDefinition, and what ImageNames::meaning() says of its image.
Result<ServedContainer> read_container(const Json& container, const std::string& image = "");

// Thread-safe.
class Models {
  public:
    struct Parts {
        metadata_store::Database& database;
        object_store::ObjectStore& objects;
        Identity& identity;
        Tags& tags;
        const Clock& clock;
        ImageNames* images = nullptr;  // without it, only the built-in algorithms are served
    };
    static Result<std::unique_ptr<Models>> open(const Parts& parts);

    // InvalidInput: refused, the message says why. AlreadyExists: the message is AWS's.
    Result<Model> create(std::string_view account, std::string_view region, const Json& request);
    Result<Model> find(std::string_view account, std::string_view region,
                       std::string_view name);  // NotFound, AWS's text
    Result<RecordPage> list(std::string_view account, std::string_view region, const RecordQuery& query);
    // Endpoints that serve the model keep their own copy and go on.
    Result<void> remove(std::string_view account, std::string_view region, std::string_view name);

  private:
    explicit Models(const Parts& parts);
    Result<void> check(const RecordName& name, const Json& request);
    Result<void> check_role(std::string_view arn, std::string_view source_arn, const Result<Role>& role);
    Result<void> check_image(const ImageCaller& caller, const ServedContainer& container);

    Parts parts_;
    RecordList list_;
};

}  // namespace millwright::resources
