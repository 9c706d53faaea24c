#!/usr/bin/env python3
"""The long forms of the store's tests: 1,000,000 random operations of 8 sessions against the model, 500 kills in the middle of random
operations, 10,000 random searches against a scan.

    tests/torture/store.py [--build DIR] [--steps N] [--kills N] [--searches N]
"""
import argparse
import subprocess
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", type=Path)
    parser.add_argument("--steps", default=1000000, type=int)
    parser.add_argument("--kills", default=500, type=int)
    parser.add_argument("--searches", default=10000, type=int)
    args = parser.parse_args()
    failed = 0
    for name, number in (("test_model", args.steps), ("test_crash", args.kills), ("test_search", args.searches)):
        failed |= subprocess.run([args.build / "tests" / "unit" / name, str(number)]).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
