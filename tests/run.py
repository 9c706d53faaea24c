#!/usr/bin/env python3
"""Runs every test and ends with the line "N passed, N failed".

Unit tests are cmocka programs of the build (one process each, TAP); house rules are scripts in tests/rules; whole journeys and
foreign programs are the unittest modules of tests/e2e (one process each). A failure prints what the test printed.

    tests/run.py --build DIR [--fuzz DIR] [--only WORD]...
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ_RUNS = 3000
UNIT_SECONDS, RULE_SECONDS, E2E_SECONDS = 300, 300, 1500
RED, GREEN, PLAIN = ("\033[31m", "\033[32m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


class Result:
    def __init__(self):
        self.passed, self.failed = 0, []

    def add(self, name, ok, seconds, output=""):
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
        mark = f"{GREEN}ok{PLAIN}    " if ok else f"{RED}FAILED{PLAIN}"
        print(f"{mark} {name} ({seconds:.1f} s)", flush=True)
        if not ok:
            print("\n".join("       | " + line[:400] for line in output.splitlines()[-80:]), flush=True)


def run(words, seconds, env=None):
    start = time.monotonic()
    try:
        done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                              cwd=ROOT, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - start
    except subprocess.TimeoutExpired as e:
        return -1, (e.stdout or b"").decode(errors="replace") + f"\nstopped after {seconds} s", time.monotonic() - start


def unit(build, result, wanted):
    tests = json.loads(subprocess.run(["meson", "introspect", "--tests", str(build)], check=True, capture_output=True, text=True).stdout)
    for test in tests:
        if not wanted("unit/" + test["name"]):
            continue
        env = {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(test["env"] if isinstance(test["env"], dict) else {})}
        code, output, seconds = run(test["cmd"], UNIT_SECONDS, env)
        rows = re.findall(r"^(not ok|ok) \d+ - (.*)$", output, re.M)
        for verdict, name in rows:
            if verdict == "ok":
                result.passed += 1
            else:
                result.add(f"unit/{test['name']}: {name}", False, seconds, output)
        if code and not any(v == "not ok" for v, _ in rows):
            result.add(f"unit/{test['name']}", False, seconds, output + f"\nexit status {code}")
        elif not rows:
            result.add(f"unit/{test['name']}", code == 0, seconds, output)
        elif not code:
            print(f"{GREEN}ok{PLAIN}     unit/{test['name']}: {len(rows)} ({seconds:.1f} s)", flush=True)


def rules(build, result, wanted):
    for script in sorted((ROOT / "tests" / "rules").glob("*.py")):
        name = f"rules/{script.stem}"
        if wanted(name):
            code, output, seconds = run([sys.executable, script, build], RULE_SECONDS)
            result.add(name, code == 0, seconds, output)


def e2e(build, result, wanted):
    for module in sorted((ROOT / "tests" / "e2e").glob("test_*.py")):
        if not wanted(f"e2e/{module.stem}"):
            continue
        code, output, seconds = run([sys.executable, "-u", module.parent / "one.py", module.stem], E2E_SECONDS,
                                    {"POSTHOUSE_BUILD": str(build), "PYTHONPATH": str(module.parent), "PYTHONWARNINGS": "ignore"})
        told, failed = [], False
        for line in output.splitlines():
            verdict, _, rest = line.partition(" ")
            name, _, more = rest.partition(" ")
            if verdict in ("@ok", "@failed"):
                failed = failed or verdict == "@failed"
                result.add(f"e2e/{module.stem}: {name}", verdict == "@ok", float(more), "\n".join(told))
                told = []
            elif verdict == "@skipped":
                print(f"       skipped: {rest}", flush=True)
            elif verdict == "counted:":
                print("       " + line, flush=True)
            else:
                told.append(line)
        if code and not failed:
            result.add(f"e2e/{module.stem}", False, seconds, "\n".join(told))


def fuzz(build, result, wanted):
    """Replays each target's kept corpus, then a fixed number of mutations of it from a fixed seed."""
    for target in sorted((build / "tests" / "fuzz").glob("fuzz_*")):
        name = f"fuzz/{target.name[5:]}"
        if not os.access(target, os.X_OK) or target.is_dir() or not wanted(name):
            continue
        kept = ROOT / "tests" / "fuzz" / "corpus" / target.name[5:]
        with tempfile.TemporaryDirectory() as scratch:
            code, output, seconds = run([target, scratch] + ([kept] if kept.is_dir() else []) + ["-seed=1", f"-runs={FUZZ_RUNS}", "-max_len=4096",
                                         f"-artifact_prefix={scratch}/", "-timeout=20"], RULE_SECONDS)
        result.add(name, code == 0, seconds, output)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", type=Path)
    parser.add_argument("--fuzz", type=Path, help="a build with -Dfuzzers=true, whose targets are run")
    parser.add_argument("--only", action="append", help="run the tests whose name holds this word")
    options = parser.parse_args()
    build = options.build.resolve()
    result = Result()

    def wanted(name):
        return not options.only or any(word in name for word in options.only)

    for kind in (unit, rules):
        kind(build, result, wanted)
    if options.fuzz:
        fuzz(options.fuzz.resolve(), result, wanted)
    e2e(build, result, wanted)
    for name in result.failed:
        print(f"{RED}failed{PLAIN}: {name}")
    print(f"{result.passed} passed, {len(result.failed)} failed")
    return 1 if result.failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
