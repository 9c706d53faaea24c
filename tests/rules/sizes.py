#!/usr/bin/env python3
"""Functions up to 100 lines (60 is the aim), files up to 1000 (600 is the aim), no promises left in the code."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_MOST, FILE_MOST = 100, 1000
PROMISE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def functions(lines):
    """(line, length) of every function body: from a '{' in the first column to its '}'."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield start, number - start
            start = None


def main():
    wrong = []
    for file in sorted([*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("include/**/*.h")]):
        lines = file.read_text().splitlines()
        name = file.relative_to(ROOT)
        if len(lines) > FILE_MOST:
            wrong.append(f"{name}: {len(lines)} lines")
        for number, length in functions(lines):
            if length > FUNCTION_MOST:
                wrong.append(f"{name}:{number}: a function of {length} lines")
        for number, line in enumerate(lines, 1):
            if PROMISE.search(line):
                wrong.append(f"{name}:{number}: {line.strip()}")
    print("\n".join(wrong) or "all sizes hold")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
