"""Texts that break programs which take names for something else: paths, headers, queries, commands, terminals, patterns."""

MARK = "mwtrip"  # stands in every name that could become a file, so that the file can be found


def names(outside):
    """`outside` is a folder that nobody but the test may touch."""
    mark = MARK
    ups = ["../" * depth + mark for depth in (1, 2, 3, 8, 40)]
    return [
        *ups, "..", ".", "./", "../", "...", f"/{mark}", f"//{mark}", f"{outside}/{mark}", f"/..{outside}/{mark}", f"..{outside}/{mark}",
        f"a/../../{mark}", f"a/./../../{mark}", f"a//..//..//{mark}", f"{mark}/..", f"..\\..\\{mark}", f"C:\\{mark}", f"\\\\host\\{mark}",
        f"%2e%2e%2f{mark}", f"%252e%252e%252f{mark}", f"..%2f{mark}", f"..%c0%af{mark}", f"%2e%2e/{mark}", f"..;/{mark}", f"~/{mark}",
        f"$HOME/{mark}", f"file://{outside}/secret", f"file:{outside}/secret", f"{outside}/secret", "/etc/passwd", "/proc/self/environ",
        "/dev/zero", "/dev/stdin", "/proc/self/root/etc/passwd",
        f"{mark}\x00.txt", f"\x00{mark}", f"{mark}%00", f"{mark}\r\nX-Injected: yes", f"{mark}\nX-Injected: yes", f"{mark}%0d%0aX-Injected:%20yes",
        f"{mark}\r\n\r\nHTTP/1.1 200 OK", f"\x1b[31m{mark}\x1b[0m", f"\x1b]0;{mark}\x07", "\x07\x08\x7f", "\u202e" + mark, "\u200b" + mark,
        "\ufeff" + mark, "a\u0300" * 40, "\u00e9" + mark, "e\u0301" + mark, "\u212a" + mark, "\uff0e\uff0e\uff0f" + mark, "\u2024\u2024/" + mark,
        "..\u2215" + mark, "\U0001f600" * 20, "\ud7ff\ue000", "\uffff\ufffe",
        f"$(touch {outside}/{mark})", f"`touch {outside}/{mark}`", f"; touch {outside}/{mark} #", f"| touch {outside}/{mark}", f"&& touch {outside}/{mark}",
        f"'; touch {outside}/{mark}; '", f'"; touch {outside}/{mark}; "', "${IFS}", "--help", "-rf", "--data-dir=/", "@" + mark, "!!", "*", "?", "[a-z]*",
        "' OR '1'='1", "'; DROP TABLE objects; --", '" OR ""="', "1; ATTACH DATABASE '" + outside + "/" + mark + "' AS x; --", "%' AND 1=1 --", "_%", "x'00'",
        "{{7*7}}", "${7*7}", "#{7*7}", "%s%s%s%n", "%x" * 20, "<script>alert(1)</script>", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>", "]]>",
        "{\"a\":", "null", "true", "NaN", "-1", "0", "1e309", "9" * 400, "", " ", "  \t ", "a" * 64, "a" * 256, "a" * 1025, "a" * 5000, "a/" * 600,
        "(" * 300, "(a+)+$" + "a" * 30, "\\", "\\\\" * 50, "con", "nul.txt", "arn:aws:sagemaker:us-west-2:123456789012:model/../../" + mark,
        "arn:" + ":" * 50, "arn:aws:iam::*:role/*", "s3://" + outside + "/secret", "s3://../" + mark, "s3://bucket/../../" + mark,
        f"s3://%2e%2e/{mark}", "s3:///" + mark, f"s3://a\x00b/{mark}", f"http://127.0.0.1/{mark}", f"{mark}?x=1#y", f"{mark}&Action=DeleteUser", f"{mark};rm",
    ]
