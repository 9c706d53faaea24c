"""Six IMAP sessions at once in one mailbox: the short form of tests/torture/sessions.py."""
import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

import house

PATH = str(Path(__file__).resolve().parents[1] / "torture" / "sessions.py")


class Sessions(unittest.TestCase):
    def test_each_is_right(self):
        spec = importlib.util.spec_from_loader("sessions", importlib.machinery.SourceFileLoader("sessions", PATH))
        sessions = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sessions)
        home = house.House(plaintext_login="loopback").start()

        class Place:
            ip, port, user, password = home.ip, house.PORTS["imap"], home.account("torn"), "correct horse battery"

        sessions.play(Place, 150, 6, 5)
        self.assertEqual(home.stop(), 0, home.tail())


if __name__ == "__main__":
    unittest.main(verbosity=2)
