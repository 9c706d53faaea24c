"""One letter's whole journey, and what must not happen on the way."""
import imaplib
import json
import smtplib
import socket
import subprocess
import unittest

import house
from house import PORTS

LETTER = b"From: Alice <alice@a.test>\r\nTo: bob@b.test\r\nSubject: hello\r\nMessage-ID: <%s@a.test>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nFirst line.\r\n.leading dot\r\n..two\r\n"


class OneHouse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House().start()
        cls.alice, cls.bob = cls.house.account("alice"), cls.house.account("bob")

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def test_submitted_delivered_fetched(self):
        letter = LETTER % b"one"
        before = len(self.house.imap_letters(self.bob))
        with self.house.submit(self.alice) as s:
            self.assertEqual(s.sendmail(self.alice, [self.bob], letter), {})
        self.assertGreaterEqual(self.house.wait_for(self.bob, before + 1), before + 1)
        by_imap = self.house.imap_letters(self.bob)[-1]
        self.assertEqual(house.without_trace(by_imap), letter)
        p = self.house.pop3(self.bob)
        by_pop = b"\r\n".join(p.retr(before + 1)[1]) + b"\r\n"
        p.quit()
        self.assertEqual(by_pop, by_imap)
        wanted = ("submitted", "queued", "delivered", "fetched")
        self.assertLessEqual(set(wanted), {s["event"] for s in self.house.steps("<one@a.test>", *wanted)})

    def test_every_letter_is_told_read_once(self):
        """Hundreds of new letters that are fetched in a row come in pages; each reading is a step of its own letter, by whoever was first."""
        user, n = self.house.account("dora"), 300
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            for i in range(n):
                s.sendmail("x@elsewhere.test", [user], f"Message-ID: <row-{i}@elsewhere.test>\r\n\r\n{i}\r\n".encode())
        self.assertEqual(self.house.wait_for(user, n), n)

        def key(letter):
            return next(line for line in letter.splitlines() if line.startswith(b"Message-ID:")).split()[1].decode()
        p = self.house.pop3(user)
        by_pop3 = {key(b"\n".join(p.retr(k + 1)[1])) for k in range(n // 2)}
        p.quit()
        for _ in range(2):
            m = self.house.imap(user)
            m.select()
            self.assertEqual(len(m.fetch("1:*", "(BODY.PEEK[])")[1]), 2 * n)
            m.logout()
        p = self.house.pop3(user)
        for k in range(n):
            p.retr(k + 1)
        p.quit()
        for i in range(0, n, 7):
            name = f"<row-{i}@elsewhere.test>"
            read = [s["note"] for s in self.house.steps(name, "fetched") if s["event"] == "fetched"]
            self.assertEqual(read, ["POP3" if name in by_pop3 else "by IMAP"])

    def test_change_takes_effect_without_restart(self):
        carol = self.house.account("carol")
        self.house.imap(carol).logout()
        self.house.admin("account", "passwd", carol, "--password-file", "-", input="another secret\n")
        with self.assertRaises(imaplib.IMAP4.error):
            self.house.imap(carol)
        self.house.passwords[carol] = "another secret"
        self.house.imap(carol).logout()
        self.house.admin("alias", "add", "team@a.test", carol, self.bob)
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            s.sendmail("x@elsewhere.test", ["team@a.test"], b"Subject: to all\r\n\r\nx\r\n")
        self.assertEqual(self.house.wait_for(carol, 1), 1)
        self.house.admin("account", "remove", carol)
        with self.assertRaises(imaplib.IMAP4.error):
            self.house.imap(carol)
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                s.sendmail("x@elsewhere.test", [carol], b"Subject: gone\r\n\r\n")

    def test_no_open_relay(self):
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            s.ehlo("stranger.test")
            s.mail("spam@stranger.test")
            for victim in ("x@elsewhere.test", "<@a.test:x@elsewhere.test>", "x%elsewhere.test@a.test", '"x@elsewhere.test"@a.test', "elsewhere.test!x@a.test"):
                code, _ = s.rcpt(victim)
                self.assertGreaterEqual(code, 500, victim)
        with smtplib.SMTP(self.house.ip, PORTS["submission"]) as s:
            s.ehlo("stranger.test")
            self.assertEqual(s.mail("alice@a.test")[0], 530)

    def test_no_login_in_the_clear(self):
        with smtplib.SMTP(self.house.ip, PORTS["submission"]) as s:
            s.ehlo("x.test")
            self.assertFalse(s.has_extn("auth"))
            self.assertIn(s.docmd("AUTH", "PLAIN AGFsaWNlAHg=")[0], (503, 530, 538))
        m = imaplib.IMAP4(self.house.ip, PORTS["imap"])
        self.assertIn("LOGINDISABLED", m.capabilities)
        with self.assertRaises(imaplib.IMAP4.error):
            m.login(self.alice, self.house.passwords[self.alice])
        m.logout()

    def test_smuggling_is_refused(self):
        """A line end that is not CRLF never ends a message (RFC 5321 4.1.1.4)."""
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"):
            with socket.create_connection((self.house.ip, PORTS["mx"]), timeout=30) as c:
                f = c.makefile("rb")
                f.readline()
                c.sendall(b"HELO x.test\r\n")
                f.readline()
                c.sendall(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\n")
                for code in (b"250", b"250", b"354"):
                    self.assertEqual(f.readline()[:3], code)
                c.sendall(b"Subject: smuggled\r\n\r\nfirst" + end + b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\nsecond\r\n.\r\n")
                self.assertGreaterEqual(f.readline()[:3], b"500", end)
        subjects = b"".join(self.house.imap_letters(self.bob))
        self.assertNotIn(b"smuggled", subjects)

    def test_unknown_user_and_wrong_sender(self):
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                s.sendmail("x@elsewhere.test", ["nobody@a.test"], b"Subject: x\r\n\r\n")
            self.assertEqual(refused.exception.recipients["nobody@a.test"][0], 550)
        with self.house.submit(self.alice) as s:
            s.ehlo_or_helo_if_needed()
            self.assertGreaterEqual(s.mail(self.bob)[0], 500)

    def test_wrong_password(self):
        s = smtplib.SMTP(self.house.ip, PORTS["submission"], timeout=60)
        s.starttls(context=self.house.tls())
        with self.assertRaises(smtplib.SMTPAuthenticationError) as refused:
            s.login(self.alice, "Tr0ub4dor-and-3")
        self.assertEqual(refused.exception.smtp_code, 535)
        s.close()
        self.assertNotIn("Tr0ub4dor", self.house.tail(10000))

    def test_status(self):
        status = self.house.status()
        roles = {p["process"] for p in status["processes"]}
        self.assertTrue({"mx", "access", "relay", "resolver", "queue", "store", "keeper", "indexer"} <= roles, roles)


class ThreeHouses(unittest.TestCase):
    def test_a_letter_crosses_all(self):
        a, b, c = houses = house.world("a.test", "b.test", "c.test")
        alice, bob = a.account("alice"), c.account("bob")
        b.admin("domain", "add", "b.test")
        b.admin("alias", "add", "bob@b.test", bob)
        letter = LETTER % b"three"
        with a.submit(alice) as s:
            s.sendmail(alice, ["bob@b.test"], letter)
        self.assertEqual(c.wait_for(bob, 1), 1)
        arrived = c.imap_letters(bob)[0]
        self.assertEqual(house.without_trace(arrived), letter)
        self.assertEqual(arrived.lower().count(b"\r\nreceived:"), 3)
        self.assertIn("relayed", {s["event"] for s in a.steps("<three@a.test>", "relayed")})
        self.assertIn("relayed", {s["event"] for s in b.steps("<three@a.test>", "relayed")})
        self.assertIn("delivered", {s["event"] for s in c.steps("<three@a.test>", "delivered")})
        for h in houses:
            self.assertEqual(h.stop(), 0)

    def test_undeliverable_comes_back(self):
        """A refused recipient gives the sender a report (RFC 3464)."""
        import email
        import email.policy
        a, b = houses = house.world("a.test", "b.test")
        alice = a.account("alice")
        b.account("bob")
        with a.submit(alice) as s:
            s.sendmail(alice, ["nobody@b.test"], LETTER % b"lost")
        self.assertEqual(a.wait_for(alice, 1), 1)
        report = email.message_from_bytes(a.imap_letters(alice)[0], policy=email.policy.default)
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report["Return-Path"], "<>")
        status = report.get_payload(1).get_payload()
        self.assertEqual(status[1]["Action"], "failed")
        self.assertTrue(status[1]["Status"].startswith("5.1.1"), status[1]["Status"])
        for h in houses:
            self.assertEqual(h.stop(), 0)


if __name__ == "__main__":
    unittest.main()
