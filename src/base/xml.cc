#include "base/xml.h"

#include <algorithm>
#include <array>
#include <pugixml.hpp>

#include "base/check.h"

namespace millwright {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

std::string_view local_name(std::string_view name) {
    const size_t colon = name.find(':');
    return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

Result<XmlElement> convert(const pugi::xml_node& node, int depth) {
    if (depth > kMaxDepth) return invalid_input("XML is nested too deeply");
    XmlElement element{std::string(local_name(node.name())), "", {}};
    for (const auto& child : node.children()) {
        if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata)
            element.text += child.value();
        else if (child.type() == pugi::node_element)
            element.children.push_back(TRY(convert(child, depth + 1)));
    }
    return element;
}

// How many bytes at `i` are a character that XML 1.0 has no form for: other control characters than white space, U+FFFE
// and U+FFFF. Parsers refuse a document that holds one.
size_t unfit_at(std::string_view text, size_t i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20) return c == '\t' || c == '\n' || c == '\r' ? 0 : 1;
    const std::string_view three = text.substr(i, 3);
    return three == "\xEF\xBF\xBE" || three == "\xEF\xBF\xBF" ? 3 : 0;
}

std::string_view entity_of(char c) {
    switch (c) {
        case '&':
            return "&amp;";
        case '<':
            return "&lt;";
        case '>':
            return "&gt;";
        case '"':
            return "&quot;";
        case '\r':
            return "&#13;";
        default:
            return {};
    }
}

// Bytes that are written as they are, whatever stands behind them.
constexpr auto kPlain = [] {
    std::array<bool, 256> plain{};
    for (size_t c = 0x20; c < plain.size(); ++c) plain[c] = c != '&' && c != '<' && c != '>' && c != '"' && c != 0xEF;
    return plain;
}();

}  // namespace

XmlWriter::XmlWriter() : out_("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") {}

XmlWriter& XmlWriter::open(std::string_view name, std::string_view xmlns) {
    out_ += '<';
    out_ += name;
    if (!xmlns.empty()) {
        out_ += " xmlns=\"";
        append_xml_text(out_, xmlns);
        out_ += '"';
    }
    out_ += '>';
    open_.emplace_back(name);
    return *this;
}

XmlWriter& XmlWriter::attribute(std::string_view name, std::string_view value) {
    CHECK(out_.ends_with('>'));
    out_.pop_back();
    out_.append(" ").append(name).append("=\"");
    append_xml_text(out_, value);
    out_ += "\">";
    return *this;
}

XmlWriter& XmlWriter::text(std::string_view text) {
    append_xml_text(out_, text);
    return *this;
}

XmlWriter& XmlWriter::close() {
    CHECK(!open_.empty());
    out_.append("</").append(open_.back()) += '>';
    open_.pop_back();
    return *this;
}

XmlWriter& XmlWriter::element(std::string_view name, std::string_view text) {
    out_.append("<").append(name) += '>';
    append_xml_text(out_, text);
    out_.append("</").append(name) += '>';
    return *this;
}

std::string XmlWriter::finish() {
    CHECK(open_.empty());
    return std::move(out_);
}

void append_xml_text(std::string& out, std::string_view text) {
    size_t copied = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        if (kPlain[static_cast<unsigned char>(text[i])]) [[likely]]
            continue;
        const size_t unfit = unfit_at(text, i);
        const std::string_view written = unfit > 0 ? kReplacement : entity_of(text[i]);
        if (written.empty()) continue;
        out.append(text, copied, i - copied).append(written);
        i += std::max<size_t>(unfit, 1) - 1;
        copied = i + 1;
    }
    out.append(text, copied);
}

bool is_xml_text(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i)
        if (unfit_at(text, i) > 0) return false;
    return true;
}

const XmlElement* XmlElement::find(std::string_view child) const {
    for (const auto& element : children)
        if (element.name == child) return &element;
    return nullptr;
}

std::string XmlElement::text_of(std::string_view child, std::string_view otherwise) const {
    const XmlElement* element = find(child);
    return element ? element->text : std::string(otherwise);
}

Result<XmlElement> parse_xml(std::string_view text) {
    // pugixml recurses when it frees and we recurse when converting; refuse absurd nesting before either.
    pugi::xml_document document;
    const auto parsed =
        document.load_buffer(text.data(), text.size(), pugi::parse_default | pugi::parse_ws_pcdata_single);
    if (!parsed) return Error{ErrorKind::InvalidInput, "malformed XML", parsed.description()};
    const auto root = document.document_element();
    if (!root) return invalid_input("malformed XML");
    return convert(root, 0);
}

}  // namespace millwright
