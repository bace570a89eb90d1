// Foreign bytes as JSON, as hyperparameters and as standard error of a script: texts of bounded size come out.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/strings.h"
#include "script_mode/failure_text.h"
#include "script_mode/training_environment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millwright::script_mode;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto value = Value::parse(text)) {
        const std::string dumped = value->dump();
        const auto again = Value::parse(dumped);
        CHECK(again.has_value() && again->dump() == dumped);
        static_cast<void>(value->repr());
    }
    if (const auto decoded = decode_hyperparameters(text)) split_as_shell(script_arguments(*decoded));

    ErrorTail whole, halves;
    whole.add(text);
    halves.add(text.substr(0, size / 2));
    halves.add(text.substr(size / 2));
    whole.finish();
    halves.finish();
    const ScriptEnd end{1, 0, "python train.py", "/opt/ml/code"};
    const std::string told = failure_text("ExecuteUserScriptError", whole, end);
    CHECK(millwright::is_valid_utf8(told) && millwright::utf8_length(told) <= 870);
    static_cast<void>(failure_text("ExecuteUserScriptError", halves, end));
    return 0;
}
