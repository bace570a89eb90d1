#include "base/xml.h"

#include <gtest/gtest.h>

namespace millwright {
namespace {

TEST(Xml, WriterEscapesAndReaderUndoesIt) {
    XmlWriter writer;
    writer.open("Root", "urn:x").element("Key", "a<b>&\"c\"\r").close();
    const auto root = *parse_xml(writer.finish());
    EXPECT_EQ(root.name, "Root");
    EXPECT_EQ(root.text_of("Key"), "a<b>&\"c\"\r");
}
TEST(Xml, WhatXmlCannotHoldIsReplaced) {
    std::string out;
    append_xml_text(out, std::string("a\0b\x1b\r\n", 6) + "\xEF\xBF\xBE\xEF\xBF\xBF\xEF\xBF\xBC");
    EXPECT_EQ(out,
              "a\xEF\xBF\xBD"
              "b\xEF\xBF\xBD&#13;\n\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBC");
}

TEST(Xml, EveryByteComesBackWhereverItStands) {
    for (int c = 0x20; c < 0x7F; ++c)
        for (const std::string& text :
             {std::string(1, static_cast<char>(c)), "ab" + std::string(2, static_cast<char>(c)) + "c",
              std::string(1, static_cast<char>(c)) + "\xEF\xBC\xA1" + static_cast<char>(c)}) {
            XmlWriter writer;
            writer.open("Root").element("Key", text).element("Empty", "").close();
            const std::string document = writer.finish();
            const auto root = parse_xml(document);
            ASSERT_TRUE(root) << document;
            // White space alone is nothing to the reader.
            if (text != " ") {
                EXPECT_EQ(root->text_of("Key"), text) << document;
            }
            EXPECT_TRUE(document.ends_with("</Key><Empty></Empty></Root>")) << document;
        }
}

TEST(Xml, RefusesMalformedAndDeepDocuments) {
    EXPECT_FALSE(parse_xml("<a><b></a>"));
    EXPECT_FALSE(parse_xml(""));
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "<a>";
    for (int i = 0; i < 1000; ++i) deep += "</a>";
    EXPECT_FALSE(parse_xml(deep));
}
TEST(Xml, IgnoresNamespacePrefixes) { EXPECT_EQ(parse_xml("<s:A xmlns:s='u'><s:B>1</s:B></s:A>")->text_of("B"), "1"); }

}  // namespace
}  // namespace millwright
