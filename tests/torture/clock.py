#!/usr/bin/env python3
"""Clocks and names gone wrong, in the long form: tests/e2e/test_clock.py (the wall clock jumps by a year either way) with more letters, and an hour in
which every name server fails, told by clocks that pass a minute at a time. One command, a minute or so:

    tests/torture/clock.py [--build DIR] [--letters N]
"""
import argparse
import os
import sys
import time
import unittest
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--build", default="build", type=Path)
parser.add_argument("--letters", default=100, type=int)
args, rest = parser.parse_known_args()
os.environ["POSTHOUSE_BUILD"] = str(args.build.resolve())
os.environ["POSTHOUSE_CLOCK_LETTERS"] = str(args.letters)
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import house  # noqa: E402
from nameserver import Nameserver  # noqa: E402
from test_clock import Jumps, Waiting  # noqa: E402
from test_relay import LETTER, Sink  # noqa: E402


class Hour(Waiting):
    """A name server of this file, and waits as they are by default."""
    settings = dict(retry_first="5m", retry_most="4h", queue_lifetime="5d")
    DOMAINS = 20

    def zone(self, net):
        names = [f"d{i}.example" for i in range(self.DOMAINS)]
        self.names = Nameserver(net + ".53", [f"{n} MX 5 mx.sink.example" for n in names] + [f"mx.sink.example A {net}.9"])
        self.names.broken |= set(names)
        self.addCleanup(self.names.server_close)
        self.addCleanup(self.names.shutdown)
        self.settings = dict(self.settings, dns_server=[self.names.address])
        return []

    def pass_time(self, minutes):
        """All at once; what becomes due by it has a moment of the real time, because a question that is under way would time out."""
        self.clock.set(all=self.clock.all + 60 * minutes)
        self.house.status()  # wakes every process, so that it looks at its clock
        time.sleep(0.5)

    def test_names_are_dead_for_an_hour(self):
        with self.house.submit(self.alice) as s:
            for i in range(args.letters):
                s.sendmail(self.alice, [f"ok{i}@d{i % self.DOMAINS}.example"], LETTER % ((b"%d" % i,) * 2))
        self.until(lambda: self.attempts() >= self.DOMAINS)
        for _ in range(60):
            self.pass_time(1)
        asked = sum(self.names.asked.values())
        self.assertEqual(len(self.waiting()), args.letters)
        self.assertLess(asked, 60 * self.DOMAINS)  # not once a minute
        self.names.broken.clear()
        sink = Sink(self.sink_ip)
        self.addCleanup(sink.server_close)
        self.addCleanup(sink.shutdown)
        for _ in range(50):  # the longest wait by now is two hours
            self.pass_time(5)
            if not self.waiting():
                break
        self.assertEqual(len({r for rcpts, _ in sink.letters for r in rcpts}), args.letters)
        self.assertEqual(self.house.imap_letters(self.alice), [])


del Waiting
if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *rest])
