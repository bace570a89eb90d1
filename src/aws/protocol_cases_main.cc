// Runs protocol cases of an outside suite through our decoders and encoders: a JSON document on stdin, one on stdout.
//
//   {"suites": [{"tables": as Tables.as_document() of api/tables.py gives them, "cases": [
//       {"operation": "Op", "request": {"method", "uri", "headers": {…}, "body": text}},  -> {"document": …}
//       {"operation": "Op", "document": …},                                               -> {"status", "headers",
//       "body"}
//       {"operation": "Op", "error": {"code", "message", "status", "members": {…}}}]}]}   -> the same
//
// The answer is {"results": [one entry per case, in order]}; {"refused": {"code", "message"}} for what a decoder
// refuses.
#include <cstdio>
#include <deque>
#include <limits>

#include "aws/model.h"
#include "aws/protocol.h"
#include "aws/validate.h"
#include "base/check.h"

namespace millwright::aws {
namespace {

// Tables of a model that came at run time. Views into it live as long as it does.
class LoadedTables {
  public:
    explicit LoadedTables(const Json& document);
    LoadedTables(const LoadedTables&) = delete;
    LoadedTables& operator=(const LoadedTables&) = delete;
    ServiceModel model() const { return ServiceModel(&table_); }

  private:
    void load_shapes(const Json& rows);
    void load_members(const Json& rows);
    void load_operations(const Json& document);
    void fill_table(const Json& document);

