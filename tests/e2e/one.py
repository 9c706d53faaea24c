#!/usr/bin/env python3
"""Runs one module of end-to-end tests and writes a line per test for tests/run.py: "@ok NAME SECONDS", "@failed NAME SECONDS" behind what the
test printed, "@skipped NAME WHY"."""
import sys
import time
import unittest


class Lines(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def line(self, verdict, test, more=""):
        name = getattr(test, "_testMethodName", None) or str(test)
        print(f"@{verdict} {name} {more or f'{time.monotonic() - self.began:.1f}'}", flush=True)

    def addSuccess(self, test):
        self.line("ok", test)

    def addSkip(self, test, reason):
        self.line("skipped", test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        if err:
            super().addSubTest(test, subtest, err)
            self.tell(subtest, self._exc_info_to_string(err, subtest))

    def tell(self, test, text):
        self.began = getattr(self, "began", time.monotonic())
        print(text, flush=True)
        self.line("failed", test)


if __name__ == "__main__":
    sys.stderr = sys.stdout
    result = Lines()
    unittest.defaultTestLoader.loadTestsFromName(sys.argv[1]).run(result)
    sys.exit(not result.wasSuccessful())
