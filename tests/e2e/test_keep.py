"""Keeping mail: limits of accounts, carrying letters in and out, backup and restore, the index. The server runs all the time."""
import imaplib
import mailbox
import re
import threading
import time
import unittest
from pathlib import Path

import house


def letter(n, text="text"):
    return (f"From: a@a.test\r\nTo: b@b.test\r\nSubject: =?utf-8?q?n=C2=B0_{n}?=\r\nMessage-ID: <k{n}@a.test>\r\n\r\n"
            f"From the start, line {n}: {text}\r\n>From quoted\r\n.\r\nlast\r\n").encode()


class Keep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House(quota_full="bounce", retry_first="1s", retry_most="1s").start()
        cls.where = house.folder()

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def user(self, name):
        user = self.house.account(name)
        return user, self.house.imap(user)

    def fill(self, m, count=12):
        m.create('"Work/M&AOQ-rz.24"')
        for n in range(count):
            flags = [r"(\Seen)", r"(\Flagged $Label1)", "()", r"(\Answered \Draft $Label1 other)"][n % 4]
            box = "INBOX" if n % 3 else '"Work/M&AOQ-rz.24"'
            self.assertEqual(m.append(box, flags, imaplib.Time2Internaldate(1000000000 + 86400 * n), letter(n))[0], "OK")
        self.assertEqual(m.append("Sent", r"(\Seen)", imaplib.Time2Internaldate(999999999), letter("big", "x" * 600000))[0], "OK")

    def everything(self, m):
        found = {}
        for line in m.list()[1]:
            name = re.search(rb'"/" (.*)$', line).group(1).decode()
            if m.select(name, readonly=True)[0] != "OK":
                continue
            rows = m.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
            for i, row in enumerate(rows):
                if not isinstance(row, tuple):
                    continue
                rest = row[0] + (rows[i + 1] if isinstance(rows[i + 1], bytes) else b"")
                flags = sorted(f for f in re.search(rb"FLAGS \((.*?)\)", rest).group(1).decode().split() if f != r"\Recent")
                found.setdefault(name, []).append((flags, re.search(rb'INTERNALDATE "(.*?)"', rest).group(1), row[1]))
        return {name: sorted(letters) for name, letters in found.items()}

    def test_quota(self):
        user, m = self.user("quota")
        self.house.admin("account", "quota", user, "--bytes", "2000", "--messages", "3")
        self.assertEqual(self.house.admin("account", "quota", user), "bytes 2000, messages 3\n")
        answers = []
        for n in range(200):  # the keeper looks twice a second
            answers.append(m.append("INBOX", None, None, letter(n))[0:2])
            if answers[-1][0] != "OK":
                break
            if n >= 3:
                time.sleep(0.2)
        self.assertEqual(answers[-1][0], "NO")
        self.assertIn(b"[OVERQUOTA]", answers[-1][1][0])
        m.select("INBOX")
        self.assertIn(b"[OVERQUOTA]", m.copy("1", "Sent")[1][0])
        sender = self.house.account("sender")
        with self.house.submit(sender) as s:
            s.sendmail(sender, [user], letter("full"))
        self.assertGreaterEqual(self.house.wait_for(sender, 1), 1)
        self.assertIn(b"5.2.2", self.house.imap_letters(sender)[0])
        self.house.admin("account", "quota", user, "--bytes", "none", "--messages", "default")
        deadline = time.monotonic() + 60
        while m.append("INBOX", None, None, letter("more"))[0] != "OK":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        m.logout()

    def carry(self, name, *options, reader):
        user, m = self.user(f"from{name}")
        self.fill(m)
        path = f"{self.where}/{name}"
        self.assertIn("exported 13 letters", self.house.admin("account", "export", user, path, *options))
        self.assertNotEqual(self.house.admin("account", "export", user, path, *options, check=False).returncode, 0)
        reader(path)
        other, n = self.user(f"to{name}")
        self.assertEqual(self.house.admin("account", "import", other, path), "imported 13 letters\n")
        self.assertEqual(self.everything(m), self.everything(n))
        self.assertIn("13 were there already", self.house.admin("account", "import", other, path))
        self.assertEqual(self.everything(m), self.everything(n))
        self.assertIn("0 findings", self.house.admin("fsck"))
        m.logout(), n.logout()

    def test_maildir(self):
        def reader(path):
            box = mailbox.Maildir(path)
            self.assertEqual(len(box), 8)
            self.assertEqual(sorted(box.list_folders()), ["Sent", "Work.M&AOQ-rz&AC4-24"])
            flags = sorted(box[k].get_flags() for k in box.keys())
            self.assertEqual(len([f for f in flags if "S" in f]), 2)
        self.carry("maildir", reader=reader)

    def test_mbox(self):
        def reader(path):
            self.assertEqual(len(mailbox.mbox(f"{path}/INBOX.mbox")), 8)
            self.assertEqual(len(mailbox.mbox(f"{path}/Work/März.24.mbox")), 4)
        self.carry("mbox", "--mbox", reader=reader)

    def test_live_from_a_server(self):
        user, m = self.user("live")
        self.fill(m)
        other, n = self.user("copy")
        words = ("account", "import", other, f"imaps://{self.house.ip}:{house.PORTS['imaps']}", "--user", user, "--ca", self.house.certificate(),
                 "--password-file", "-")
        secret = self.house.passwords[user] + "\n"
        self.assertEqual(self.house.admin(*words, input=secret), "imported 13 letters\n")
        self.assertEqual(self.everything(m), self.everything(n))
        self.assertIn("13 were there already", self.house.admin(*words, input=secret))
        self.assertNotEqual(self.house.admin(*words, input="wrong\n", check=False).returncode, 0)
        m.logout(), n.logout()

    def test_popular_names_are_kept(self):
        path = Path(self.where) / "old"
        for sub in ("cur", "new", "tmp"):
            (path / sub).mkdir(parents=True)
        (path / "cur" / "1.a.host:2,S").write_bytes(letter(1).replace(b"\r\n", b"\n"))
        (path / "new" / "2.b.host").write_bytes(letter(2))
        (path / "dovecot-uidlist").write_text("3 V123 N9 G1\n5 P0123-old :1.a.host\n8 :2.b.host\n")
        user = self.house.account("names")
        self.house.admin("account", "import", user, path)
        self.assertEqual(self.house.imap_letters(user), [letter(1), letter(2)])
        p = self.house.pop3(user)
        uids = [line.split()[1] for line in p.uidl()[1]]
        self.assertEqual(uids[0], b"0123-old")
        self.assertNotEqual(uids[1], b"0123-old")
        p.quit()

    def test_backup_and_restore(self):
        user, m = self.user("saved")
        self.fill(m)
        before = self.everything(m)
        stop = threading.Event()

        def load():
            busy, n = self.user("busy")
            while not stop.is_set():
                n.append("INBOX", None, None, letter("busy", "y" * 300000))
                n.select("INBOX")
                n.store("1:*", "+FLAGS", r"(\Deleted)")
                n.expunge()
            n.logout()
        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(0.3)
        path = f"{self.where}/backup"
        self.assertIn("backed up", self.house.admin("backup", path))
        stop.set()
        thread.join()
        self.assertIn(" 0 findings", self.house.admin("fsck", "--data", path))
        # one letter that was lost; the others stay as they are
        m.select("INBOX")
        m.store("1", "+FLAGS", r"(\Deleted)")
        m.store("2", "-FLAGS", r"(\Flagged \Seen)")
        m.expunge()
        lost = next(l[2] for l in before["INBOX"] if l[2] not in [x[2] for x in self.everything(m)["INBOX"]])
        name = re.search(rb"Message-ID: (\S+)", lost).group(1).decode()
        self.assertEqual(self.house.admin("restore", "--account", user, "--message", name, path), "restored 1 letters, 0 were there already\n")
        self.assertIn("restored 0 letters, 13 were", self.house.admin("restore", "--account", user, path))
        self.assertEqual(sorted(l[2] for l in before["INBOX"]), sorted(l[2] for l in self.everything(m)["INBOX"]))
        self.assertNotEqual(self.house.admin("restore", path, check=False).returncode, 0)
        m.logout()
        # a whole house of it
        other = house.House(where=Path(house.folder()))
        other.admin("restore", path)
        other.passwords = dict(self.house.passwords)
        other.start()
        try:
            n = other.imap(user)
            self.assertEqual(self.everything(n), before)
            n.logout()
        finally:
            self.assertEqual(other.stop(), 0)


if __name__ == "__main__":
    unittest.main()
