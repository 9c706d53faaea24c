"""What a person can get wrong: each case names the file and the remedy, exits with the sysexits code that fits, and damages nothing."""
import os
import shutil
import socket
import sqlite3
import subprocess
import unittest

import house

EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_CANTCREAT, EX_CONFIG, EX_USAGE, EX_TEMPFAIL = 65, 66, 69, 73, 78, 64, 75


def serve(h, *more, seconds=60):
    """Starts a server that is expected not to start."""
    return subprocess.run([house.POSTHOUSE, "serve", "--data", h.data, "--config", h.config, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)


class BadInput(unittest.TestCase):
    def setUp(self):
        self.house = house.House()

    def refused(self, done, status, *words):
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, text)
        for word in words:
            self.assertIn(str(word), text)
        self.assertNotIn("AddressSanitizer", text)

    def prepared(self):
        """A house that has run once and holds an account."""
        self.house.start()
        self.house.account("bob")
        self.house.stop()
        return self.house

    def test_configuration_mistakes_are_all_listed(self):
        self.house.config.write_text('hostnam = "x"\nmax_message_size = "huge"\nretry_first = "5m"\nlisten_mx = {"nowhere"}\n')
        done = serve(self.house)
        self.refused(done, EX_CONFIG, f'{self.house.config}:1', 'unknown setting "hostnam"', 'did you mean "hostname"', f"{self.house.config}:2", "max_message_size")
        done = subprocess.run([house.POSTHOUSE, "check-config", self.house.config], capture_output=True, text=True)
        self.refused(done, EX_CONFIG, 'did you mean "hostname"', "max_message_size", "listen_mx")
        self.house.config.write_text('hostname = "x.test"\n')
        self.assertEqual(subprocess.run([house.POSTHOUSE, "check-config", self.house.config], capture_output=True).returncode, 0)

    def test_syntax_error_and_binary_rubbish(self):
        for content in (b"hostname = {", b"hostname", b'hostname = "unclosed', os.urandom(3000), b"\0" * 100):
            self.house.config.write_bytes(content)
            self.refused(serve(self.house), EX_CONFIG, self.house.config)

    def test_missing_configuration(self):
        self.house.config.unlink(missing_ok=True)
        done = serve(self.house)
        self.assertIn(done.returncode, (EX_CONFIG, EX_NOINPUT))
        self.assertIn(str(self.house.config), done.stderr + done.stdout)

    def test_port_taken(self):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((self.house.ip, 2525))
            s.listen()
            self.house.config.write_text(f'listen_mx = {{"{self.house.ip}:2525"}}\n')
            done = serve(self.house)
        self.assertIn(done.returncode, (EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG))
        self.assertIn("2525", done.stderr + done.stdout)
        self.assertIn("in use", done.stderr + done.stdout)

    def test_already_running(self):
        self.house.start()
        done = serve(self.house)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("already running", done.stderr + done.stdout)
        self.assertEqual(self.house.stop(), 0)

    def test_certificate_missing_broken_or_of_another_key(self):
        h = self.prepared()
        cert, key = h.certificate(), next((h.data / "tls").glob("*key*"))
        broken = h.where / "broken.pem"
        broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        other = h.where / "other.key"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", other], check=True, capture_output=True)
        for c, k in ((h.where / "no such file", key), (broken, key), (cert, h.where / "no such key"), (cert, broken), (cert, other)):
            h.settings.update(tls_certificate=str(c), tls_key=str(k))
            h.config.write_text("".join(house.setting(n, v) for n, v in h.settings.items()))
            named = c if c != cert else k
            self.refused(serve(h), EX_CONFIG, named)

    def test_damaged_databases(self):
        h = self.prepared()
        for path in (h.data / "queue" / "queue.sqlite", h.data / "house" / "house.sqlite"):
            good = path.with_suffix(".good")
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
            shutil.copy2(path, good)
            with open(path, "r+b") as f:
                f.write(b"this is not a database" * 100)
            damaged = path.read_bytes()
            done = serve(h)
            self.assertIn(done.returncode, (EX_CONFIG, EX_DATAERR))
            self.assertIn(path.name, done.stderr + done.stdout)
            self.assertEqual(path.read_bytes(), damaged, "a damaged file is left as it was found")
            shutil.copy2(good, path)
            for extra in ("-wal", "-shm"):
                path.with_name(path.name + extra).unlink(missing_ok=True)
        h.start()
        self.assertEqual(len(h.imap_letters("bob@a.test")), 0)
        self.assertEqual(h.stop(), 0)

    def test_newer_database(self):
        h = self.prepared()
        for path in (h.data / "queue" / "queue.sqlite", h.data / "house" / "house.sqlite"):
            db = sqlite3.connect(path)
            version = db.execute("pragma user_version").fetchone()[0]
            db.execute("pragma user_version = 9999")
            db.close()
            done = serve(h)
            self.assertIn(done.returncode, (EX_CONFIG, EX_DATAERR))
            self.assertIn(path.name, done.stderr + done.stdout)
            db = sqlite3.connect(path)
            db.execute(f"pragma user_version = {version}")
            db.close()

    def test_one_damaged_mailbox_hurts_nobody_else(self):
        h = self.house.start()
        alice, bob = h.account("alice"), h.account("bob")
        h.imap(alice).logout()
        h.stop()
        path = next((h.data / "mail").glob("alice*/mail.sqlite"))
        for extra in ("-wal", "-shm"):
            path.with_name(path.name + extra).unlink(missing_ok=True)
        with open(path, "r+b") as f:
            f.write(b"this is not a database" * 100)
        h.start()
        h.imap(bob).logout()
        import imaplib
        with self.assertRaises(imaplib.IMAP4.error):
            m = h.imap(alice)
            m.select("INBOX")
            raise imaplib.IMAP4.error("select answered NO") if m.state != "SELECTED" else AssertionError("a damaged mailbox was opened")
        self.assertIn("mail.sqlite", h.tail(200))
        self.assertEqual(h.stop(), 0)

    def test_password_file(self):
        self.house.start()
        run = self.house.admin("account", "add", "bob@a.test", "--password-file", self.house.where / "none", check=False)
        self.assertEqual(run.returncode, EX_NOINPUT, run.stderr)
        self.assertIn(str(self.house.where / "none"), run.stderr)
        (self.house.where / "empty").write_text("")
        run = self.house.admin("account", "add", "bob@a.test", "--password-file", self.house.where / "empty", check=False)
        self.assertNotEqual(run.returncode, 0)
        run = self.house.admin("account", "add", "not an address", "--generate", check=False)
        self.assertIn(run.returncode, (EX_USAGE, EX_DATAERR), run.stderr)
        self.assertEqual(self.house.stop(), 0)

    def test_folder_not_writable(self):
        self.house.config.write_text("")
        file = self.house.where / "a file"
        file.write_text("")
        done = subprocess.run([house.POSTHOUSE, "serve", "--data", file / "data", "--config", self.house.config], capture_output=True, text=True, timeout=60)
        self.assertIn(done.returncode, (EX_CANTCREAT, EX_CONFIG))
        self.assertIn(str(file), done.stderr + done.stdout)

    def test_usage(self):
        for words in (["nonsense"], ["serve", "--nonsense"], ["account"], ["account", "nonsense"]):
            done = subprocess.run([house.POSTHOUSE, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, EX_USAGE, done.stderr)
        for words in (["--help"], ["serve", "--help"], ["account", "--help"], ["--version"]):
            done = subprocess.run([house.POSTHOUSE, *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout)


if __name__ == "__main__":
    unittest.main()
