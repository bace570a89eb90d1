#include "algorithms/common/requests.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "algorithms/common/readers.h"
#include "algorithms/common/recordio.h"
#include "base/json.h"
#include "base/strings.h"

namespace millwright::algorithms {
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr std::string_view kJsonLinesType = "application/jsonlines";
constexpr std::string_view kRecordIoType = "application/x-recordio-protobuf";
constexpr std::string_view kCsvType = "text/csv";

struct OfferedType {
    AnswerFormat format;
    std::string_view type;
};
constexpr OfferedType kTypes[] = {{AnswerFormat::Json, kJsonType},
                                  {AnswerFormat::JsonLines, kJsonLinesType},
                                  {AnswerFormat::RecordIo, kRecordIoType},
                                  {AnswerFormat::Csv, kCsvType}};

std::string_view type_of(AnswerFormat format) {
    return std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& type) { return type.format == format; })
        ->type;
}

// --- JSON in ---

// Adds instances to a dataset; rows may be dense or sparse.
class InstanceReader {
  public:
    explicit InstanceReader(size_t columns) : columns_(columns) {}

    Result<void> add(const Json& instance) {
        ++count_;
        if (!instance.is_object()) return wrong("an object is expected");
        const Json* features = instance.find("features");
        if (features == nullptr) features = instance["data"].find("features");
        if (features == nullptr) return wrong("'features' is missing");
        Dataset row;
        row.rows = 1;
        if (features->is_array()) {
            TRY(take_dense(*features, row));
        } else if (features->is_object()) {
            TRY(take_tensor(*features, row));
        } else {
            return wrong("'features' must be a list or an object with 'values'");
        }
        if (columns_ > 0 && row.columns != columns_)
            return wrong(std::to_string(row.columns) + " features, expected " + std::to_string(columns_));
        auto added = append(data_, std::move(row));
        return added ? std::move(added) : wrong(added.error().message);
    }

    Dataset take() { return std::move(data_); }

  private:
    Error wrong(std::string_view what) const {
        return invalid_input("instance " + std::to_string(count_) + ": " + std::string(what));
    }

    Result<void> take_numbers(const Json& list, Buffer<float>& numbers) const {
        if (!list.is_array()) return wrong("'values' must be a list of numbers");
        numbers.reserve(list.size());
        for (const auto& item : list.as_array()) {
            if (!item.is_number()) return wrong("a feature is not a number");
            numbers.push_back(static_cast<float>(item.as_double()));
        }
        return {};
    }

    Result<void> take_dense(const Json& list, Dataset& row) const {
        TRY(take_numbers(list, row.values));
        if (row.values.empty()) return wrong("the list of features is empty");
        row.columns = row.values.size();
        return {};
    }

    Result<void> take_tensor(const Json& tensor, Dataset& row) const {
        if (!tensor.has("keys")) return take_dense(tensor["values"], row);
        TRY(take_numbers(tensor["values"], row.values));
        const Json& shape = tensor["shape"];
        if (!shape.is_array() || shape.size() != 1 || !shape[0].is_int() || shape[0].as_int() <= 0 ||
            shape[0].as_int() >= UINT32_MAX)
            return wrong("sparse features need a 'shape' of one number");
        row.columns = static_cast<size_t>(shape[0].as_int());
        const Json& keys = tensor["keys"];
        if (!keys.is_array() || keys.size() != row.values.size())
            return wrong("as many 'keys' as 'values' are expected");
        for (const auto& key : keys.as_array()) {
            if (!key.is_int() || key.as_int() < 0 || static_cast<size_t>(key.as_int()) >= row.columns)
                return wrong("a key is out of range for the shape");
            row.indices.push_back(static_cast<uint32_t>(key.as_int()));
        }
        row.sparse = true;
        row.row_starts = {0, row.values.size()};
        return {};
    }

    size_t columns_;
    size_t count_ = 0;
    Dataset data_;
};

Result<Json> parse_json(std::string_view text) {
    auto json = Json::parse(text);
    if (!json)
        return invalid_input("the body is not valid JSON" +
                             (json.error().detail.empty() ? "" : ": " + json.error().detail));
    return json;
}

// --- Accept ---

struct AcceptRange {
    std::string type;
    double quality = 1;
};

std::vector<AcceptRange> parse_accept(std::string_view accept) {
    std::vector<AcceptRange> ranges;
    for (const auto item : split(accept, ',')) {
        const auto parts = split(item, ';');
        AcceptRange range{to_lower(trim(parts[0])), 1};
        if (range.type.empty()) continue;
        for (size_t i = 1; i < parts.size(); ++i) {
            const std::string_view parameter = trim(parts[i]);
            if (parameter.starts_with("q=")) range.quality = parse_double(parameter.substr(2)).value_or(0);
        }
        if (range.quality > 0) ranges.push_back(std::move(range));
    }
    std::stable_sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) { return a.quality > b.quality; });
    return ranges;
}

bool matches(std::string_view range, std::string_view type) {
    if (range == "*/*" || range == type) return true;
    return range.ends_with("/*") && type.starts_with(range.substr(0, range.size() - 1));
}

// --- answers ---

void append_row_object(std::string& out, size_t row, std::span<const AnswerField> fields) {
    out += '{';
    for (const auto& field : fields) {
        if (&field != &fields.front()) out += ',';
        append_json_string(out, field.name);
        out += field.scalar ? ":" : ":[";
        for (size_t i = 0; i < field.width; ++i) {
            if (i > 0) out += ',';
            append_float(out, field.values[row * field.width + i]);
        }
        if (!field.scalar) out += ']';
    }
    out += '}';
}

