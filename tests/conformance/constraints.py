"""Inputs generated from botocore's models, and what AWS says to those that break a constraint.

Two things are kept apart from the server's code on purpose: the valid values come from the patterns and limits of the
models by a generator of strings, and the expected texts come from a second validator, written here from the rules of
docs/internals/front.md.
"""
import functools
import random
import re
import re._parser as parser
import string

NOT_NULL = "Member must not be null"
PRINTED = 2048
LISTED = 100
# Longer texts and larger lists than these are not sent: a document may have 6 MiB.
LONGEST, LARGEST = 70_000, 3_000

CLASSES = {"L": "A-Za-zÀ-ÖØ-öø-ÿ", "Lu": "A-Z", "Ll": "a-z", "N": "0-9", "Nd": "0-9", "Z": r" \xa0", "Zs": r" \xa0", "M": r"\u0300-\u036f",
           "S": r"$+<=>\^`|~", "P": r"!-#%-*,-/:;?@\[-\]_{}", "Alnum": "0-9A-Za-z", "Alpha": "A-Za-z", "Digit": "0-9",
           "Upper": "A-Z", "Lower": "a-z", "Print": r"\x20-\x7e", "Graph": r"\x21-\x7e", "ASCII": r"\x00-\x7f", "Space": r"\s",
           "Punct": r"!-/:-@\[-`{-~", "C": r"\x00-\x1f\x7f"}


def python_pattern(java):
    """The pattern in Python's words. Only what the models use."""
    text = java.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff").replace(r"\u10000-\u10FFFF", r"\U00010000-\U0010ffff")
    out, in_class, at = "", False, 0
    while at < len(text):
        named = re.compile(r"\\p\{(?:Is)?(\w+)\}|\\p(\w)").match(text, at)
        if named:
            members = CLASSES[named[1] or named[2]]
            out += members if in_class else f"[{members}]"
            at = named.end()
        elif text[at] == "\\":
            out += text[at:at + 2]
            at += 2
        else:
            if text[at] == "[" and in_class:
                out += "\\"
            in_class = text[at] == "[" or (in_class and text[at] != "]")
            out += text[at]
            at += 1
    return out


@functools.cache
def compiled(pattern):
    return re.compile(python_pattern(pattern), re.ASCII)


def matches(pattern, text):
    return compiled(pattern).fullmatch(text) is not None


class Strings:
    """Random texts of a pattern, by walking what Python's parser makes of it. Look-around is left to the check afterwards."""

    known = {}  # what was found for (pattern, low, high): looking is slow

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sets = {}

    def of(self, pattern, low, high):
        """A text of `low` to `high` characters that matches, or None."""
        if pattern is None:
            return self.word(max(low, min(8, high)))
        if (pattern, low, high) not in self.known:
            self.known[pattern, low, high] = self.search(pattern, low, high)
        return self.known[pattern, low, high]

    def search(self, pattern, low, high):
        tree = parser.parse(python_pattern(pattern), re.ASCII)
        longest = min(high, 256)
        for most in [1, 2, 3, 8, 20, 63] * 5 + [max(low, 1), longest, 4 * max(low, 1)] * 3:
            self.steps_left = 8 * longest + 64
            try:
                text = "".join(self.walk(tree, most))
            except OverflowError:
                continue
            if low <= len(text) <= high and matches(pattern, text):
                return text
        return None

    def word(self, length):
        return "".join(self.random.choice(string.ascii_lowercase) for _ in range(length))

    def walk(self, tree, most):
        return [piece for operation, argument in tree for piece in self.step(str(operation), argument, most)]

    def step(self, operation, argument, most):
        self.steps_left -= 1
        if self.steps_left < 0:
            raise OverflowError("longer than any text that is wanted")
        if operation == "LITERAL":
            return [chr(argument)]
        if operation == "NOT_LITERAL":
            return [next(c for c in "a0-" if ord(c) != argument)]
        if operation == "ANY":
            return ["a"]
        if operation == "IN":
            return [self.member(argument)]
        if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = argument
            count = self.random.randint(low, max(low, min(int(high), most)))
            return [piece for _ in range(count) for piece in self.walk(inner, most)]
        if operation == "BRANCH":
            return self.walk(self.random.choice(argument[1]), most)
        if operation == "SUBPATTERN":
            return self.walk(argument[3], most)
        if operation in ("AT", "ASSERT", "ASSERT_NOT"):
            return []
        raise ValueError(operation)

    def member(self, argument):
        return self.random.choice(self.choices(argument))

    def choices(self, argument):
        if id(argument) in self.sets:
            return self.sets[id(argument)][1]
        negated = str(argument[0][0]) == "NEGATE"
        inside = lambda c: any(self.is_in(item, c) for item in argument[negated:])  # noqa: E731
        letters = string.ascii_letters + string.digits + string.punctuation + " "
        choices = [c for c in letters if inside(c) != negated]
        plain = [c for c in choices if c.isalnum()]
        # The argument is kept with it, so that its id stays its own.
        self.sets[id(argument)] = (argument, plain or choices or [chr(0xe9)])
        return self.sets[id(argument)][1]

    @staticmethod
    def is_in(item, letter):
        kind, argument = str(item[0]), item[1]
        if kind == "LITERAL":
            return ord(letter) == argument
        if kind == "RANGE":
            return argument[0] <= ord(letter) <= argument[1]
        tests = {"CATEGORY_DIGIT": str.isdigit, "CATEGORY_SPACE": str.isspace, "CATEGORY_WORD": lambda c: c.isalnum() or c == "_"}
        name = str(argument)
        return not tests[name.replace("NOT_", "")](letter) if "NOT_" in name else tests[name](letter)


