#!/usr/bin/env python3
"""libposthouse keeps nothing outside the objects it gives out: no variable of ours in its writable sections (constants whose pointers
the loader fills in are read-only from then on)."""
import re
import subprocess
import sys
from pathlib import Path

# What the compiler, its library and the sanitizers put there.
TOOLS = re.compile(r"^(completed\.0|__dso_handle|__TMC_END__|__cpu_\w+|__odr_asan\..*|\.(data|bss))$")


def main():
    library = next(Path(sys.argv[1]).rglob("libposthouse.so"))
    out = subprocess.run(["objdump", "-t", library], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in out.splitlines() if re.search(r"\s\.(data|bss|tbss|tdata)\s", line)]
    wrong = sorted({row[-1] for row in rows if not TOOLS.match(row[-1])})
    for name in wrong:
        print(f"libposthouse has the variable {name}")
    print(f"{len(rows)} symbols in writable sections, {len(wrong)} of them ours")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
