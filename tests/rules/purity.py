#!/usr/bin/env python3
"""The wire is pure: what the protocol engines and base need from outside is memory, strings and numbers, and nothing that
could touch a file, a socket or the clock."""
import re
import subprocess
import sys
from pathlib import Path

ROOMS = ("ph_base", "ph_line", "ph_smtp", "ph_pop3", "ph_imap")
ALLOWED = re.compile(r"^(mem\w+|str\w+|realloc|malloc|calloc|free|v?snprintf|abort|qsort|bsearch|__\w+|_GLOBAL_OFFSET_TABLE_|ph_\w+|isascii|is\w+|to(lower|upper))$")
INTERNAL = re.compile(r"^__(asan|ubsan|sanitizer|lsan|stack_chk|cyg|gcov|sancov|assert_fail|ctype|v?snprintf_chk|mem\w*_chk|str\w*_chk|isoc|tls_get_addr|errno)")


def undefined(archive):
    out = subprocess.run(["nm", "-u", archive], capture_output=True, text=True, check=True).stdout
    return {line.split()[1].split("@")[0] for line in out.splitlines() if line.strip().startswith("U ")}


def main():
    build = Path(sys.argv[1])
    wrong, seen = [], 0
    for archive in sorted(build.rglob("lib*.a")):
        if archive.stem[3:] not in ROOMS:
            continue
        seen += 1
        for name in sorted(undefined(archive)):
            if not ALLOWED.match(name) or (name.startswith("__") and not INTERNAL.match(name)):
                wrong.append(f"{archive.name} needs {name}")
    if seen != len(ROOMS):
        wrong.append(f"{seen} of {len(ROOMS)} libraries found in {build}")
    print("\n".join(wrong) or f"{seen} rooms are pure")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
