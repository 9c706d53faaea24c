"""Real mail through three houses: submitted by our own `post` (every letter) and by smtplib (every tenth), fetched by POP3 and by IMAP, identical byte for byte below
the trace fields that the way has put on top.

The corpus lies beside the project and not in a user's checkout: without it these tests are skipped.
"""
import json
import os
import re
import subprocess
import sys
import threading
import unittest

import house
from house import CORPUS, PORTS

SENDERS = 4
EOL = re.compile(rb"\r\n|\n|\r(?!\n)")
HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")
OURS = re.compile(rb"\A(?:(?:Return-Path|Received|Date|Message-ID):[^\n]*\n(?:[ \t][^\n]*\n)*)*\Z", re.I)


def messages():
    """Every message that has a header, as it goes on the wire: CRLF, without the line that mbox files add."""
    for path in sorted(CORPUS.rglob("*")):
        if not path.is_file() or path.suffix not in ("", ".msg", ".txt", ".eml") or path.name in ("SOURCE.txt", "keys.txt", "NOTICE", "LICENSE") \
                or "_decoded" in path.name or "fuzz-dictionaries" in path.parts or "spf-rfc7208" in path.parts:
            continue
        raw = path.read_bytes()
        if raw.startswith(b"From "):
            raw = raw.split(b"\n", 1)[1]
        if HEADER.match(raw):
            yield path, EOL.sub(b"\r\n", raw if raw.endswith((b"\n", b"\r")) else raw + b"\n")


@unittest.skipUnless(CORPUS.is_dir(), "the corpus is not here")
class Corpus(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.a, cls.b, cls.c = cls.houses = house.world("a.test", "b.test", "c.test", log_level="warn")
        cls.alice, cls.bob = cls.a.account("alice"), cls.c.account("bob")
        cls.b.admin("domain", "add", "b.test")
        cls.b.admin("alias", "add", "bob@b.test", cls.bob)
        cls.letters = list(messages())

    @classmethod
    def tearDownClass(cls):
        for h in cls.houses:
            assert h.stop() == 0, h.tail()

    def by_smtplib(self, letters):
        refused = []

        def work(share):
            with self.a.submit(self.alice) as s:
                for path, letter in share:
                    try:
                        s.sendmail(self.alice, ["bob@b.test"], letter, mail_options=["BODY=8BITMIME"])
                    except Exception as e:
                        refused.append(f"{path.name}: {e}")
                        return

        threads = [threading.Thread(target=work, args=(letters[i::SENDERS],)) for i in range(SENDERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return refused

    def by_post(self, letters):
        """All letters of a share in one folder, and one `post send --raw FOLDER` a share: one session each, a line of JSON a letter."""
        names = [path.name for path, _ in letters]
        shares = [house.folder() for _ in range(SENDERS)]
        for i, (path, letter) in enumerate(letters):
            (shares[i % SENDERS] / f"{i:05}").write_bytes(letter)
        running = [subprocess.Popen([house.POST, "send", "--json", "--from", self.alice, "--to", "bob@b.test", "--server", self.a.ip, "--port", str(PORTS["submission"]),
                                     "--tls", "starttls", "--insecure", "--user", self.alice, "--password-env", "PASS", "--raw", share],
                                    env={**os.environ, "PASS": self.a.passwords[self.alice]}, stdout=(share / ".out").open("wb"), stderr=(share / ".err").open("wb"))
                   for share in shares]
        refused, told = [], []
        for process, share in zip(running, shares):
            process.wait(1200)
            told += [json.loads(line) for line in (share / ".out").read_text().splitlines()]
            if process.returncode:
                refused.append(f"exit {process.returncode} {(share / '.err').read_text(errors='replace')}")
        sent = sorted(int(t["file"].rsplit("/")[-1]) for t in told if t["code"] == 250)
        return refused + [f"{names[i]}: no result" for i in sorted(set(range(len(letters))) - set(sent))]

    def check(self, sender, letters):
        mailbox_before = len(self.fetched_by_pop3())
        refused = sender(letters)
        self.assertEqual(refused, [])
        self.assertEqual(self.c.wait_for(self.bob, mailbox_before + len(letters), 600), mailbox_before + len(letters))
        by_imap = self.c.imap_letters(self.bob)[mailbox_before:]
        by_pop3 = self.fetched_by_pop3()[mailbox_before:]
        identical = self.identical(letters, by_imap), self.identical(letters, by_pop3)
        print(f"\ncounted: {sender.__name__}: sent {len(letters)}, arrived {len(by_imap)}, identical by IMAP {identical[0]}, by POP3 {identical[1]}", flush=True)
        self.assertEqual(identical, (len(letters), len(letters)))

    def identical(self, letters, arrived):
        """How many letters have a partner that is ours on top and theirs below, byte for byte but for Bcc."""
        by_tail = {}
        for letter in arrived:
            by_tail.setdefault(letter[-200:], []).append(letter)
        count = 0
        for path, letter in ((path, house.without_bcc(letter)) for path, letter in letters):
            partners = [p for key in {letter[-200:]} for p in by_tail.get(key, [])] or (arrived if len(letter) < 200 else [])
            match = next((p for p in partners if p.endswith(letter) and OURS.match(p[:len(p) - len(letter)])), None)
            if match is None:
                print(f"not identical: {path}", file=sys.stderr)
            else:
                arrived_list = by_tail.get(match[-200:], [])
                if match in arrived_list:
                    arrived_list.remove(match)
                count += 1
        return count

    def fetched_by_pop3(self):
        p = self.c.pop3(self.bob)
        letters = [b"\r\n".join(p.retr(i + 1)[1]) + b"\r\n" for i in range(p.stat()[0])]
        p.quit()
        return letters

    def test_by_smtplib(self):
        self.check(self.by_smtplib, self.letters[::10])

    def test_by_post(self):
        self.check(self.by_post, self.letters)


if __name__ == "__main__":
    unittest.main()
