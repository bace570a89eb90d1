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

    def write(self, path, foreword):
        lines = ["# Benchmarks", "", foreword.strip(), "",
                 f"Written by `tools/dev bench --write` on {time.strftime('%Y-%m-%d')}, {os.cpu_count()} processors, Linux {platform.release().split('-')[0]}."]
        for title, text, rows in self.sections:
            lines += ["", f"## {title}", ""]
            if text:
                lines += [text.strip(), ""]
            lines += ["| Figure | Found | Aim | What limits it |", "|---|---|---|---|"]
            lines += [f"| {name} | {value} | {aim} | {limit} |" for name, value, aim, limit in rows]
        path.write_text("\n".join(lines) + "\n")