    std::string pool_;
    std::deque<std::string> texts_;
    std::vector<tables::ShapeRow> shapes_;
    std::vector<tables::MemberRow> members_;
    std::vector<uint32_t> enum_values_, operation_errors_;
    std::vector<tables::LimitRow> limits_;
    std::vector<tables::ErrorRow> errors_;
    std::vector<tables::OperationRow> operations_;
    tables::ServiceTable table_;
};

uint32_t cell(const Json& row, size_t i) { return static_cast<uint32_t>(row[i].as_int()); }

LoadedTables::LoadedTables(const Json& document) {
    for (const Json& text : document["pool"].items()) (pool_ += text.as_string()) += '\0';
    load_shapes(document["shapes"]);
    load_members(document["members"]);
    for (const Json& value : document["enum_values"].items())
        enum_values_.push_back(static_cast<uint32_t>(value.as_int()));
    for (const Json& row : document["limits"].items())
        limits_.push_back({row[size_t{0}].double_or(-std::numeric_limits<double>::infinity()),
                           row[size_t{1}].double_or(std::numeric_limits<double>::infinity())});
    load_operations(document);
    fill_table(document);
}

void LoadedTables::load_shapes(const Json& rows) {
    for (const Json& row : rows.items())
        shapes_.push_back({cell(row, 0), static_cast<ShapeType>(cell(row, 1)), static_cast<uint8_t>(cell(row, 2)),
                           static_cast<TimestampFormat>(cell(row, 3)), 0, cell(row, 5), cell(row, 6), cell(row, 7),
                           cell(row, 8), cell(row, 9), cell(row, 10)});
}

void LoadedTables::load_members(const Json& rows) {
    for (const Json& row : rows.items())
        members_.push_back({cell(row, 0), cell(row, 1), cell(row, 2), static_cast<uint8_t>(cell(row, 3)),
                            static_cast<Location>(cell(row, 4)), static_cast<TimestampFormat>(cell(row, 5)), 0});
}

void LoadedTables::load_operations(const Json& document) {
    for (const Json& row : document["errors"].items()) errors_.push_back({cell(row, 0), cell(row, 1), cell(row, 2)});
    for (const Json& row : document["operations"].items())
        operations_.push_back({cell(row, 0), cell(row, 1), cell(row, 2), cell(row, 3), cell(row, 4), cell(row, 5),
                               cell(row, 6), cell(row, 7), cell(row, 8), tables::kNoRow});
    for (const Json& shape : document["operation_errors"].items())
        operation_errors_.push_back(static_cast<uint32_t>(shape.as_int()));
}

void LoadedTables::fill_table(const Json& document) {
    for (const Json& text : document["texts"].items()) texts_.push_back(text.as_string());
    CHECK(texts_.size() == 8);
    table_ = {texts_[0],
              texts_[1],
              texts_[2],
              texts_[3],
              texts_[4],
              texts_[5],
              texts_[6],
              texts_[7],
              document["query_compatible"].as_bool(),
              pool_.c_str(),
              shapes_.data(),
              static_cast<uint32_t>(shapes_.size()),
              members_.data(),
              enum_values_.data(),
              limits_.data(),
              errors_.data(),
              operations_.data(),
              static_cast<uint32_t>(operations_.size()),
              operation_errors_.data(),
              nullptr};
}

// Numbers that JSON cannot carry, as the suite writes them.
Json printable(const Json& value) {
    if (const char* text = non_finite_text(value)) return text;
    if (value.is_array()) {
        Json out = Json::array();
        for (const Json& item : value.as_array()) out.push_back(printable(item));
        return out;
    }
    if (!value.is_object()) return value;
    Json out = Json::object();
    for (const auto& [name, inner] : value.as_object()) out.set(name, printable(inner));
    return out;
}

Json decoded(ApiResult<Json> document) {
    if (document) return Json::object({{"document", printable(*document)}});
    return Json::object(
        {{"refused", Json::object({{"code", document.error().code}, {"message", document.error().message}})}});
}

ApiResult<Json> decode_json_text(const Shape& shape, const std::string& body) {
    const auto wire = body.empty() ? Result<Json>(Json::object()) : Json::parse(body);
    if (!wire) return ApiError{400, "SerializationException", wire.error().message};
    return decode_json(shape, *wire);
}

Json run_request(const ServiceModel& model, const ModelOperation& operation, const Json& request) {
    const auto shape = operation.input();
    if (!shape) return Json::object({{"document", Json::object()}});
    const std::string body = request["body"].string_or("");
    if (model.protocol() == "query") return decoded(decode_query(*shape, net::parse_query(body)));
    return decoded(decode_json_text(*shape, body));
}

Json shown(const Answer& answer) {
    Json headers = Json::object();
    for (const auto& [name, value] : answer.headers.all()) headers.set(name, value);
    return Json::object({{"status", answer.status}, {"headers", std::move(headers)}, {"body", answer.body}});
}

// The suites write the numbers that JSON cannot carry as text; handlers give numbers.
Json with_numbers(const Shape& shape, const Json& value) {
    if (shape.type() == ShapeType::Float || shape.type() == ShapeType::Double) return *decode_json(shape, value);
    Json out = value;
    if (shape.type() == ShapeType::Structure && value.is_object())
        for (auto& [name, inner] : out.as_object())
            if (const auto member = shape.find_member(name)) inner = with_numbers(member->shape(), inner);
    if (shape.type() == ShapeType::List && value.is_array())
        for (Json& item : out.as_array()) item = with_numbers(shape.element().shape(), item);
    if (shape.type() == ShapeType::Map && value.is_object())
        for (auto& [name, inner] : out.as_object()) inner = with_numbers(shape.value().shape(), inner);
    return out;
}

Json run_document(const ServiceModel& model, const ModelOperation& operation, const Json& given) {
    const auto shape = operation.output();
    const Json document = shape ? with_numbers(*shape, given) : given;
    if (model.protocol() == "query") return shown(query_answer(model, operation, document, "request-id"));
    return shown(json_answer(operation, model.json_version(), document));
}

Json run_error(const ServiceModel& model, const Json& wanted) {
    ApiError error{static_cast<int>(wanted["status"].int_or(400)), wanted["code"].string_or(""),
                   wanted["message"].string_or("")};
    error.members = wanted["members"];
    if (model.protocol() == "query") return shown(query_error(model, error, "request-id"));
    const auto shape = model.find_shape(error.code);
    return shown(json_error(error, model.json_version(), wanted["query_code"].string_or(""),
                            shape ? message_member_of(*shape) : "message"));
}

Json run_case(const ServiceModel& model, const Json& asked) {
    const auto operation = model.find_operation(asked["operation"].string_or(""));
    CHECK(operation.has_value());
    if (asked.has("request")) return run_request(model, *operation, asked["request"]);
    if (asked.has("error")) return run_error(model, asked["error"]);
    return run_document(model, *operation, asked["document"]);
}

std::string read_stdin() {
    std::string text;
    char piece[64 * 1024];
    while (const size_t count = std::fread(piece, 1, sizeof piece, stdin)) text.append(piece, count);
    return text;
}

int run() {
    const auto suites = Json::parse(read_stdin());
    if (!suites) {
        std::fprintf(stderr, "stdin is no JSON: %s\n", suites.error().message.c_str());
        return 1;
    }
    Json results = Json::array();
    for (const Json& suite : (*suites)["suites"].items()) {
        const LoadedTables loaded(suite["tables"]);
        for (const Json& asked : suite["cases"].items()) results.push_back(run_case(loaded.model(), asked));
    }
    std::puts(Json::object({{"results", std::move(results)}}).dump().c_str());
    return 0;
}

}  // namespace
}  // namespace millwright::aws

int main() { return millwright::aws::run(); }