# --- What the model says of a shape.

SCALARS = ("string", "character", "integer", "long", "float", "double", "boolean", "blob", "timestamp")
NUMBERS = ("integer", "long", "float", "double")


def limits(shape):
    return shape.metadata.get("min"), shape.metadata.get("max")


def pattern_of(shape):
    return shape.metadata.get("pattern")


def is_union(shape):
    return shape.metadata.get("union", False)


class Values:
    """Valid values of shapes."""

    def __init__(self, seed):
        self.strings = Strings(seed)

    def scalar(self, shape, full=False):
        low, high = limits(shape)
        if shape.type_name in ("string", "character"):
            if shape.enum:
                return shape.enum[-1 if full else 0]
            return self.text(shape, full)
        if shape.type_name in NUMBERS:
            value = (high if full and high is not None else low) if (low is not None or high is not None) else 1
            value = high if value is None else value
            return int(value) if shape.type_name in ("integer", "long") else value
        if shape.type_name == "blob":
            return b"x" * max(1, low or 0)
        return {"boolean": True, "timestamp": 1_700_000_000}[shape.type_name]

    def text(self, shape, full):
        low, high = limits(shape)
        low, high = int(low or 0), int(min(high if high is not None else 256, 1024))
        if full and high <= 256:
            text = self.strings.of(pattern_of(shape), high, high)
            if text is not None:
                return text
        text = self.strings.of(pattern_of(shape), max(low, 1) if high >= 1 else low, high)
        text = self.strings.of(pattern_of(shape), low, high) if text is None else text
        assert text is not None, (shape.name, pattern_of(shape), low, high)
        return text

    def of(self, shape, full, above=()):
        """With all members (`full`), or with the required ones only. Recursive shapes end at the second round."""
        if shape.type_name == "structure":
            names = list(shape.members) if full else list(shape.required_members)
            if is_union(shape):
                names = list(shape.members)[:1]
            return {name: self.of(shape.members[name], full, (*above, shape.name)) for name in names
                    if name in shape.required_members or above.count(shape.members[name].name) < 1}
        low, high = limits(shape)
        count = max(int(low or 0), int(full and (high is None or high > 0)))
        if shape.type_name == "list":
            return [self.of(shape.member, full, (*above, shape.name)) for _ in range(count)]
        if shape.type_name == "map":
            return {self.scalar(shape.key): self.of(shape.value, full, (*above, shape.name)) for _ in range(count)}
        return self.scalar(shape, full)


# --- The second validator.


def size_of(shape, value):
    return value if shape.type_name in NUMBERS else len(value)


