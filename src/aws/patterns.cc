#define PCRE2_CODE_UNIT_WIDTH 8

#include <pcre2.h>
#include <re2/re2.h>

#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "aws/validate.h"
#include "base/encoding.h"
#include "base/mutex.h"

namespace millwright::aws {
namespace {

// Enough for every pattern of the models; a nested repetition beyond it would be our own mistake.
constexpr int64_t kRe2MemoryBytes = 16 << 20;
// Bounds of one PCRE2 match: about a millisecond of backtracking.
constexpr uint32_t kMatchLimit = 100'000;
constexpr uint32_t kHeapLimitKib = 1024;

// The models are written for Java; RE2 and PCRE2 differ in two places: "\uXXXX" (with surrogate pairs) and the POSIX
// classes in their \p{Alnum} spelling.
struct JavaClass {
    std::string_view name, members;
};
constexpr JavaClass kJavaClasses[] = {{"Alnum", "0-9A-Za-z"},   {"Alpha", "A-Za-z"},      {"Digit", "0-9"},
                                      {"Upper", "A-Z"},         {"Lower", "a-z"},         {"Print", "\\x20-\\x7E"},
                                      {"Graph", "\\x21-\\x7E"}, {"ASCII", "\\x00-\\x7F"}, {"Space", "\\s"}};

// The value of "\uXXXX" at `at`.
std::optional<uint32_t> java_escape(std::string_view pattern, size_t at) {
    if (pattern.substr(at, 2) != "\\u" || at + 6 > pattern.size()) return std::nullopt;
    const auto bytes = from_hex(pattern.substr(at + 2, 4));
    if (!bytes) return std::nullopt;
    return static_cast<uint32_t>(static_cast<unsigned char>((*bytes)[0]) << 8 |
                                 static_cast<unsigned char>((*bytes)[1]));
}

// Replaces the escape at `at` and returns its length, or copies two characters.
size_t translate_escape(std::string_view pattern, size_t at, bool in_class, std::string& out) {
    if (auto unit = java_escape(pattern, at)) {
        size_t length = 6;
        const auto low = java_escape(pattern, at + 6);
        if (*unit >= 0xD800 && *unit < 0xDC00 && low && *low >= 0xDC00) {
            unit = 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
            length = 12;
        }
        char text[16];
        std::snprintf(text, sizeof text, "\\x{%X}", *unit);
        out += text;
        return length;
    }
    for (const JavaClass& named : kJavaClasses) {
        const std::string spelled = "\\p{" + std::string(named.name) + "}";
        if (!pattern.substr(at).starts_with(spelled)) continue;
        out += in_class ? std::string(named.members) : "[" + std::string(named.members) + "]";
        return spelled.size();
    }
    out += pattern.substr(at, 2);
    return 2;
}

std::string from_java(std::string_view pattern) {
    std::string out;
    bool in_class = false;
    for (size_t i = 0; i < pattern.size();) {
        if (pattern[i] == '\\') {
            i += translate_escape(pattern, i, in_class, out);
            continue;
        }
        if (pattern[i] == '[') in_class = true;
        if (pattern[i] == ']') in_class = false;
        out += pattern[i++];
    }
    return out;
}

struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
    void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

class Pattern {
  public:
    explicit Pattern(std::string_view model_pattern) {
        const std::string pattern = from_java(model_pattern);
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(kRe2MemoryBytes);
        auto simple = std::make_unique<re2::RE2>(pattern, options);
        if (simple->ok()) {
            re2_ = std::move(simple);
            return;
        }
        int error = 0;
        PCRE2_SIZE offset = 0;
        pcre_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &error, &offset, nullptr));
    }

    bool ok() const { return re2_ || pcre_; }

    bool matches(std::string_view text) const {
        if (re2_) return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *re2_);
        if (!pcre_) return false;
        const std::unique_ptr<pcre2_match_data, FreeMatch> data(
            pcre2_match_data_create_from_pattern(pcre_.get(), nullptr));
        const std::unique_ptr<pcre2_match_context, FreeContext> context(pcre2_match_context_create(nullptr));
        pcre2_set_match_limit(context.get(), kMatchLimit);
        pcre2_set_heap_limit(context.get(), kHeapLimitKib);
        return pcre2_match(pcre_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, 0, data.get(),
                           context.get()) >= 0;
    }

  private:
    std::unique_ptr<re2::RE2> re2_;
    std::unique_ptr<pcre2_code, FreeCode> pcre_;
};

// Compiled on first use: a server that trains XGBoost never sees most of the 500 patterns.
const Pattern& compiled(std::string_view model_pattern) {
    static Mutex mutex;
    // Keyed by the address of the text in the tables' pool: equal patterns of a service share one.
    static std::map<const char*, std::unique_ptr<Pattern>> patterns;
    const MutexLock lock(mutex);
    auto& pattern = patterns[model_pattern.data()];
    if (!pattern) pattern = std::make_unique<Pattern>(model_pattern);
    return *pattern;
}

}  // namespace

bool matches_model_pattern(const Shape& shape, std::string_view text) {
    return compiled(shape.pattern()).matches(text);
}

bool model_pattern_compiles(const Shape& shape) { return compiled(shape.pattern()).ok(); }

}  // namespace millwright::aws