std::string json_answer(std::string_view collection, size_t rows, std::span<const AnswerField> fields) {
    std::string out = "{";
    append_json_string(out, collection);
    out += ":[";
    for (size_t row = 0; row < rows; ++row) {
        if (row > 0) out += ',';
        append_row_object(out, row, fields);
    }
    out += "]}";
    return out;
}

std::string json_lines_answer(size_t rows, std::span<const AnswerField> fields) {
    std::string out;
    for (size_t row = 0; row < rows; ++row) {
        append_row_object(out, row, fields);
        out += '\n';
    }
    return out;
}

std::string recordio_answer(size_t rows, std::span<const AnswerField> fields, std::span<const RecordInfo> infos) {
    std::string out;
    for (size_t row = 0; row < rows; ++row) {
        RecordParts record;
        for (const auto& field : fields)
            record.label.push_back({field.name, field.values.subspan(row * field.width, field.width), {}, {}});
        if (!infos.empty()) {
            record.uid = infos[row].uid;
            record.metadata = infos[row].metadata;
        }
        append_record(out, record);
    }
    return out;
}

std::string csv_answer(size_t rows, std::span<const AnswerField> fields) {
    std::string out;
    for (size_t row = 0; row < rows; ++row) {
        bool first = true;
        for (const auto& field : fields)
            for (size_t i = 0; i < field.width; ++i) {
                if (!std::exchange(first, false)) out += ',';
                append_float(out, field.values[row * field.width + i]);
            }
        out += '\n';
    }
    return out;
}

}  // namespace

std::string media_type(std::string_view content_type) {
    return to_lower(trim(content_type.substr(0, content_type.find(';'))));
}

Result<Dataset> parse_json_instances(std::string_view text, size_t columns) {
    const Json body = TRY(parse_json(text));
    if (!body["instances"].is_array()) return invalid_input("the body has no list 'instances'");
    InstanceReader reader(columns);
    for (const auto& instance : body["instances"].as_array()) TRY(reader.add(instance));
    return reader.take();
}

Result<Dataset> parse_json_lines(std::string_view text, size_t columns) {
    InstanceReader reader(columns);
    for (const auto line : split(text, '\n')) {
        if (trim(line).empty()) continue;
        const Json instance = TRY(parse_json(line));
        TRY(reader.add(instance));
    }
    return reader.take();
}

Result<Dataset, ServeReply> decode_request(const ServeRequest& request, const RequestFormats& formats) {
    const std::string_view content_type =
        request.content_type.empty() ? formats.default_content_type : request.content_type;
    const std::string type = media_type(content_type);
    Result<Dataset> data = Dataset{};
    ReaderOptions options{.keep_record_infos = true, .columns = formats.columns, .threads = 1};
    options.chunk_bytes = std::max<size_t>(request.body.size(), 1);
    if (type == kJsonType) {
        data = parse_json_instances(request.body, formats.columns);
    } else if (type == kJsonLinesType) {
        data = parse_json_lines(request.body, formats.columns);
    } else if (type == kCsvType || type == kRecordIoType) {
        if (auto applied = apply_content_type(content_type, options); !applied)
            return ServeReply::text(400, applied.error().message);
        data = parse_bytes(request.body, "request", options);
    } else {
        return ServeReply::text(415, "Content type '" + std::string(content_type) + "' is not supported");
    }
    if (!data) return ServeReply::text(400, "Unable to parse the request: " + data.error().message);
    if (data->rows == 0) return ServeReply::text(400, "The request has no rows");
    return std::move(data).value();
}

Result<AnswerFormat, ServeReply> choose_answer_format(std::string_view accept, std::span<const AnswerFormat> offered,
                                                      AnswerFormat preferred) {
    if (trim(accept).empty()) return preferred;
    for (const auto& range : parse_accept(accept)) {
        if (matches(range.type, type_of(preferred))) return preferred;
        for (const AnswerFormat format : offered)
            if (matches(range.type, type_of(format))) return format;
    }
    return ServeReply::text(406, "Accept '" + std::string(accept) + "' is not supported");
}

ServeReply encode_answer(AnswerFormat format, std::string_view collection, size_t rows,
                         std::span<const AnswerField> fields, std::span<const RecordInfo> infos) {
    ServeReply reply{200, std::string(type_of(format)), "", {}};
    switch (format) {
        case AnswerFormat::Json:
            reply.body = json_answer(collection, rows, fields);
            break;
        case AnswerFormat::JsonLines:
            reply.body = json_lines_answer(rows, fields);
            break;
        case AnswerFormat::RecordIo:
            reply.body = recordio_answer(rows, fields, infos);
            break;
        case AnswerFormat::Csv:
            reply.body = csv_answer(rows, fields);
            break;
    }
    return reply;
}

void append_float(std::string& out, float value) {
    if (std::isnan(value)) {
        out += "NaN";
        return;
    }
    if (std::isinf(value)) {
        out += value < 0 ? "-Infinity" : "Infinity";
        return;
    }
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, end);
    if (std::none_of(text, end, [](char c) { return c == '.' || c == 'e'; })) out += ".0";
}

}  // namespace millwright::algorithms
