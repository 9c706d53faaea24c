#!/usr/bin/env python3
"""The long form of tests/e2e/test_kills.py: 1,000 kills of random processes during load, while the next server fails at random.

    tests/torture/kills.py [--build DIR] [--kills N] [--seed N]
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
    parser.add_argument("--kills", default=1000, type=int)
    parser.add_argument("--seed", type=int, help="as printed by an earlier run; the same dice, if not the same moments")
    args = parser.parse_args()
    env = {**os.environ, "POSTHOUSE_BUILD": str(args.build.resolve()), "POSTHOUSE_RANDOM_KILLS": str(args.kills)}
    if args.seed is not None:
        env["POSTHOUSE_SEED"] = str(args.seed)
    return subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", "-m", "unittest", "-v", "test_kills"], cwd=E2E, env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
