#!/usr/bin/env python3
"""Every C file stands as .clang-format says, so that no change is hidden among moved lines. To mend: tests/rules/format.py --write"""
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("include", "src", "tests", "bench", "docs")


def main():
    files = sorted(str(f.relative_to(TOP)) for room in ROOMS for f in (TOP / room).rglob("*.[ch]"))
    how = ["-i"] if "--write" in sys.argv else ["--dry-run", "--Werror"]
    done = subprocess.run(["clang-format", *how, *files], cwd=TOP, stderr=subprocess.PIPE, text=True)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    for name in wrong:
        print(f"{name} is not formatted: tests/rules/format.py --write")
    print(f"{len(files)} files, {len(wrong)} not formatted")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
