// Test helper: archives made to break an unpacker, some hundreds of them from combinations.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/gzip_for_tests.h"

namespace millwright::executors::crafted {

// --- A tar writer that does what it is told, also when no program would write it.

struct Entry {
    std::string name;
    char type = '0';
    std::string body = {};
    std::string link = {};
    std::string mode = "0000644";
    std::string prefix = {};
    std::string size = {};  // as written; the body's when empty
    bool good_checksum = true;
};

inline std::string octal(uint64_t value, int digits) {
    char text[32];
    snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
    return text;
}

inline std::string padded(std::string bytes) {
    bytes.resize((bytes.size() + 511) / 512 * 512, '\0');
    return bytes;
}

inline std::string tar_entry(const Entry& entry) {
    std::string header(512, '\0');
    const auto put = [&](size_t at, size_t size, const std::string& text) {
        header.replace(at, std::min(size, text.size()), text, 0, std::min(size, text.size()));
    };
    put(0, 100, entry.name);
    put(100, 8, entry.mode);
    put(108, 8, "0000000");
    put(116, 8, "0000000");
    put(124, 12, entry.size.empty() ? octal(entry.body.size(), 11) : entry.size);
    put(136, 12, octal(0, 11));
    put(148, 8, "        ");
    header[156] = entry.type;
    put(157, 100, entry.link);
    put(257, 6, std::string("ustar\0", 6));
    put(263, 2, "00");
    put(345, 155, entry.prefix);
    uint64_t sum = entry.good_checksum ? 0 : 7;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, 8, octal(sum, 6) + std::string("\0 ", 2));
    return header + padded(entry.body);
}

inline std::string file(const std::string& name, const std::string& body = "content") {
    return tar_entry({name, '0', body});
}
inline std::string folder(const std::string& name) { return tar_entry({name, '5'}); }
inline std::string symbolic(const std::string& name, const std::string& to) { return tar_entry({name, '2', "", to}); }
inline std::string hard(const std::string& name, const std::string& to) { return tar_entry({name, '1', "", to}); }

// "25 path=somewhere\n": a record that counts its own length.
inline std::string pax_record(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) ++length;
    return std::to_string(length) + rest;
}
inline std::string pax(const std::string& records, char type = 'x') { return tar_entry({"PaxHeader", type, records}); }
inline std::string gnu_long(char type, const std::string& text) {
    return tar_entry({"././@LongLink", type, text + '\0'});
}

inline std::string finished(const std::string& entries) { return entries + std::string(1024, '\0'); }

// --- What is tried: name -> archive.

using Cases = std::map<std::string, std::string>;

inline const std::string kSecret = "/proc/self/environ";

inline std::vector<std::pair<std::string, std::string>> hostile_names() {
    std::string deep, long_path;
    for (int i = 0; i < 2000; ++i) deep += "d/";
    for (int i = 0; i < 30; ++i) long_path += std::string(200, 'l') + "/";
    return {{"up", "../escaped"},
            {"up twice", "../../escaped"},
            {"up later", "a/../../escaped"},
            {"up hidden by dots", "./././../escaped"},
            {"up after many", "a/b/c/../../../../escaped"},
            {"only up", ".."},
            {"up as a folder", "../"},
            {"up inside", "a/.."},
            {"slashes and up", "a//..//..//escaped"},
            {"absolute", "/escaped-by-millwright-test"},
            {"absolute twice", "//escaped-by-millwright-test"},
            {"absolute tmp", "/tmp/escaped-by-millwright-test"},
            {"backslashes", "..\\..\\escaped"},
            {"drive", "C:\\escaped"},
            {"percent", "%2e%2e/escaped"},
            {"overlong utf-8", "\xC0\xAE\xC0\xAE/escaped"},
            {"full-width dots", "\xEF\xBC\x8E\xEF\xBC\x8E/escaped"},
            {"leader dots", "\xE2\x80\xA4\xE2\x80\xA4/escaped"},
            {"division slash",
             "..\xE2\x88\x95"
             "escaped"},
            {"right to left",
             "\xE2\x80\xAE"
             "escaped"},
            {"not utf-8", "\xFF\xFE/escaped"},
            {"newline", "a\n../escaped"},
            {"escape sequence", "\x1b[2J\x1b]0;x\x07"},
            {"carriage return", "a\r\nb"},
            {"shell", "$(touch escaped);`touch escaped`|touch escaped"},
            {"option", "--checkpoint-action=exec=sh"},
            {"home", "~/escaped"},
            {"dot", "."},
            {"nothing", ""},
            {"slash", "/"},
            {"component too long", std::string(300, 'n')},
            {"path too long", long_path},
            {"too deep", deep + "x"},
            {"proc", "/proc/self/root/escaped"},
            {"proc inside", "proc/self/root/../../../escaped"},
            {"blanks", "   "},
            {"dots and blank", ".. /escaped"},
            {"three dots", ".../escaped"},
            {"tabs", "..\t/escaped"}};
}

