#!/usr/bin/env python3
"""tests/script: every IMAP command, every POP3 verb and every IMAP capability has its dialogues, and there are several hundred."""
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
import imap_script  # noqa: E402

LEAST, EACH = 300, 2
ELSEWHERE = {"LOGINDISABLED": "tests/e2e/test_imap.py", "IMAP4rev1": "all of base.imap"}


def words(text, suffix):
    """The command of a line that a client sends, and with UID that behind it."""
    found = text.upper().split()[1:] if suffix == ".imap" else text.upper().split()
    return found[1:2] if found[:1] == ["UID"] else found[:1]


def main():
    commands, needs, total = {".imap": Counter(), ".pop3": Counter()}, Counter(), 0
    for file in sorted(imap_script.FOLDER.glob("*.*")):
        for d in imap_script.load(file):
            total += 1
            needs.update(d.needs)
            lines = [t for _, _, what, t in d.steps if what == "C"]
            lines += [line.replace("%1", row[0]) for line in lines for _, row in d.rows]
            commands[file.suffix].update({w for line in lines for w in words(line, file.suffix)})
    read = lambda name: (ROOT / name).read_text()
    imap = re.findall(r'^C\(\w+, "([A-Z]+)"', read("include/posthouse/imap_commands.def"), re.M)
    pop3 = re.findall(r"^\s+X\(([A-Z0-9]+), (?:AUTHORIZATION|TRANSACTION|ANYTIME)", read("include/posthouse/pop3.h"), re.M)
    caps = re.findall(r'^P\(\w+, "([^"]+)"', read("include/posthouse/imap_caps.def"), re.M)
    wrong = [f"IMAP {c}: {commands['.imap'][c]} dialogues" for c in imap if commands[".imap"][c] < EACH]
    wrong += [f"POP3 {c}: {commands['.pop3'][c]} dialogues" for c in pop3 if commands[".pop3"][c] < EACH]
    wrong += [f"no dialogue needs [{c}]" for c in caps if not needs[c] and c not in ELSEWHERE]
    if total < LEAST or not (imap and pop3 and caps):
        wrong.append(f"{total} dialogues, {len(imap)} and {len(pop3)} commands, {len(caps)} capabilities")
    print("\n".join(wrong) or f"{total} dialogues, {needs['base']} of them also for Dovecot; {len(imap)} and {len(pop3)} commands, {len(caps)} capabilities")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
