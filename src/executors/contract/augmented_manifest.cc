#include <cstring>
#include <unordered_map>

#include "base/json.h"
#include "base/strings.h"
#include "executors/contract/channel.h"

namespace millwright::executors {
namespace {

constexpr std::string_view kReference = "-ref";

// The values of a JSON object's members as they are written. REQUIRES: `text` is a valid object.
class RawMembers {
  public:
    explicit RawMembers(std::string_view text) : text_(text) {
        at_ = text_.find('{') + 1;
        for (skip_space(); at_ < text_.size() && text_[at_] != '}'; skip_space()) {
            skip_string();
            at_ = text_.find(':', at_) + 1;
            skip_space();
            const size_t begin = at_;
            skip_value();
            values_.push_back(text_.substr(begin, at_ - begin));
            skip_space();
            if (at_ < text_.size() && text_[at_] == ',') ++at_;
        }
    }
    const std::vector<std::string_view>& values() const { return values_; }

  private:
    void skip_space() { at_ = std::min(text_.size(), text_.find_first_not_of(" \t\r\n", at_)); }
    void skip_string() {
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\') ++at_;
        }
        ++at_;
    }
    void skip_value() {
        int depth = 0;
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (c == '"') {
                skip_string();
            } else {
                if (c == '{' || c == '[') ++depth;
                if ((c == '}' || c == ']') && depth > 0) {
                    --depth;
                } else if (depth == 0 && std::string_view(",} \t\r\n").find(c) != std::string_view::npos) {
                    return;
                }
                ++at_;
            }
            if (depth == 0 && (c == '"' || c == '}' || c == ']')) return;
        }
    }

    const std::string_view text_;
    size_t at_ = 0;
    std::vector<std::string_view> values_;
};

// Collects what the lines deliver.
class Collector {
  public:
    explicit Collector(const std::vector<std::string>& attributes) : attributes_(attributes) {}

    Result<void> add_line(std::string_view line, size_t number) {
        where_ = "Line " + std::to_string(number) + " of the augmented manifest ";
        const auto document = Json::parse(line);
        if (!document || !document->is_object()) return invalid_input(where_ + "is not a JSON object.");
        const RawMembers raw(line);
        for (const auto& attribute : attributes_) TRY(add_item(*document, raw, attribute));
        ++content_.records;
        return {};
    }
    ChannelContent finish() && { return std::move(content_); }

  private:
    Result<void> add_item(const Json& line, const RawMembers& raw, const std::string& attribute) {
        const Json* value = line.find(attribute);
        if (!value) return invalid_input(where_ + "has no attribute '" + attribute + "'.");
        if (attribute.ends_with(kReference)) return add_object(*value, attribute);
        if (value->is_string()) return add_text(value->as_string());
        // Numbers as they are written: 1.0 stays 1.0.
        const auto& members = line.as_object();
        if (raw.values().size() != members.size()) return invalid_input(where_ + "names an attribute twice.");
        for (size_t i = 0; i < members.size(); ++i) {
            if (members[i].name == attribute) return add_text(raw.values()[i]);
        }
        return {};
    }

    Result<void> add_object(const Json& value, const std::string& attribute) {
        const auto uri = object_store::parse_s3_uri(value.string_or(""));
        if (!uri || uri->key.empty())
            return invalid_input(where_ + "has no S3 URI of an object in '" + attribute + "'.");
        const auto [known, is_new] = objects_.try_emplace(value.as_string(), content_.objects.size());
        if (is_new) {
            if (content_.objects.size() == kMaxChannelObjects)
                return invalid_input("An augmented manifest may name at most " + std::to_string(kMaxChannelObjects) +
                                     " objects.");
            content_.objects.push_back({uri->bucket, uri->key, ""});
        }
        put_item('o', known->second);
        return {};
    }

    Result<void> add_text(std::string_view text) {
        put_item('t', text.size());
        content_.items += text;
        return {};
    }

    void put_item(char kind, uint64_t value) {
        char bytes[sizeof value];
        std::memcpy(bytes, &value, sizeof value);
        content_.items += kind;
        content_.items.append(bytes, sizeof bytes);
    }

    const std::vector<std::string>& attributes_;
    ChannelContent content_;
    std::unordered_map<std::string, uint64_t> objects_;
    std::string where_;
};

}  // namespace

Result<ChannelContent> parse_augmented_manifest(std::string_view text, const std::vector<std::string>& attributes) {
    Collector collector(attributes);
    size_t number = 0, lines = 0;
    while (!text.empty()) {
        const auto end = std::min(text.size(), text.find('\n'));
        const auto line = trim(text.substr(0, end));
        text.remove_prefix(std::min(text.size(), end + 1));
        ++number;
        if (line.empty()) continue;
        TRY(collector.add_line(line, number));
        ++lines;
    }
    if (lines == 0) return invalid_input("The augmented manifest has no lines.");
    return std::move(collector).finish();
}

}  // namespace millwright::executors
