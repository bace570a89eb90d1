// Hyperparameters of a job, as name=value lines: refused, or values the table allows. Model files are read by the
// XGBoost library, in a replica without network; they are not fuzzed here.
#include <cstdint>

#include "algorithms/xgboost/hyperparameters.h"
#include "algorithms/xgboost/selected_output.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::algorithms;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::map<std::string, std::string> given;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        given[std::string(line.substr(0, line.find('=')))] =
            line.find('=') == line.npos ? "" : line.substr(line.find('=') + 1);
        at = end + 1;
    }
    static_cast<void>(xgboost::hyperparameter_table().parse(given));
    static_cast<void>(xgboost::parse_selected_keys(text));
    static_cast<void>(xgboost::parse_version(text));
    return 0;
}
