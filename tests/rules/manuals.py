#!/usr/bin/env python3
"""Manual pages are clean mdoc, and every verb and setting is in one."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    build = Path(sys.argv[1])
    pages = sorted((ROOT / "docs" / "man").glob("*.[1-8]")) + sorted(build.rglob("posthouse.conf.5")) + sorted(build.rglob("post-*.1"))
    wrong = []
    for page in pages:
        out = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True).stdout
        wrong += [line for line in out.splitlines() if "referenced manual not found" not in line]
    texts = {page.name: page.read_text() for page in pages}
    for name in ("post.1", "posthouse.8", "posthouse.conf.5"):
        if name not in texts:
            wrong.append(f"{name} is missing")
    for name in re.findall(r"^S\((\w+),", (ROOT / "src/conf/settings.def").read_text(), re.M):
        if name not in texts.get("posthouse.conf.5", ""):
            wrong.append(f"posthouse.conf.5 does not tell of {name}")
    for verb in re.findall(r'^V\("([\w -]+)"', (ROOT / "src/admin/verbs.def").read_text(), re.M):
        if verb.split()[0] not in texts.get("posthouse.8", "") and verb != "probe":
            wrong.append(f"posthouse.8 does not tell of {verb}")
    for verb in re.findall(r'^V\("(\w+)"', (ROOT / "src/post/verbs.def").read_text(), re.M):
        if verb not in ("manual", "help", "version") and f"post-{verb}.1" not in texts:
            wrong.append(f"post {verb} has no page: src/post/meson.build lists them")
    print("\n".join(wrong) or f"{len(pages)} pages are in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