// Every name as every kind of entry, carried in each way a tar has.
inline void add_names(Cases& cases) {
    for (const auto& [what, name] : hostile_names())
        for (const char type : {'0', '5', '2', '1'}) {
            const std::string kind = std::string(1, type) + " ";
            const std::string link = type == '2' || type == '1' ? "inside" : "";
            const std::string body = type == '0' ? "content" : "";
            const std::string first = file("inside");
            cases["plain " + kind + what] = first + tar_entry({name, type, body, link});
            cases["long " + kind + what] = first + gnu_long('L', name) + tar_entry({"short", type, body, link});
            cases["pax " + kind + what] =
                first + pax(pax_record("path", name)) + tar_entry({"short", type, body, link});
        }
    cases["prefix up"] = tar_entry({"escaped", '0', "x", "", "0000644", ".."});
    cases["prefix absolute"] = tar_entry({"escaped-by-millwright-test", '0', "x", "", "0000644", "/tmp"});
    cases["pax nul"] = pax(pax_record("path", std::string("a\0/../../escaped", 16))) + file("short");
    cases["pax for all"] = pax(pax_record("path", "../escaped"), 'g') + file("a") + file("b");
    cases["pax link up"] = pax(pax_record("linkpath", "../outside/precious")) + symbolic("l", "inside");
    cases["pax empty path"] = pax(pax_record("path", "")) + file("short");
    cases["pax twice"] = pax(pax_record("path", "safe") + pax_record("path", "../escaped")) + file("short");
    cases["pax and long"] = gnu_long('L', "safe") + pax(pax_record("path", "../escaped")) + file("short");
}

// Links that lead out, and what may be written through them.
inline void add_links(Cases& cases) {
    const std::vector<std::string> targets = {"..",
                                              "../outside",
                                              "../outside/precious",
                                              "/",
                                              "/etc/passwd",
                                              "/proc/self/root",
                                              "/proc/self/fd/1",
                                              "/proc/self/cwd",
                                              kSecret,
                                              "a/../../outside",
                                              "./../outside/precious",
                                              "//etc/passwd",
                                              ".",
                                              "self",
                                              "missing",
                                              "a/b/c",
                                              "",
                                              "../model/../outside",
                                              "/dev/stdin",
                                              std::string(5000, 'x'),
                                              "..\\outside",
                                              "inside/../../outside"};
    for (size_t i = 0; i < targets.size(); ++i) {
        const std::string& to = targets[i];
        const std::string name = std::to_string(i);
        for (const bool is_symbolic : {true, false}) {
            const std::string kind = is_symbolic ? "symbolic " : "hard ";
            const std::string start = file("inside") + folder("a");
            const std::string link =
                (to.size() > 100 ? gnu_long('K', to) : "") + (is_symbolic ? symbolic("self", to) : hard("self", to));
            cases[kind + name] = start + link;
            cases[kind + name + " then a file of its name"] = start + link + file("self", "overwritten");
            cases[kind + name + " then a file below it"] = start + link + file("self/precious", "overwritten");
            cases[kind + name + " then a folder of its name"] = start + link + folder("self") + file("self/x");
            cases[kind + name + " then a link to it"] =
                start + link + hard("second", "self") + file("second", "overwritten");
            cases[kind + name + " by pax"] =
                start + pax(pax_record("linkpath", to)) + (is_symbolic ? symbolic("self", "x") : hard("self", "x"));
        }
    }
    cases["two links round"] = symbolic("a", "b") + symbolic("b", "a");
    cases["links in steps"] = folder("d") + symbolic("d/up", "..") + symbolic("out", "d/up/..");
    cases["links in steps to a file"] = folder("d") + symbolic("up", "d/..") + symbolic("l", "up/../outside/precious");
    std::string chain = file("l0");
    for (int i = 1; i < 60; ++i) chain += symbolic("l" + std::to_string(i), "l" + std::to_string(i - 1));
    cases["a chain of links"] = chain;
    cases["a folder becomes a link"] = folder("a") + file("a/x") + symbolic("a", "../outside");
    cases["a file becomes a folder"] = file("a") + file("a/x");
    cases["a link becomes a folder"] = symbolic("a", "../outside") + file("a/precious");
    cases["a hard link and a change"] = file("a") + hard("b", "a") + file("b", "changed");
}

