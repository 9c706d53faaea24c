#!/usr/bin/env python3
"""Runs every test and ends with the line "N passed, N failed".

Unit tests are cmocka programs of the build (one process each, TAP); house rules are scripts in tests/rules; whole journeys and
foreign programs are the unittest modules of tests/e2e (one process each). As many programs run at a time as there are processors
(most wait for something); each one's lines are printed together when it ends. A failure prints what the test printed.

    tests/run.py --build DIR [--fuzz DIR] [--jobs N] [--only WORD]...
"""
import argparse
import concurrent.futures
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
    """What one program of tests showed."""

    def __init__(self):
        self.passed, self.failed, self.lines = 0, [], []

    def add(self, name, ok, seconds, output=""):
        if ok:
            self.passed += 1
        else:
            self.failed.append(name)
        mark = f"{GREEN}ok{PLAIN}    " if ok else f"{RED}FAILED{PLAIN}"
        self.lines.append(f"{mark} {name} ({seconds:.1f} s)")
        if not ok:
            self.lines += ["       | " + line[:400] for line in output.splitlines()[-80:]]


def run(words, seconds, env=None):
    start = time.monotonic()
    try:
        done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                              cwd=ROOT, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout.decode(errors="replace"), time.monotonic() - start
    except subprocess.TimeoutExpired as e:
        return -1, (e.stdout or b"").decode(errors="replace") + f"\nstopped after {seconds} s", time.monotonic() - start


def unit(test):
    result = Result()
    env = {"CMOCKA_MESSAGE_OUTPUT": "TAP", **(test["env"] if isinstance(test["env"], dict) else {})}
    code, output, seconds = run(test["cmd"], UNIT_SECONDS, env)
    rows = re.findall(r"^(not ok|ok) \d+ - (.*)$", output, re.M)
    for verdict, name in rows:
        if verdict == "ok":
            result.passed += 1
        else:
            result.add(f"unit/{test['name']}: {name}", False, seconds, output)
    if code and not result.failed:
        result.add(f"unit/{test['name']}", False, seconds, output + f"\nexit status {code}")
    elif not rows:
        result.add(f"unit/{test['name']}", code == 0, seconds, output)
    elif not code:
        result.lines.append(f"{GREEN}ok{PLAIN}     unit/{test['name']}: {len(rows)} ({seconds:.1f} s)")
    return result


def rule(script, build):
    result = Result()
    code, output, seconds = run([sys.executable, script, build], RULE_SECONDS)
    result.add(f"rules/{script.stem}", code == 0, seconds, output)
    return result


def e2e(module, build):
    result = Result()
    code, output, seconds = run([sys.executable, "-u", module.parent / "one.py", module.stem], E2E_SECONDS,
                                {"POSTHOUSE_BUILD": str(build), "PYTHONPATH": str(module.parent), "PYTHONWARNINGS": "ignore"})
    told = []
    for line in output.splitlines():
        verdict, _, rest = line.partition(" ")
        name, _, more = rest.partition(" ")
        if verdict in ("@ok", "@failed"):
            result.add(f"e2e/{module.stem}: {name}", verdict == "@ok", float(more), "\n".join(told))
            told = []
        elif verdict == "@skipped":
            result.lines.append(f"       skipped: {rest}")
        elif verdict == "counted:":
            result.lines.append("       " + line)
        else:
            told.append(line)
    if code and not result.failed:
        result.add(f"e2e/{module.stem}", False, seconds, "\n".join(told))
    return result


def fuzz(target):
    """Replays a target's kept corpus, then a fixed number of mutations of it from a fixed seed."""
    result = Result()
    kept = ROOT / "tests" / "fuzz" / "corpus" / target.name[5:]
    with tempfile.TemporaryDirectory() as scratch:
        code, output, seconds = run([target, scratch] + ([kept] if kept.is_dir() else []) + ["-seed=1", f"-runs={FUZZ_RUNS}", "-max_len=4096",
                                     f"-artifact_prefix={scratch}/", "-timeout=20"], RULE_SECONDS)
    result.add(f"fuzz/{target.name[5:]}", code == 0, seconds, output)
    return result


def programs(build, fuzzers):
    """(name, what runs it) of every program; the journeys, which take longest, first."""
    for module in sorted((ROOT / "tests" / "e2e").glob("test_*.py")):
        yield f"e2e/{module.stem}", lambda module=module: e2e(module, build)
    for test in json.loads(subprocess.run(["meson", "introspect", "--tests", str(build)], check=True, capture_output=True, text=True).stdout):
        yield "unit/" + test["name"], lambda test=test: unit(test)
    for script in sorted((ROOT / "tests" / "rules").glob("*.py")):
        yield f"rules/{script.stem}", lambda script=script: rule(script, build)
    for target in sorted((fuzzers / "tests" / "fuzz").glob("fuzz_*")) if fuzzers else []:
        if target.is_file() and os.access(target, os.X_OK):
            yield f"fuzz/{target.name[5:]}", lambda target=target: fuzz(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", type=Path)
    parser.add_argument("--fuzz", type=Path, help="a build with -Dfuzzers=true, whose targets are run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many programs of tests run at a time")
    parser.add_argument("--only", action="append", help="run the tests whose name holds this word")
    options = parser.parse_args()
    wanted = [work for name, work in programs(options.build.resolve(), options.fuzz and options.fuzz.resolve())
              if not options.only or any(word in name for word in options.only)]
    passed, failed = 0, []
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        for done in concurrent.futures.as_completed([pool.submit(work) for work in wanted]):
            result = done.result()
            passed += result.passed
            failed += result.failed
            print("\n".join(result.lines), flush=True)
    for name in failed:
        print(f"{RED}failed{PLAIN}: {name}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
