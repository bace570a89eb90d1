#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "algorithms/common/job_log.h"
#include "algorithms/common/readers.h"
#include "algorithms/common/recordio.h"
#include "algorithms/common/requests.h"
#include "algorithms/xgboost/booster.h"
#include "algorithms/xgboost/data.h"
#include "algorithms/xgboost/selected_output.h"
#include "algorithms/xgboost/xgboost.h"
#include "base/files.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/strings.h"

namespace millwright::algorithms::xgboost {
namespace {

constexpr size_t kMaxModelBytes = size_t{8} << 30;
constexpr int64_t kDefaultPayloadBytes = 6 * 1024 * 1024;

// What the environment of the container decides.
struct ServingSettings {
    std::vector<std::string> selected_keys;  // empty: plain predictions
    std::string default_accept = "text/csv";
    bool batch = false;
    bool ensemble = true;
    // Images up to 1.2 joined the rows of text/csv by commas, later ones end each with a line feed.
    bool comma_between_rows = false;
    int64_t max_payload_bytes = kDefaultPayloadBytes;
};

std::string environment_or(const char* name, std::string_view otherwise) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : std::string(otherwise);
}

ServingSettings serving_settings(const std::string& version) {
    ServingSettings out;
    out.selected_keys = parse_selected_keys(environment_or("SAGEMAKER_INFERENCE_OUTPUT", ""));
    out.default_accept = environment_or("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv");
    out.batch = !environment_or("SAGEMAKER_BATCH", "").empty();
    out.ensemble = environment_or("SAGEMAKER_INFERENCE_ENSEMBLE", "true") == "true";
    out.comma_between_rows = parse_version(version) < Version{1, 3, 1};
    out.max_payload_bytes = parse_int(environment_or("MAX_CONTENT_LENGTH", "")).value_or(kDefaultPayloadBytes);
    return out;
}

struct LoadedModel {
    Booster booster;
    std::string objective;
    std::string kind;  // gbtree, dart, gblinear
    size_t num_class = 0;
};

Result<LoadedModel> load_model(const std::string& path) {
    const std::string bytes = TRY(read_file(path, kMaxModelBytes));
    const auto safe = check_model_bytes(bytes);
    if (!safe)
        return Error{safe.error().kind, "Model " + path + " cannot be loaded: " + safe.error().message,
                     safe.error().detail};
    LoadedModel out{.booster = TRY(Booster::load(bytes)), .objective = {}, .kind = {}};
    TRY(out.booster.prepare_for_serving());
    const Json configuration = TRY(Json::parse(TRY(out.booster.configuration())));
    const Json& learner = configuration["learner"];
    out.objective = learner["objective"]["name"].string_or("");
    out.kind = learner["gradient_booster"]["name"].string_or("gbtree");
    out.num_class =
        static_cast<size_t>(parse_int(learner["learner_model_param"]["num_class"].string_or("0")).value_or(0));
    return out;
}

// Model files directly in the folder, by name; hidden ones are left out.
Result<std::vector<std::string>> model_files(const std::string& folder) {
    std::vector<std::string> out;
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
        if (entry.is_regular_file() && !entry.path().filename().string().starts_with('.'))
            out.push_back(entry.path().string());
    }
    if (failed) return invalid_input("cannot read the model folder " + folder + ": " + failed.message());
    if (out.empty()) return invalid_input("no model file in " + folder);
    // xgboost-model-10 after xgboost-model-9.
    std::sort(out.begin(), out.end(),
              [](const auto& a, const auto& b) { return std::pair(a.size(), a) < std::pair(b.size(), b); });
    return out;
}

// The most frequent value of each row, the smallest of equals.
Predictions vote(const std::vector<Predictions>& all) {
    Predictions out = all.front();
    for (size_t i = 0; i < out.values.size(); ++i) {
        std::map<float, int> counts;
        for (const Predictions& one : all) ++counts[one.values[i]];
        out.values[i] = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                            return a.second < b.second;
                        })->first;
    }
    return out;
}

Predictions average(const std::vector<Predictions>& all) {
    Predictions out = all.front();
    for (size_t i = 0; i < out.values.size(); ++i) {
        float sum = 0;
        for (const Predictions& one : all) sum += one.values[i];
        out.values[i] = sum / static_cast<float>(all.size());
    }
    return out;
}

