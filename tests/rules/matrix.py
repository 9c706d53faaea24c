#!/usr/bin/env python3
"""docs/ipc.md prints who may send what to whom as messages.def says it; `matrix.py --write` brings the page up to date."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ipc.md"
ROLES = ["parent", "mx", "access", "relay", "resolver", "queue", "store", "keeper", "indexer", "control"]
BEGIN, END = "<!-- the matrix: tests/rules/matrix.py --write -->\n", "<!-- end -->\n"


def roles(mask):
    names = [word.strip().lower() for word in mask.split("|")]
    if "anyone" in names:
        return ROLES
    found = [r for r in ROLES if r in names]
    return found + [r for r in ROLES if "children" in names and r not in ("parent", "control")]


def matrix():
    text = re.sub(r"/\*.*?\*/", "", (ROOT / "src/ipc/messages.def").read_text(), flags=re.S)
    rows = {}
    for name, sender, receiver in re.findall(r"^M\((\w+), ([^,]+), ([^,]+),", text, re.M):
        if name == "HELLO":
            continue
        mark = {2: " (fd)", 1: " (fd?)", 0: ""}[2 if "| FD" in sender else 1 if "MAY_FD" in sender else 0]
        rows.setdefault((" ".join(roles(sender)), " ".join(roles(receiver))), []).append(name + mark)
    out = "| from | to | messages |\n|---|---|---|\n"
    children = " ".join(r for r in ROLES if r not in ("parent", "control"))
    for (sender, receiver), names in rows.items():
        cells = [("every child" if c == children else c.replace(" ", ", ")) for c in (sender, receiver)]
        out += f"| {cells[0]} | {cells[1]} | {', '.join(names)} |\n"
    return out


def main():
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    old, tail = rest.split(END)
    if "--write" in sys.argv:
        PAGE.write_text(head + BEGIN + matrix() + END + tail)
        return 0
    if old != matrix():
        print("docs/ipc.md is not what messages.def says; run tests/rules/matrix.py --write")
        return 1
    print("the matrix is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
