"""posthouse top: rates out of counters, the queue by destination, and a terminal that is left as it was."""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

import house


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        net = house.network()  # nobody answers at .9
        cls.house = house.House("a.test", f"{net}.1", house.zone(("a.test", f"{net}.1"), ("sink.test", f"{net}.9")), retry_first="1h", retry_most="1h").start()
        cls.alice = cls.house.account("alice")
        s = cls.house.submit(cls.alice)
        s.sendmail(cls.alice, ["x@sink.test"], b"From: alice@a.test\r\nSubject: top\r\nMessage-ID: <top@a.test>\r\n\r\nbody\r\n")
        s.quit()
        cls.house.steps("<top@a.test>", "deferred")

    @classmethod
    def tearDownClass(cls):
        cls.house.stop()

    def test_once_where_there_is_no_terminal(self):
        text = self.house.admin("top")
        self.assertNotIn("\033", text)
        for word in ("mx.a.test", "in 0.0/s", "queue 1", "relay 1", "sink.test", "MB"):
            self.assertIn(word, text)

    def test_a_rate_is_what_a_counter_gains(self):
        top = subprocess.Popen([house.POSTHOUSE, "top", "--json", "--data", self.house.data], stdout=subprocess.PIPE, text=True)
        self.addCleanup(top.stdout.close)
        self.addCleanup(top.wait)
        self.addCleanup(top.kill)
        s = self.house.submit(self.alice)
        deadline, seen = time.monotonic() + 60, False
        while not seen and time.monotonic() < deadline:
            s.sendmail(self.alice, [self.alice], b"From: alice@a.test\r\nSubject: rate\r\n\r\nbody\r\n")
            look = json.loads(top.stdout.readline())
            self.assertEqual([q["recipients"] for q in look["queue"] if q["destination"] == "sink.test"], [1])
            self.assertEqual({p["process"]: p["pid"] for p in look["processes"]}["queue"], self.house.children()["queue"])
            seen = look["per_second"]["in"] > 0
        s.quit()
        self.assertTrue(seen)
        top.send_signal(signal.SIGINT)
        self.assertEqual(top.wait(60), 0)

    def read_until(self, fd, word):
        text, deadline = b"", time.monotonic() + 60
        while word not in text and time.monotonic() < deadline:
            if select.select([fd], [], [], 1)[0]:
                text += os.read(fd, 65536)
        self.assertIn(word, text)
        return text

    def test_screen_follows_its_size_and_q_ends(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        before = termios.tcgetattr(slave)
        top = subprocess.Popen([house.POSTHOUSE, "top", "--data", self.house.data], stdin=slave, stdout=slave, stderr=slave)
        self.addCleanup(top.wait)
        self.addCleanup(top.kill)
        self.read_until(master, b"waiting for")
        self.read_until(master, b"\033[J")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 20, 0, 0))
        top.send_signal(signal.SIGWINCH)
        deadline, small = time.monotonic() + 60, False
        while not small and time.monotonic() < deadline:
            picture = self.read_until(master, b"\033[J").split(b"\033[J")[0].split(b"\033[H")[-1]
            lines = [line.replace(b"\033[K", b"").replace(b"\033[1m", b"").replace(b"\033[0m", b"") for line in picture.split(b"\r\n")]
            small = len(lines) <= 10 and max(map(len, lines)) <= 20
        self.assertTrue(small)
        os.write(master, b"q")
        self.assertEqual(top.wait(60), 0)
        self.assertEqual(termios.tcgetattr(slave), before)


if __name__ == "__main__":
    unittest.main()