inline void add_kinds(Cases& cases) {
    for (const char type : std::string("346789ABDEFGIJMNQRSTUVWYZ\x01\xff"))
        cases["type " + std::to_string(static_cast<unsigned char>(type))] =
            file("inside") + tar_entry({"special", type, "", "inside"});
    for (const char* mode : {"0004755", "0002755", "0007777", "0001777", "0000000", "7777777", "-000001",
                             "\xff\xff\xff\xff\xff\xff\xff\xff"})
        cases[std::string("mode ") + mode] = tar_entry({"a", '0', "x", "", mode}) + tar_entry({"d", '5', "", "", mode});
    for (const char* key :
         {"SCHILY.xattr.user.x", "SCHILY.xattr.security.capability", "LIBARCHIVE.xattr.security.selinux",
          "SCHILY.acl.access", "SCHILY.fflags", "uid", "gid", "uname", "mtime", "atime", "ctime", "SCHILY.dev",
          "SCHILY.ino", "SCHILY.nlink", "hdrcharset", "comment", "GNU.volume.filename", "SCHILY.devmajor"})
        for (const std::string value : {"1", "-1", "99999999999999999999", "x", "u::rwx,u:0:rwx"})
            cases[std::string("pax ") + key + " " + value] = pax(pax_record(key, value)) + file("a");
}

inline void add_sizes(Cases& cases) {
    const std::string huge_256 = "\x80" + std::string(3, '\0') + "\x7f" + std::string(7, '\xff');
    for (const std::string& size :
         {std::string("77777777777"), huge_256, std::string(12, '\xff'), std::string("-0000000001"),
          std::string("99999999999"), std::string("           "), std::string("00000000x00"), std::string("1e9")}) {
        cases["size " + std::to_string(cases.size())] = tar_entry({"a", '0', "short", "", "0000644", "", size});
        cases["size of a link " + std::to_string(cases.size())] =
            tar_entry({"a", '2', "", "b", "0000644", "", size}) + file("b");
        cases["size of a long name " + std::to_string(cases.size())] =
            tar_entry({"././@LongLink", 'L', "x", "", "0000644", "", size}) + file("b");
        cases["size of a pax header " + std::to_string(cases.size())] =
            tar_entry({"p", 'x', "x", "", "0000644", "", size}) + file("b");
    }
    for (const char* size : {"-1", "9223372036854775807", "18446744073709551616", "1000000000000", "x", "", "0x10"})
        cases[std::string("pax size ") + size] = pax(pax_record("size", size)) + file("a") + file("b");
    for (const char* bad : {"x path=a\n", "5 path=a\n", "999999999 path=a\n", "0 path=a\n", "11 path=a\n",
                            "-9 path=a\n", "path=a", "\n\n\n", "9 =a\n9 =b\n"})
        cases[std::string("pax record ") + bad] = pax(bad) + file("b");
    const auto sparse = [](const std::string& real, const std::string& map) {
        return pax(pax_record("GNU.sparse.major", "0") + pax_record("GNU.sparse.minor", "1") +
                   pax_record("GNU.sparse.name", "holes") + pax_record("GNU.sparse.realsize", real) +
                   pax_record("GNU.sparse.map", map)) +
               file("GNUSparseFile/holes", "data");
    };
    for (const char* real : {"4", "1000000", "1099511627776", "9223372036854775807", "-1"})
        for (const char* map : {"0,4", "1099511627772,4", "9223372036854775803,4", "0,0,0,0,0,4", "4,0,0,4", "-4,4",
                                "0,9223372036854775807", ","})
            cases[std::string("sparse ") + real + " " + map] = sparse(real, map);
    cases["sparse name up"] =
        pax(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
            pax_record("GNU.sparse.name", "../escaped") + pax_record("GNU.sparse.realsize", "4")) +
        file("x", "0\n");
}

