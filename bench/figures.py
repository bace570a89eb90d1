"""What a benchmark found: printed while it runs, and written as docs/reference/benchmarks.md at its end."""
import os
import platform
import time


class Figures:
    def __init__(self):
        self.sections = []

    def section(self, title, text=""):
        """The next rows belong below this title; `text` says how they are taken."""
        self.sections.append((title, text, []))
        print(f"\n== {title}", flush=True)

    def add(self, name, value, aim="", limit=""):
        """`limit`: what limits the figure, where the aim is missed."""
        self.sections[-1][2].append((name, value, aim, limit))
        print(f"  {name:<74} {value:<26} {aim}", flush=True)

    def ratio(self, name, ours, theirs, aim=None, limit=""):
        """How often `theirs` goes into `ours`, where more is better."""
        found = ours / theirs
        reached = "" if aim is None else f"{aim:g}x, {'reached' if found >= aim else 'missed'}"
        self.add(name, f"{found:.3g}x", reached, limit if aim is not None and found < aim else "")

    def write(self, path, foreword, whole):
        """What was measured, into the page that is there, or with `whole` as all of it."""
        there = [] if whole else path.read_text().split("\n## ")[1:]
        parts = {text.partition("\n")[0]: "## " + text.rstrip("\n") + "\n" for text in there}
        parts.update({title: section(title, text, rows) for title, text, rows in self.sections})
        head = (f"# Benchmarks\n\n{foreword.strip()}\n\nWritten by `tools/dev bench --write`: {os.cpu_count()} processors, "
                f"Linux {platform.release().split('-')[0]}.\n")
        path.write_text("\n".join([head, *parts.values()]))


def section(title, text, rows):
    lines = [f"## {title}", ""]
    if text:
        lines += [text.strip(), ""]
    lines += [f"Measured on {time.strftime('%Y-%m-%d')}.", ""]
    lines += ["| Figure | Found | Aim | What limits it |", "|---|---|---|---|"]
    lines += [f"| {name} | {value} | {aim} | {limit} |" for name, value, aim, limit in rows]
    return "\n".join(lines) + "\n"
