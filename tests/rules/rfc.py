#!/usr/bin/env python3
"""docs/rfc.tsv: its files exist, its rows are sorted, and every extension a server of ours announces has one."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATES = ("done", "part")


def read(name):
    return (ROOT / name).read_text()


def announced():
    """What the three servers can say in EHLO, CAPA and CAPABILITY, as column 2 names it."""
    for name in re.findall(r"^E\((\w+),", read("src/proto/smtp/ext.def"), re.M):
        yield f"SMTP {name}"
    pop3 = re.findall(r'^\s*X\([A-Z]+, [A-Z].*"([A-Z][^"]*)"\)', read("include/posthouse/pop3.h"), re.M)
    always = re.search(r"always\[\] = \{(.*?)\};", read("src/proto/pop3/server_cmd.c"), re.S)
    for text in pop3 + re.findall(r'"([^"]+)"', always.group(1)):
        yield f"POP3 {text.split()[0]}"
    rows = re.findall(r'^P\((\w+), "([^"]+)", [^,]+, (\w+)', read("include/posthouse/imap_caps.def"), re.M)
    wire = {symbol: name for symbol, name, _ in rows}
    for _, name, by in rows:
        if by == "ENGINE":
            yield f"IMAP {name}"
    caps = re.search(r"uint64_t caps =(.*?);", read("src/server/access/imap.c"), re.S)
    for name in re.findall(r"PH_IMAP_CAP\((\w+)\)", caps.group(1) if caps else ""):
        yield f"IMAP {wire[name]}"


def main():
    wrong, lines = [], read("docs/rfc.tsv").splitlines()
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        where = f"docs/rfc.tsv:{number}"
        if len(row) != 5:
            wrong.append(f"{where}: five columns are expected: RFC, what, state, file, test")
            continue
        if not row[0].isdigit() and row[0] != "-":  # -: an extension without an RFC
            wrong.append(f"{where}: {row[0]} is no RFC number")
        if row[2] not in STATES:
            wrong.append(f"{where}: the state is one of {', '.join(STATES)}")
        for name in row[3].split() + row[4].split():
            if not (ROOT / name).exists():
                wrong.append(f"{where}: there is no {name}")
        if not row[3] or not row[4]:
            wrong.append(f"{where}: a file and a test are expected")
    keys = [(int(r[0]) if r[0].isdigit() else 0, r[1]) for r in rows if len(r) == 5]
    wrong += [f"docs/rfc.tsv: {b} stands behind {a}" for a, b in zip(keys, keys[1:]) if b < a]
    known = {row[1] for row in rows if len(row) == 5}
    for name in announced():
        if name not in known:
            wrong.append(f"docs/rfc.tsv has no line for {name}, which is announced")
    print("\n".join(wrong) or f"{len(rows)} rows are in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
