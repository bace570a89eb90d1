// Models of PCA as they come out of a model archive: refused, or of the size they claim.
#include <cstdint>

#include "algorithms/pca/model.h"
#include "algorithms/pca/pca.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::algorithms;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(pca::Model::decode(text));
    // Hyperparameters, as name=value lines.
    std::map<std::string, std::string> given;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, end - at);
        given[std::string(line.substr(0, line.find('=')))] =
            line.find('=') == line.npos ? "" : line.substr(line.find('=') + 1);
        at = end + 1;
    }
    static_cast<void>(pca::hyperparameters().parse(given));
    return 0;
}