// "[0.1, 0.2]" for several values, "0.1" for one, as Python prints them.
void append_python_row(std::string& out, std::span<const float> values) {
    if (values.size() > 1) out += '[';
    for (size_t i = 0; i < values.size(); ++i) {
        if (i > 0) out += ", ";
        out += python_float(values[i]);
    }
    if (values.size() > 1) out += ']';
}

class XgboostModel : public ServedModel {
  public:
    XgboostModel(std::vector<LoadedModel> models, ServingSettings settings)
        : models_(std::move(models)), settings_(std::move(settings)) {}

    ServeReply invoke(const ServeRequest& request) const override {
        if (request.body.empty()) return ServeReply::text(204, "");
        auto format = request_format(request.content_type);
        if (!format) return ServeReply::text(415, std::move(format).error().message);
        auto data = parse(*format, request.body);
        if (!data) return ServeReply::text(400, parse_failure(*format) + data.error().message);
        const auto accept = answer_type(request.accept);
        if (!accept) return ServeReply::text(406, accept.error().message);
        auto predictions = predict(*data);
        if (!predictions)
            return ServeReply::text(400, "Unable to evaluate payload provided: " + predictions.error().message);
        return settings_.selected_keys.empty() ? plain_answer(*accept, *predictions)
                                               : selected_answer(*accept, *predictions);
    }

    std::string execution_parameters() const override {
        return Json::object({{"MaxConcurrentTransforms",
                              static_cast<int64_t>(std::max(1U, std::thread::hardware_concurrency()))},
                             {"BatchStrategy", "MULTI_RECORD"},
                             {"MaxPayloadInMB", settings_.max_payload_bytes / (1024 * 1024)}})
            .dump();
    }

  private:
    static Result<DataFormat> request_format(std::string_view content_type) {
        // Parameters do not matter here: a request has no labels.
        return data_format(trim(content_type.substr(0, content_type.find(';'))));
    }

    static std::string parse_failure(DataFormat format) {
        const std::string name = format == DataFormat::Csv      ? "csv"
                                 : format == DataFormat::Libsvm ? "libsvm"
                                                                : "recordio-protobuf";
        return "Loading " + name + " data failed with Exception, please ensure data is in " + name + " format:\n ";
    }

    static Result<Dataset> parse(DataFormat format, std::string_view body) {
        ReaderOptions options;
        options.threads = 1;
        options.format = format == DataFormat::Csv      ? Format::Csv
                         : format == DataFormat::Libsvm ? Format::Libsvm
                                                        : Format::RecordIo;
        options.sniff_delimiter = true;
        options.label_optional = true;
        Dataset data = TRY(parse_bytes(format == DataFormat::RecordIo ? body : trim(body), "the request", options));
        if (data.rows == 0) return invalid_input("the request has no rows");
        return data;
    }

    Result<std::string> answer_type(std::string_view accept) const {
        const std::string type = to_lower(trim(accept.substr(0, accept.find(';'))));
        const std::string chosen = type.empty() || type == "*/*" ? settings_.default_accept : type;
        for (const std::string_view known :
             {"application/json", "application/jsonlines", "application/x-recordio-protobuf", "text/csv"}) {
            if (chosen == known) return chosen;
        }
        return invalid_input(
            "Accept type " + chosen +
            " is not supported. Please use supported accept types: "
            "['application/json', 'application/jsonlines', 'application/x-recordio-protobuf', 'text/csv'].");
    }

    Result<Predictions> predict(const Dataset& data) const {
        if (models_.size() == 1) return predict_with(models_.front(), data);
        std::vector<Predictions> all;
        for (const LoadedModel& model : models_) all.push_back(TRY(predict_with(model, data)));
        const std::string& objective = models_.front().objective;
        return objective == "multi:softmax" || objective == "binary:hinge" ? vote(all) : average(all);
    }

    Result<Predictions> predict_with(const LoadedModel& model, const Dataset& data) const {
        if (model.kind != "gblinear") return model.booster.predict_in_place(data);
        // Linear models have no such prediction; the ordinary one is for one thread at a time.
        const MutexLock lock(linear_mutex_);
        return model.booster.predict(TRY(Matrix::create(data, 1)), PredictionKind::Value);
    }