def number_text(value):
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def constraint_texts(shape, value, failed_only):
    """The texts of the constraints of one shape: those `value` fails, or all."""
    out = []

    def add(holds, text):
        if not (failed_only and holds):
            out.append(text)

    low, high = limits(shape)
    if shape.type_name == "string" and shape.enum:
        add(value in shape.enum, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    form = "Member must have value " if shape.type_name in NUMBERS else "Member must have length "
    if high is not None:
        add(value is not None and size_of(shape, value) <= high, f"{form}less than or equal to {number_text(high)}")
    if low is not None:
        add(value is not None and size_of(shape, value) >= low, f"{form}greater than or equal to {number_text(low)}")
    if pattern_of(shape):
        add(value is not None and matches(pattern_of(shape), value),
            f"Member must satisfy regular expression pattern: {pattern_of(shape)}")
    return out


def printed(shape, value):
    """As Java prints it."""
    if isinstance(value, bytes):
        if shape.type_name == "blob":
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    text = java(value)
    encoded = text.encode()
    return text if len(encoded) <= PRINTED else encoded[:PRINTED].decode(errors="replace") + "..."


def java(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={java(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(java(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value) if value.is_integer() else repr(value)
    if isinstance(value, bytes):
        import base64
        return base64.b64encode(value).decode()
    return str(value)


def entry(shape, value, path, constraint):
    shown = "Value null" if value is None else "Value" if shape.metadata.get("sensitive") else f"Value '{printed(shape, value)}'"
    return f"{shown} at '{path}' failed to satisfy constraint: {constraint}"


def violations(shape, value, path=""):
    """The entries of the answer, in the order of the model."""
    if shape.type_name == "structure":
        out = []
        for name, member in shape.members.items():
            inner = value.get(name)
            below = ".".join(filter(None, [path, name[0].lower() + name[1:]]))
            if inner is None:
                out += [entry(member, None, below, NOT_NULL)] if name in shape.required_members else []
            else:
                out += violations(member, inner, below)
        if is_union(shape) and sum(value.get(name) is not None for name in shape.members) != 1:
            out.append(entry(shape, value, path, "Exactly one member of the union must be set"))
        return out
    out = [entry(shape, value, path, text) for text in constraint_texts(shape, value, failed_only=True)]
    if shape.type_name == "list":
        out += elements(shape, value, path, shape.member, "Member must satisfy constraint: ", value,
                        [f"{path}.{place}.member" for place in range(1, len(value) + 1)])
    if shape.type_name == "map":
        out += elements(shape, value, path, shape.key, "Map keys must satisfy constraint: ", list(value), None)
        out += elements(shape, value, path, shape.value, "Map value must satisfy constraint: ", list(value.values()),
                        [f"{path}.{key}.member" for key in value])
    return out


def elements(shape, value, path, member, form, items, places):
    if member.type_name in SCALARS:
        for item in items:
            if constraint_texts(member, item, failed_only=True):
                texts = constraint_texts(member, item, failed_only=False)
                return [entry(member if member.metadata.get("sensitive") else shape, value, path, f"{form}[{', '.join(texts)}]")]
        return []
    return [text for item, place in zip(items, places, strict=True) for text in violations(member, item, place)]


def answer_to(shape, document):
    """The message, or None for a valid document."""
    found = violations(shape, document)
    if not found:
        return None
    return f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: {'; '.join(found[:LISTED])}"


# --- Broken inputs.


def places(shape, path=(), above=()):
    """Every (path, shape) below a structure; a step is a member's name, or '[]' for an element, '{}' for a map's value."""
    if path:
        yield path, shape
    if above.count(shape.name) > 0:
        return
    above = (*above, shape.name)
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from places(member, (*path, name), above)
    elif shape.type_name == "list":
        yield from places(shape.member, (*path, "[]"), above)
    elif shape.type_name == "map":
        yield from places(shape.value, (*path, "{}"), above)


def with_value(values, shape, path, new):
    """A minimal valid document of `shape` in which the place at `path` holds `new` (or lacks it: KeyError as `new`)."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if shape.type_name == "structure":
        document = {} if is_union(shape) else values.of(shape, False)
        if not rest and new is KeyError:
            document.pop(step, None)
        else:
            document[step] = with_value(values, shape.members[step], rest, new)
        return document
    count = max(1, int(limits(shape)[0] or 0))
    if shape.type_name == "list":
        return [with_value(values, shape.member, rest, new)] + [values.of(shape.member, False) for _ in range(count - 1)]
    document = {values.scalar(shape.key): with_value(values, shape.value, rest, new)}
    while len(document) < count:
        document[values.scalar(shape.key)] = values.of(shape.value, False)
    return document


ODD_TEXTS = ["", " ", "!", "%", "a b", "\u0007", "é", "..", "-", "/", "arn", "a" * 20, "A", "0", "\n", "🙂", "[", "_"]


def broken_values(values, shape):
    """(which constraint, a value that breaks it)."""
    low, high = limits(shape)
    if shape.type_name in ("string", "character"):
        if shape.enum:
            yield "enum", "no-such-value"
            yield "enum", shape.enum[0].swapcase() if shape.enum[0].swapcase() not in shape.enum else ""
        if low:
            yield "min length", (values.scalar(shape) if not shape.enum else "x" * int(low))[:int(low) - 1]
        if high is not None and high < LONGEST:
            yield "max length", "a" * (int(high) + 1)
        if pattern_of(shape):
            yield from (("pattern", odd) for odd in ODD_TEXTS if not matches(pattern_of(shape), odd))
    elif shape.type_name in NUMBERS:
        whole = shape.type_name in ("integer", "long")
        if low is not None and (not whole or low > -(1 << 31)):
            yield "min", low - 1
        if high is not None and (not whole or high < (1 << 31) - 1 or shape.type_name == "long"):
            yield "max", high + 1
    elif shape.type_name == "blob":
        if low:
            yield "min length", b"x" * (int(low) - 1)
        if high is not None and high < LONGEST:
            yield "max length", b"x" * (int(high) + 1)
    elif shape.type_name == "list":
        if low:
            yield "min size", [values.of(shape.member, False) for _ in range(int(low) - 1)]
        if high is not None and high < LARGEST:
            yield "max size", [values.of(shape.member, False)] * (int(high) + 1)
    elif shape.type_name == "map":
        yield from broken_maps(values, shape)


def broken_maps(values, shape):
    low, high = limits(shape)
    if low:
        yield "min size", {}
    if high is not None and high < LARGEST:
        document = {f"k{number}": values.of(shape.value, False) for number in range(int(high) + 1)}
        yield "max size", document
    for kind, key in broken_values(values, shape.key):
        if kind in ("max length", "pattern", "enum"):
            yield f"key {kind}", {key: values.of(shape.value, False)}
            break


# --- Wrong types, for the JSON protocols: the value sent and the text.

EXPECTED_NAMES = {"string": "a String", "character": "a String", "integer": "an Integer", "long": "a Long", "float": "a Float",
                  "double": "a Double", "boolean": "a Boolean", "blob": "a Blob", "timestamp": "a Timestamp"}


def wrong_types(shape):
    if shape.type_name in ("structure", "list", "map"):
        for value, name in ((True, "Boolean"), ("text", "String"), (7, "Number")):
            yield value, f"Unrecognized collection type class java.lang.{name}"
        if shape.type_name == "list":
            yield {}, "Start of structure or map found where not expected."
        else:
            yield [], "Start of list found where not expected"
        return
    expected = EXPECTED_NAMES[shape.type_name]
    yield [], "Start of list found where not expected"
    yield {}, "Start of structure or map found where not expected."
    if shape.type_name != "boolean":
        yield True, f"TRUE_VALUE can not be converted to {expected}"
    if shape.type_name not in ("string", "character", "blob"):
        yield "text", f"STRING_VALUE can not be converted to {expected}"
    if shape.type_name in ("string", "character", "boolean", "blob"):
        yield 7, f"NUMBER_VALUE can not be converted to {expected}"
        yield 7.5, f"DECIMAL_VALUE can not be converted to {expected}"
    if shape.type_name in ("integer", "long"):
        yield 7.5, f"DECIMAL_VALUE can not be converted to {expected}"
