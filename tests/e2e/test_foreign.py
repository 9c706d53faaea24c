"""Programs that we did not write, against our ports."""
import email
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import house
from house import PORTS

LETTER = "From: Alice <alice@a.test>\nTo: bob@a.test\nSubject: by {0}\nMessage-ID: <{0}@a.test>\nDate: Sun, 22 Nov 2026 12:00:00 +0000\n\nSent by {0}.\n"


def run(*words, input=None, env=None, cwd=None, seconds=120):
    done = subprocess.run([str(w) for w in words], input=input, text=True, capture_output=True, timeout=seconds, cwd=cwd,
                          env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})
    if done.returncode:
        raise AssertionError(f"{words[0]}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


class Foreign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House().start()
        cls.alice, cls.bob = cls.house.account("alice", "pass-a"), cls.house.account("bob", "pass-b")
        cls.home = cls.house.where / "home"
        cls.home.mkdir()
        cls.env = {"HOME": str(cls.home)}

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def need(self, program):
        if not shutil.which(program):
            self.fail(f"{program} is not installed; ./check installs it")

    def arrived(self, name):
        """Waits until the letter sent by that program is in bob's INBOX."""
        import time
        for _ in range(400):
            for letter in self.house.imap_letters(self.bob):
                if f"<{name}@a.test>".encode() in letter:
                    return letter
            time.sleep(0.05)
        self.fail(f"the letter sent by {name} did not arrive\n{self.house.tail()}")

    def post(self, name):
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, [self.bob], LETTER.format(name).replace("\n", "\r\n"))
        self.arrived(name)

    def file(self, name, text, mode=0o600):
        path = self.home / name
        path.write_text(text)
        path.chmod(mode)
        return path

    # -- sending -----------------------------------------------------------------------------------------
    def test_curl_smtp(self):
        self.need("curl")
        for name, url, more in (("curl-starttls", f"smtp://{self.house.ip}:{PORTS['submission']}", ["--ssl-reqd"]),
                                ("curl-tls", f"smtps://{self.house.ip}:{PORTS['submissions']}", [])):
            letter = self.file(name, LETTER.format(name))
            run("curl", "-sS", "-k", url, *more, "--user", f"{self.alice}:pass-a", "--mail-from", self.alice, "--mail-rcpt", self.bob,
                "--upload-file", letter, "--crlf")
            self.assertIn(b"Sent by " + name.encode(), self.arrived(name))

    def test_swaks(self):
        self.need("swaks")
        for name, more in (("swaks-plain", ["--auth", "PLAIN", "-tls", "--port", PORTS["submission"]]),
                           ("swaks-login", ["--auth", "LOGIN", "--tls-on-connect", "--port", PORTS["submissions"]])):
            run("swaks", "--server", self.house.ip, "--from", self.alice, "--to", self.bob, "--auth-user", self.alice, "--auth-password", "pass-a",
                "--helo", "client.test", "--header", f"Message-ID: <{name}@a.test>", "--body", "by swaks", *more)
            self.arrived(name)
        name = "swaks-mx"
        out = run("swaks", "--server", self.house.ip, "--port", PORTS["mx"], "--from", "x@elsewhere.test", "--to", self.bob, "--helo", "elsewhere.test",
                  "--pipeline", "--header", f"Message-ID: <{name}@a.test>")
        self.arrived(name)

    def test_msmtp(self):
        self.need("msmtp")
        rc = self.file("msmtprc", f"account default\nhost {self.house.ip}\nport {PORTS['submission']}\nauth on\nuser {self.alice}\npassword pass-a\n"
                                  f"tls on\ntls_starttls on\ntls_certcheck off\nfrom {self.alice}\n")
        run("msmtp", "-C", rc, self.bob, input=LETTER.format("msmtp"), env=self.env)
        self.assertIn(b"Sent by msmtp", self.arrived("msmtp"))

    def test_mutt_sends_and_reads(self):
        self.need("mutt")
        rc = self.file("muttrc", f'set from="{self.alice}"\nset realname="Alice"\nset smtp_url="smtps://{self.alice.replace("@", "%40")}@{self.house.ip}:{PORTS["submissions"]}/"\n'
                                 'set smtp_pass="pass-a"\nset ssl_verify_host=no\nset ssl_verify_dates=no\nset copy=no\n'
                                 f'set certificate_file="{self.house.certificate()}"\n')
        picture = self.file("picture.bin", "not really a picture\n")
        run("mutt", "-F", rc, "-s", "by mutt", "-a", picture, "--", self.bob, input="Sent by mutt.\n", env={**self.env, "TERM": "dumb"})
        import time
        for _ in range(400):
            letters = [l for l in self.house.imap_letters(self.bob) if b"Subject: by mutt" in l]
            if letters:
                break
            time.sleep(0.05)
        parts = list(email.message_from_bytes(letters[0]).walk())
        self.assertEqual(parts[2].get_payload(decode=True), b"not really a picture\n")
        rc = self.file("muttrc2", f'set imap_user="{self.bob}"\nset imap_pass="pass-b"\nset folder="imaps://{self.house.ip}:{PORTS["imaps"]}/"\nset spoolfile="+INBOX"\n'
                                  f'set ssl_verify_host=no\nset certificate_file="{self.house.certificate()}"\nset quit=yes\nset move=no\nset delete=yes\n'
                                  'set confirmappend=no\nset confirmcreate=no\nset wait_key=no\nset resolve=no\n'
                                  'push "<tag-pattern>~s \\"by mutt\\"<enter><tag-prefix><copy-message><kill-line>=Archive<enter><quit>"\n')
        # opens the mailbox over IMAP on a terminal of its own, copies what mutt sent to Archive, and leaves
        run("script", "-qec", f"mutt -F {rc}", "/dev/null", env={**self.env, "TERM": "vt100"}, seconds=60)
        self.assertEqual(len(self.house.imap_letters(self.bob, "Archive")), 1)

    # -- fetching -----------------------------------------------------------------------------------------
    def test_curl_reads(self):
        self.need("curl")
        self.post("for-curl")
        out = run("curl", "-sS", "-k", f"imaps://{self.house.ip}:{PORTS['imaps']}/INBOX", "-u", f"{self.bob}:pass-b", "-X", 'SEARCH HEADER Message-ID for-curl')
        self.assertRegex(out, r"\* SEARCH \d+")
        number = out.split()[-1]
        out = run("curl", "-sS", "-k", f"imap://{self.house.ip}:{PORTS['imap']}/INBOX;MAILINDEX={number}", "--ssl-reqd", "-u", f"{self.bob}:pass-b")
        self.assertIn("Sent by for-curl", out)
        out = run("curl", "-sS", "-k", f"pop3s://{self.house.ip}:{PORTS['pop3s']}/", "-u", f"{self.bob}:pass-b")
        self.assertIn(number, out)
        out = run("curl", "-sS", "-k", f"pop3://{self.house.ip}:{PORTS['pop3']}/{number}", "--ssl-reqd", "-u", f"{self.bob}:pass-b")
        self.assertIn("Sent by for-curl", out)

    def test_mbsync_twice(self):
        self.need("mbsync")
        self.post("for-mbsync")
        mail = self.home / "mbsync"
        mail.mkdir()
        rc = self.file("mbsyncrc", f"IMAPAccount h\nHost {self.house.ip}\nPort {PORTS['imaps']}\nUser {self.bob}\nPass pass-b\nSSLType IMAPS\nCertificateFile {self.house.certificate()}\n\n"
                                   f"IMAPStore far\nAccount h\n\nMaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n"
                                   "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n")
        run("mbsync", "-c", rc, "-a", env=self.env)
        first = sorted(f.name for f in (mail / "INBOX").glob("*/*"))
        self.assertEqual(len(first), len(self.house.imap_letters(self.bob)))
        run("mbsync", "-c", rc, "-a", env=self.env)
        self.assertEqual(first, sorted(f.name for f in (mail / "INBOX").glob("*/*")), "the second run fetches nothing")
        # a flag travels back
        new = next(iter((mail / "INBOX").glob("new/*")))
        new.rename(mail / "INBOX" / "cur" / (new.name.split(":")[0] + ":2,FS"))
        run("mbsync", "-c", rc, "-a", env=self.env)
        m = self.house.imap(self.bob)
        m.select("INBOX")
        self.assertNotEqual(m.search(None, "FLAGGED", "SEEN")[1], [b""])
        m.logout()

    def test_getmail(self):
        self.need("getmail")
        self.post("for-getmail")
        mail = self.home / "getmail"
        for part in ("cur", "new", "tmp"):
            (mail / part).mkdir(parents=True)
        user = ""
        if os.geteuid() == 0:  # getmail does not deliver as root
            user = "user = nobody\n"
            for path in (self.house.where, self.home, mail, *mail.iterdir()):
                path.chmod(0o755)
            for path in (mail, *mail.iterdir()):
                shutil.chown(path, "nobody")
        rc = self.file("getmailrc", f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = {self.house.ip}\nport = {PORTS['pop3s']}\nusername = {self.bob}\npassword = pass-b\n"
                                    f"[destination]\ntype = Maildir\npath = {mail}/\n{user}[options]\ndelete = false\nread_all = false\n")
        run("getmail", f"--getmaildir={self.home}", f"--rcfile={rc}", env=self.env)
        count = len(list(mail.glob("new/*")))
        self.assertGreaterEqual(count, 1)
        run("getmail", f"--getmaildir={self.home}", f"--rcfile={rc}", env=self.env)
        self.assertEqual(count, len(list(mail.glob("new/*"))))

    def test_fetchmail(self):
        self.need("fetchmail")
        carol = self.house.account("carol", "pass-c")
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, [carol], LETTER.format("for-fetchmail").replace("\n", "\r\n"))
        self.house.wait_for(carol, 1)
        box = self.home / "fetched"
        rc = self.file("fetchmailrc", f'poll {self.house.ip} protocol IMAP port {PORTS["imap"]} auth password user "{carol}" password "pass-c" '
                                      f'sslproto TLS1.2+ sslcertck sslcertfile {self.house.certificate()} sslcommonname mx.a.test mda "cat >> {box}" keep\n')
        try:
            run("fetchmail", "-f", rc, "--nosyslog", "--pidfile", self.home / "fetchmail.pid", env={**self.env, "FETCHMAILHOME": str(self.home)})
        except AssertionError as e:
            self.fail(str(e))
        self.assertIn("Sent by for-fetchmail", box.read_text())


if __name__ == "__main__":
    unittest.main()