inline void add_bombs(Cases& cases) {
    std::string many, nested, deep;
    for (int i = 0; i < 3000; ++i) many += file("f" + std::to_string(i), "");
    cases["many files"] = many;
    for (int i = 0; i < 40; ++i) {
        nested.clear();
        for (int k = 0; k < 90; ++k)
            nested += std::string(10, static_cast<char>('a' + k % 26)) + std::to_string(i) + "/";
        deep += gnu_long('L', nested + "f") + file("short", "");
    }
    cases["many folders that no entry names"] = deep;
    cases["zeros"] = file("zeros", std::string(40 << 20, '\0'));
    cases["long name of a megabyte"] = gnu_long('L', std::string(1 << 20, 'n')) + file("x");
    cases["long name of many megabytes"] = gnu_long('L', std::string(24 << 20, 'n')) + file("x");
    cases["pax header of many megabytes"] = pax(pax_record("comment", std::string(24 << 20, 'c'))) + file("x");
    std::string headers;
    for (int i = 0; i < 2000; ++i) headers += pax(pax_record("comment", "c"));
    cases["headers without end"] = headers;
    cases["twins by case"] = file("A") + file("a") + folder("B") + folder("b");
    cases["twins by form"] = file("\xC3\xA9") + file("e\xCC\x81");
    cases["one name a hundred times"] = [] {
        std::string all;
        for (int i = 0; i < 100; ++i)
            all += i % 3 ? file("same", std::to_string(i)) : symbolic("same", "../outside/precious");
        return all + file("same");
    }();
}

// Without compression.
inline Cases tar_cases() {
    Cases cases;
    add_names(cases);
    add_links(cases);
    add_kinds(cases);
    add_sizes(cases);
    add_bombs(cases);
    cases["bad checksum"] = tar_entry({"a", '0', "x", "", "0000644", "", "", false});
    cases["nothing"] = "";
    for (auto& [name, bytes] : cases) bytes = finished(bytes);
    return cases;
}

// As sent: most are compressed.
inline Cases raw_cases() {
    Cases cases;
    const std::string whole =
        finished(folder("d") + file("d/a", std::string(3000, 'a')) + symbolic("l", "d/a") + hard("h", "d/a"));
    const std::string packed = gzip(whole);
    for (size_t cut = 0; cut < packed.size(); cut += 7)
        cases["packed, cut at " + std::to_string(cut)] = packed.substr(0, cut);
    for (size_t cut = 0; cut < whole.size(); cut += 173)
        cases["cut at " + std::to_string(cut)] = gzip(whole.substr(0, cut));
    std::mt19937 random(7);
    for (int i = 0; i < 150; ++i) {
        std::string damaged = i % 2 ? whole : packed;
        for (int k = 0; k < 1 + i % 5; ++k)
            damaged[random() % damaged.size()] ^= static_cast<char>(1 << (random() % 8));
        cases["damaged " + std::to_string(i)] = i % 2 ? gzip(damaged) : damaged;
    }
    cases["plain tar"] = whole;
    cases["two members"] = packed + gzip(finished(file("../escaped")));
    cases["an archive after the end"] = gzip(whole + finished(file("../escaped")));
    cases["packed twice"] = gzip(packed);
    cases["garbage after it"] = packed + std::string(1000, '\xA5');
    cases["zeros after it"] = packed + std::string(100'000, '\0');
    cases["a gzip name that leads out"] =
        std::string("\x1f\x8b\x08\x08\0\0\0\0\0\x03", 10) + "../escaped" + std::string(1, '\0') + packed.substr(10);
    cases["a script"] = "#!/bin/sh\ntouch escaped\n";
    cases["zip"] = "PK\x03\x04" + std::string(200, '\0');
    cases["cpio"] = "070707000000000000000000000000000000000000000000000000000000000000000000001400000000000../escaped";
    cases["ar"] = "!<arch>\n../escaped      0           0     0     100644  4         `\nabcd";
    cases["xz"] = std::string(
                      "\xFD"
                      "7zXZ\0",
                      6) +
                  std::string(100, '\1');
    cases["mtree"] = "#mtree\n../escaped type=file contents=/etc/passwd\n";
    cases["shell archive"] = "#! /bin/sh\n# This is a shell archive.\nsed 's/^X//' >../escaped << 'E'\n";
    return cases;
}

}  // namespace millwright::executors::crafted