    ServeReply plain_answer(const std::string& type, const Predictions& predictions) const {
        std::string out;
        if (settings_.batch) {
            for_each_row(predictions, [&](auto row) { append_python_row(out, row), out += '\n'; });
        } else if (type == "application/json") {
            out = R"({"predictions": [)";
            for_each_row(predictions, [&](auto row) {
                out += R"({"score": )";
                append_python_row(out, row);
                out += "}, ";
            });
            if (out.ends_with(", ")) out.resize(out.size() - 2);
            out += "]}";
        } else if (type == "application/jsonlines") {
            for_each_row(predictions,
                         [&](auto row) { out += R"({"score": )", append_python_row(out, row), out += "}\n"; });
        } else if (type == "text/csv") {
            out = csv(predictions);
        } else {
            const AnswerField field{.name = "score",
                                    .width = predictions.width,
                                    .scalar = predictions.width == 1,
                                    .values = predictions.values};
            return encode_answer(AnswerFormat::RecordIo, "predictions", predictions.rows, {&field, 1});
        }
        return {.status = 200, .content_type = type, .body = std::move(out), .headers = {}};
    }

    std::string csv(const Predictions& predictions) const {
        std::string out;
        for_each_row(predictions, [&](std::span<const float> row) {
            if (settings_.comma_between_rows) {
                if (!out.empty()) out += ',';
                append_python_row(out, row);
                return;
            }
            for (size_t i = 0; i < row.size(); ++i) {
                if (i > 0) out += ',';
                out += python_float(row[i]);
            }
            out += '\n';
        });
        return out;
    }

    template <typename F>
    static void for_each_row(const Predictions& predictions, F visit) {
        for (size_t row = 0; row < predictions.rows; ++row) {
            visit(std::span<const float>(predictions.values.data() + row * predictions.width, predictions.width));
        }
    }

    ServeReply selected_answer(const std::string& type, const Predictions& predictions) const {
        const LoadedModel& model = models_.front();
        const auto selected = select_output(predictions, settings_.selected_keys, model.objective, model.num_class);
        if (!selected) return ServeReply::text(500, selected.error().message);
        if (type == "application/json")
            return {.status = 200, .content_type = type, .body = selected_json(*selected), .headers = {}};
        if (type == "application/jsonlines")
            return {.status = 200, .content_type = type, .body = selected_json_lines(*selected), .headers = {}};
        if (type == "text/csv") {
            return {.status = 200,
                    .content_type = type,
                    .body = selected_csv(*selected) + (settings_.batch ? "\n" : ""),
                    .headers = {}};
        }
        return {.status = 200, .content_type = type, .body = selected_records(*selected), .headers = {}};
    }

    static std::string selected_records(const SelectedOutput& output) {
        std::string out;
        for (const auto& row : output.rows) {
            std::vector<std::vector<float>> values(row.size());
            RecordParts record;
            for (size_t i = 0; i < row.size(); ++i) {
                std::visit(
                    [&](const auto& value) {
                        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) {
                            values[i] = {static_cast<float>(value)};
                        } else {
                            for (const auto number : value) values[i].push_back(static_cast<float>(number));
                        }
                    },
                    row[i]);
                record.label.push_back({.name = output.keys[i], .values = values[i], .keys = {}, .shape = {}});
            }
            append_record(out, record);
        }
        return out;
    }

    std::vector<LoadedModel> models_;
    ServingSettings settings_;
    mutable Mutex linear_mutex_;
};

}  // namespace

Result<std::unique_ptr<ServedModel>> load(const std::string& model_folder, const std::string& version) {
    redirect_library_messages();
    const ServingSettings settings = serving_settings(version);
    std::vector<std::string> files = TRY(model_files(model_folder));
    if (!settings.ensemble) files.resize(1);
    std::vector<LoadedModel> models;
    for (const std::string& file : files) models.push_back(TRY(load_model(file)));
    return std::unique_ptr<ServedModel>(std::make_unique<XgboostModel>(std::move(models), settings));
}

}  // namespace millwright::algorithms::xgboost
