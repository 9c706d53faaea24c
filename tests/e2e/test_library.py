"""The client library against our own server: every kind of session from beginning to end, over every TLS mode."""
import subprocess
import unittest

import house
from house import BUILD, PORTS

TOUR = BUILD / "tests" / "unit" / "net" / "client_tour"


def tour(proto, host, port, tls, ca, user, password, *more, seconds=120):
    """Its lines; an assertion that shows them when it fails."""
    done = subprocess.run([TOUR, proto, host, str(port), tls, str(ca), user, password, *more], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and lines[-1] == "done", done.stdout
    return lines


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test").start()
        cls.house.account("alice", "secret")
        cls.addClassCleanup(cls.house.kill)

    def tour(self, proto, service, tls, *more):
        return tour(proto, self.house.ip, PORTS[service], tls, "", "alice@a.test", "secret", *more)

    def test_smtp(self):
        for service, tls, mechanism in (("submission", "starttls", ""), ("submissions", "tls", "LOGIN")):
            lines = self.tour("smtp", service, tls, mechanism)
            self.assertIn("sendmail 0", lines)
            self.assertIn("sendmany 2", lines)  # the one in the middle has nobody to go to
            self.assertTrue(any(line.startswith("letter 1: -") and line.endswith("with trouble") for line in lines), lines)
            self.assertIn("progress 147017", lines)

    def test_pop3_and_imap(self):
        self.tour("smtp", "submissions", "tls")
        self.house.wait_for("alice@a.test", 5)
        for service, tls in (("pop3", "starttls"), ("pop3s", "tls")):
            lines = self.tour("pop3", service, tls)
            first, second = (int(line.split()[1]) for line in lines if line.startswith("count "))
            self.assertEqual(second, first - 1)
            self.assertIn("new again 0", lines)
            self.assertIn(f"letters {first} of the size told", lines)
        for service, tls in (("imap", "starttls"), ("imaps", "tls")):
            lines = self.tour("imap", service, tls)
            for station in ("the same letter", "found 1", "watch 7", "watch in vain 0", "in the trash 1", "left 0", "missing NO_SUCH_MAILBOX",
                            "namespaces 1 sorted 1 threaded 1", "renewed 1", "resync told", "resync of another mailbox 0"):
                self.assertIn(station, lines)


if __name__ == "__main__":
    unittest.main()
