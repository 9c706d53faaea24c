"""What a newcomer types first."""
import subprocess
import time
import unittest

import house


def up(*words, seconds=600):
    return subprocess.run([house.ROOT / "up", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, cwd=house.ROOT)


class Up(unittest.TestCase):
    def test_once(self):
        data = house.folder() / "data"
        for _ in range(2):
            done = up("--once", "--data", data)
            self.assertEqual(done.returncode, 0, done.stdout)
            for word in ("STARTTLS", "POP3", "IMAP", "Every step was verified"):
                self.assertIn(word, done.stdout)

    def test_three_hops(self):
        done = up("--hops", 3, "--once", "--data", house.folder() / "data")
        self.assertEqual(done.returncode, 0, done.stdout)
        for ip in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            self.assertIn(ip, done.stdout)

    def test_port_taken_is_said(self):
        import socket
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", 2525))
            s.listen()
            done = up("--once", "--data", house.folder() / "data")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("2525", done.stdout)

    def test_wrong_words(self):
        self.assertEqual(up("--nonsense").returncode, 64)
        self.assertEqual(up("--hops", "0").returncode, 64)


if __name__ == "__main__":
    unittest.main()
