#include "resources/training_jobs/metric_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <re2/re2.h>

#include <cmath>

#include "base/strings.h"

namespace millwright::resources {
namespace {

constexpr int64_t kMaxRe2Memory = 8 << 20;
// A line of 256 KiB against a bad pattern costs milliseconds, not minutes.
constexpr uint32_t kMatchLimit = 200'000;
constexpr uint32_t kHeapLimitKiB = 4096;

// Published definitions of XGBoost metrics end in (\S+), which runs on over the "#011" that CloudWatch shows for a tab.
std::optional<double> to_number(std::string_view text) {
    const auto value = parse_double(trim(text.substr(0, text.find("#011"))));
    if (!value || !std::isfinite(*value)) return std::nullopt;
    return value;
}

class Re2Regex : public MetricRegex {
  public:
    explicit Re2Regex(std::unique_ptr<RE2> expression) : expression_(std::move(expression)) {}
    std::optional<double> find(std::string_view line) const override {
        re2::StringPiece groups[2];
        const re2::StringPiece text(line.data(), line.size());
        if (!expression_->Match(text, 0, line.size(), RE2::UNANCHORED, groups, 2)) return std::nullopt;
        return to_number({groups[1].data(), groups[1].size()});
    }

  private:
    std::unique_ptr<RE2> expression_;
};

struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct FreeData {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

class Pcre2Regex : public MetricRegex {
  public:
    explicit Pcre2Regex(std::unique_ptr<pcre2_code, FreeCode> code)
        : code_(std::move(code)), context_(pcre2_match_context_create(nullptr)) {
        pcre2_set_match_limit(context_.get(), kMatchLimit);
        pcre2_set_heap_limit(context_.get(), kHeapLimitKiB);
    }
    std::optional<double> find(std::string_view line) const override {
        const std::unique_ptr<pcre2_match_data, FreeData> data(
            pcre2_match_data_create_from_pattern(code_.get(), nullptr));
        const auto* text = reinterpret_cast<PCRE2_SPTR>(line.data());
        const int count = pcre2_match(code_.get(), text, line.size(), 0, 0, data.get(), context_.get());
        if (count < 2) return std::nullopt;
        const auto* ends = pcre2_get_ovector_pointer(data.get());
        if (ends[2] == PCRE2_UNSET || ends[3] < ends[2]) return std::nullopt;
        return to_number(line.substr(ends[2], ends[3] - ends[2]));
    }

  private:
    std::unique_ptr<pcre2_code, FreeCode> code_;
    std::unique_ptr<pcre2_match_context, FreeContext> context_;
};

std::unique_ptr<MetricRegex> compile_pcre2(const std::string& pattern, uint32_t& groups) {
    int error = 0;
    size_t position = 0;
    std::unique_ptr<pcre2_code, FreeCode> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()),
                                                             pattern.size(), PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C,
                                                             &error, &position, nullptr));
    if (!code) return nullptr;
    pcre2_pattern_info(code.get(), PCRE2_INFO_CAPTURECOUNT, &groups);
    return std::make_unique<Pcre2Regex>(std::move(code));
}

}  // namespace

Result<std::unique_ptr<MetricRegex>> MetricRegex::compile(const std::string& pattern) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kMaxRe2Memory);
    std::unique_ptr<MetricRegex> regex;
    uint32_t groups = 0;
    if (auto expression = std::make_unique<RE2>(pattern, options); expression->ok()) {
        groups = static_cast<uint32_t>(expression->NumberOfCapturingGroups());
        regex = std::make_unique<Re2Regex>(std::move(expression));
    } else {
        regex = compile_pcre2(pattern, groups);
    }
    if (!regex)
        return invalid_input("The metric definition regex '" + pattern + "' is not a valid regular expression.");
    if (groups == 0)
        return invalid_input("The metric definition regex '" + pattern + "' has no group that captures the value.");
    return regex;
}

}  // namespace millwright::resources
