// Bodies of POST /invocations in the first-party formats, both ways.
//
// In:  text/csv, application/json (dense and sparse), application/jsonlines, application/x-recordio-protobuf.
// Out: application/json, application/jsonlines, application/x-recordio-protobuf, and text/csv where the algorithm has
// it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "algorithms/common/dataset.h"
#include "algorithms/common/serving.h"
#include "base/result.h"

namespace millwright::algorithms {

// "text/csv; label_size=0" -> "text/csv", in lower case.
std::string media_type(std::string_view content_type);

// `columns` > 0: every row must have that many. The error is the finished answer: 415 for a type that is not taken,
// 400 for a body that does not parse.
struct RequestFormats {
    size_t columns = 0;
    // Absent Content-Type. First-party images take recordio by default.
    std::string_view default_content_type = "application/x-recordio-protobuf";
};
Result<Dataset, ServeReply> decode_request(const ServeRequest& request, const RequestFormats& formats);

// JSON text of instances, as in decode_request; also for fuzzing.
Result<Dataset> parse_json_instances(std::string_view text, size_t columns);
Result<Dataset> parse_json_lines(std::string_view text, size_t columns);

enum class AnswerFormat { Json, JsonLines, RecordIo, Csv };
// Picks by the Accept header in the order its types stand (quality values are honoured, */* and absent mean
// `preferred`); 406 when none of them is offered.
Result<AnswerFormat, ServeReply> choose_answer_format(std::string_view accept, std::span<const AnswerFormat> offered,
                                                      AnswerFormat preferred);

// One named result per row: a single number ("score": 1.5) or a list ("projection": [..]).
struct AnswerField {
    std::string_view name;
    size_t width = 1;
    bool scalar = true;             // REQUIRES: width == 1
    std::span<const float> values;  // rows * width
};
// JSON: {"<collection>":[{"<name>":…}, …]}. jsonlines: one object per line. RecordIO: one Record per row with the
// fields under `label`, uid and metadata of `infos` (empty, or one per row) repeated. CSV: values joined by commas.
ServeReply encode_answer(AnswerFormat format, std::string_view collection, size_t rows,
                         std::span<const AnswerField> fields, std::span<const RecordInfo> infos = {});

// Appends the shortest decimal text that reads back to the same float; always with a fraction or exponent ("1.0").
// NaN and infinities as JSON has no numbers for them: NaN, Infinity, -Infinity.
void append_float(std::string& out, float value);

}  // namespace millwright::algorithms
