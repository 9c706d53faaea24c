"""The dialogues of tests/script/*.imap, each a test, against Posthouse."""
import unittest

import house
import imap_script


class Server:
    def __init__(self, ip, port, user, password):
        self.ip, self.port, self.user, self.password = ip, port, user, password


class Script(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House(plaintext_login="loopback").start()
        cls.player = imap_script.Player(Server(cls.house.ip, house.PORTS["imap"], cls.house.account("script"), "correct horse battery"))

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def play(self, file):
        dialogues = imap_script.load(file)
        self.assertTrue(dialogues)
        failures = []
        for d in dialogues:
            try:
                self.player.play(d)
            except (imap_script.Failure, OSError) as e:
                failures.append(str(e))
        self.assertFalse(failures, f"{len(failures)} of {len(dialogues)} dialogues failed\n" + "\n".join(failures))


def test_of(path):
    def test(self):
        self.play(path)

    test.__name__ = test.__qualname__ = f"test_{path.stem}"
    return test


for script in sorted(imap_script.FOLDER.glob("*.imap")):
    setattr(Script, f"test_{script.stem}", test_of(script))

if __name__ == "__main__":
    unittest.main(verbosity=2)
