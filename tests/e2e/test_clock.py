"""The wall clock jumps by a year, either way, while letters wait: none is given up for it, none waits a year. The server runs as posthouse_clock, whose
clocks a test sets (tests/tools/clock_shift.c). DNS dead for an hour: tests/torture/clock.py."""
import json
import mmap
import os
import shutil
import struct
import time
import unittest

import house
from test_relay import LETTER, Sink

YEAR = 365 * 86400
LETTERS = int(os.environ.get("POSTHOUSE_CLOCK_LETTERS", "2"))


class Clock:
    """A copy of the server, and how far its clocks are ahead, in seconds: the wall clock, all of them."""

    def __init__(self):
        self.program = house.folder() / "posthouse_clock"
        shutil.copy(house.POSTHOUSE.with_name("posthouse_clock"), self.program)
        path = self.program.with_name("posthouse_clock.clock")
        path.write_bytes(bytes(16))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 16)
        self.wall = self.all = 0

    def set(self, wall=0, all=0):
        self.wall, self.all = wall, all
        self.map[:] = struct.pack("=qq", wall * 1000000, all * 1000000)


class Waiting(unittest.TestCase):
    """A house whose letters to sink.test wait as long as nobody listens there."""
    settings = dict(retry_first="100ms", retry_most="400ms", queue_lifetime="5d")

    def setUp(self):
        net = house.network()
        self.clock, self.sink_ip, self.sent = Clock(), net + ".9", 0
        self.house = house.House("a.test", net + ".1", self.zone(net), program=self.clock.program, **self.settings).start()
        self.alice = self.house.account("alice")

    def tearDown(self):
        self.assertEqual(self.house.stop(), 0)

    def zone(self, net):
        return house.zone(("sink.test", net + ".9"))

    def until(self, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertTrue(condition(), self.house.tail())

    def send(self, count=LETTERS):
        with self.house.submit(self.alice) as s:
            for _ in range(count):
                self.sent += 1
                s.sendmail(self.alice, [f"ok{self.sent}@sink.test"], LETTER % ((b"%d" % self.sent,) * 2))

    def waiting(self):
        return json.loads(self.house.admin("queue", "list", "--json"))

    def attempts(self):
        return sum(r["attempts"] for letter in self.waiting() for r in letter["recipients"])

    def tried_again(self, times=2):
        before = self.attempts()
        self.until(lambda: self.attempts() >= before + times)

    def deliver(self):
        """The other server is there again: it gets each letter, and nobody a report."""
        sink = Sink(self.sink_ip, single=True)
        self.until(lambda: len({r for rcpts, _ in sink.letters for r in rcpts}) == self.sent)
        self.until(lambda: not self.waiting())
        sink.shutdown()
        sink.server_close()
        self.assertEqual(self.house.imap_letters(self.alice), [])
        self.sent = 0


class Jumps(Waiting):
    def check_ages(self):
        """An age is what has passed, whatever the clock says."""
        now = time.time() + self.clock.wall
        for letter in self.waiting():
            self.assertLess(abs(letter["received"] / 1e6 - now), 3600)

    def test_a_year_either_way(self):
        for ahead in (YEAR, 0):  # forward, and back
            self.send()
            self.tried_again(1)
            self.clock.set(wall=ahead)
            self.tried_again()
            self.check_ages()
            self.deliver()

    def test_a_year_back_while_it_is_down(self):
        self.send()
        self.tried_again(1)
        self.house.stop()
        self.clock.set(wall=-YEAR)
        self.house.start()
        self.tried_again()
        self.check_ages()
        self.deliver()


if __name__ == "__main__":
    unittest.main()
