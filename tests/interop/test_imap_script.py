"""The dialogues of tests/script/*.imap and *.pop3 that are marked [base], against Dovecot: what they ask of a server is no more than
IMAP4rev1, or RFC 1939.

    python3 tests/interop/test_imap_script.py        (root; needs dovecot-imapd and dovecot-pop3d)
"""
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
import dovecot  # noqa: E402
import house  # noqa: E402
import imap_script  # noqa: E402


@unittest.skipIf(dovecot.missing(), dovecot.missing())
class Fair(unittest.TestCase):
    def test_base(self):
        ip, where = house.network() + ".1", house.folder()
        cert, key = where / "cert.pem", where / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=d.test"],
                       check=True, capture_output=True)
        server = dovecot.Dovecot(ip, cert, key)
        server.port, server.pop3_port, server.user, server.password = 2143, 2110, "script", "secret"
        players, failures, count = {".imap": imap_script.Player(server), ".pop3": imap_script.PopPlayer(server)}, [], 0
        for path in sorted(imap_script.FOLDER.glob("*.*")):
            for d in imap_script.load(path):
                if "base" not in d.needs:
                    continue
                count += 1
                try:
                    players[path.suffix].play(d)
                except (imap_script.Failure, OSError) as e:
                    failures.append(str(e))
        for player in players.values():
            player.admin.close()
        server.stop()
        self.assertFalse(failures, f"{len(failures)} of {count} dialogues failed\n" + "\n".join(failures))
        print(f"{count} dialogues hold for Dovecot, too")


if __name__ == "__main__":
    unittest.main(verbosity=2)
