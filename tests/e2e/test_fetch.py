"""post fetch: what is new, into Maildir and mbox, by POP3 and IMAP; and whatever happens to it, nothing is lost and nothing doubled.

The long form of the kills: tests/torture/fetch.py.
"""
import os
import random
import unittest

import fetch_kill
import house
from fetch_kill import Fetching

KILLS = int(os.environ.get("POSTHOUSE_KILLS", "5"))
LETTERS = int(os.environ.get("POSTHOUSE_KILL_LETTERS", "40"))


class Fetch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test", log_level="warn").start()

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def kill(self, protocol, kind, delete):
        user = self.house.account(f"{protocol}-{kind}-{delete}".lower())
        seed = random.SystemRandom().randrange(1 << 30)
        rng = random.Random(seed)
        serial = iter(range(10000))
        f = Fetching(self.house, user, protocol, kind, delete)
        try:
            count = f.killed(KILLS, fetch_kill.Stock(self.house, user, LETTERS, seed), rng)
        except BaseException:
            print(f"seed {seed}")
            raise
        print(f"\ncounted: {protocol} into {kind}{', deleting' if delete else ''}: killed {KILLS} times, {count} letters, each there once", flush=True)
        m = self.house.imap(user)
        self.assertEqual(int(m.select("INBOX")[1][0]), 0 if delete else count)
        m.logout()

    def test_kill_imap_maildir(self):
        self.kill("imap", "maildir", False)

    def test_kill_imap_mbox(self):
        self.kill("imap", "mbox", True)

    def test_kill_pop3_maildir(self):
        self.kill("pop3", "maildir", True)

    def test_kill_pop3_mbox(self):
        self.kill("pop3", "mbox", False)


if __name__ == "__main__":
    unittest.main()
