#!/usr/bin/env python3
"""The long form of tests/e2e/test_fetch.py: `post fetch` killed at 200 random moments for each of Maildir and mbox, POP3 and IMAP.

    tests/torture/fetch.py [--build DIR] [--kills N] [--letters N]
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

E2E = Path(__file__).resolve().parents[1] / "e2e"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", type=Path)
    parser.add_argument("--kills", default=200, type=int)
    parser.add_argument("--letters", default=40, type=int)
    args = parser.parse_args()
    env = {**os.environ, "POSTHOUSE_BUILD": str(args.build.resolve()), "POSTHOUSE_KILLS": str(args.kills), "POSTHOUSE_KILL_LETTERS": str(args.letters)}
    return subprocess.run([sys.executable, "-m", "unittest", "-v", "test_fetch"], cwd=E2E, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
