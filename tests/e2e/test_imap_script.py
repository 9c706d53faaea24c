"""The dialogues of tests/script/*.imap and *.pop3, a file a test, against Posthouse."""
import unittest

import house
import imap_script


class Server:
    def __init__(self, ip, port, user, password):
        self.ip, self.port, self.user, self.password = ip, port, user, password
        self.pop3_port = house.PORTS["pop3"]


class Script(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House(plaintext_login="loopback").start()
        server = Server(cls.house.ip, house.PORTS["imap"], cls.house.account("script"), "correct horse battery")
        cls.players = {".imap": imap_script.Player(server), ".pop3": imap_script.PopPlayer(server)}

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def play(self, file):
        dialogues = imap_script.load(file)
        self.assertTrue(dialogues)
        failures = []
        for d in dialogues:
            try:
                self.players[file.suffix].play(d)
            except (imap_script.Failure, OSError) as e:
                failures.append(str(e))
        self.assertFalse(failures, f"{len(failures)} of {len(dialogues)} dialogues failed\n" + "\n".join(failures))


def test_of(path):
    def test(self):
        self.play(path)

    test.__name__ = test.__qualname__ = name_of(path)
    return test


def name_of(path):
    return f"test_{path.stem}" if path.suffix == ".imap" else f"test_pop3_{path.stem}"


for script in sorted(imap_script.FOLDER.glob("*.*")):
    setattr(Script, name_of(script), test_of(script))

if __name__ == "__main__":
    unittest.main(verbosity=2)
