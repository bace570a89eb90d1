// XML as the query and rest-xml protocols need it: a small writer, and a reader over pugixml.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace millwright {

// Writes elements in order; escapes text. Closing is explicit so that nesting is visible at the call.
class XmlWriter {
  public:
    XmlWriter();  // starts with the XML declaration
    XmlWriter& open(std::string_view name, std::string_view xmlns = {});
    XmlWriter& attribute(std::string_view name, std::string_view value);  // of the element opened just before
    XmlWriter& text(std::string_view text);
    XmlWriter& close();  // the innermost open element
    XmlWriter& element(std::string_view name, std::string_view text);
    std::string finish();  // REQUIRES: everything is closed

  private:
    std::string out_;
    std::vector<std::string> open_;
};

// Escaped; characters that XML 1.0 has no form for become U+FFFD.
void append_xml_text(std::string& out, std::string_view text);
// Whether XML 1.0 has a form for every character of a text in UTF-8.
bool is_xml_text(std::string_view text);

// An element read from a document. Names are without namespace prefix.
struct XmlElement {
    std::string name;
    std::string text;  // character data directly inside
    std::vector<XmlElement> children;

    const XmlElement* find(std::string_view child) const;
    std::string text_of(std::string_view child, std::string_view otherwise = "") const;
};

// The root element. No DTDs, no entities but the five of XML, nesting up to 64 levels. Fails with InvalidInput.
Result<XmlElement> parse_xml(std::string_view text);

}  // namespace millwright
