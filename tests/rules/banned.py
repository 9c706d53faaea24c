#!/usr/bin/env python3
"""Calls that have no safe use here, and descriptors that would leak into another process."""
import re
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"

BANNED = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strncpy|strncat|stpcpy)\s*\(": "use ph_buf or ph_arena: they carry lengths",
    r"\b(scanf|sscanf|fscanf|atoi|atol|atoll|strtok)\s*\(": "use ph_str_u64 and ph_str_token",
    r"\b(system|popen)\s*\(": "no shell",
    r"\b(tmpnam|tempnam|mktemp)\s*\(": "use mkstemp or a memory file",
    r"\b(rand|srand|random|drand48)\s*\(": "use ph_random",
    r"\b(setjmp|longjmp)\s*\(": "errors are returned",
    r"\balloca\s*\(": "use an arena",
}
# A member of that name (s->ops->open) is not the system's call.
CLOEXEC = {r"(?<!->)(?<!\.)\bopen\s*\(": "O_CLOEXEC", r"\bopenat\s*\(": "O_CLOEXEC", r"(?<![a-z_])socket\s*\(": "SOCK_CLOEXEC", r"\baccept4\s*\(": "SOCK_CLOEXEC",
           r"\bsocketpair\s*\(": "SOCK_CLOEXEC", r"\bpipe2\s*\(": "O_CLOEXEC", r"\bmemfd_create\s*\(": "MFD_CLOEXEC", r"\bepoll_create1\s*\(": "EPOLL_CLOEXEC",
           r"\beventfd\s*\(": "EFD_CLOEXEC"}
OLD = r"(?<![a-z_])(accept|pipe|dup|dup2|creat|epoll_create)\s*\("
PROBES = "probe"  # a file that shows the sandbox refusing such calls says so in its name


def code_lines(text):
    """Lines without comments and strings; line numbers kept."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return [line.split("//")[0] for line in text.splitlines()]


def main():
    wrong = []
    for file in sorted(SRC.rglob("*.c")):
        lines = code_lines(file.read_text())
        for number, line in enumerate(lines, 1):
            where = f"{file.relative_to(SRC.parent)}:{number}"
            for pattern, why in BANNED.items():
                if re.search(pattern, line):
                    wrong.append(f"{where}: {line.strip()}: {why}")
            if PROBES in file.name:
                continue
            statement = " ".join(lines[number - 1:number + 3])
            for pattern, flag in CLOEXEC.items():
                if re.search(pattern, line) and flag not in statement:
                    wrong.append(f"{where}: {line.strip()}: without {flag}")
            if re.search(OLD, line) and "fcntl" not in statement:
                wrong.append(f"{where}: {line.strip()}: use the call that sets close-on-exec")
    print("\n".join(wrong) or "no banned call")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
