"""Extensions of SMTP as a client meets them: raw dialogues, and swaks where it speaks them."""
import email
import email.policy
import smtplib
import sqlite3
import subprocess
import time
import unittest

import house
from house import PORTS
from wire import Wire

LMTP = 2424


class Extensions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        net = house.network()
        # b.test is a domain whose server is down: what goes there stays in the queue.
        cls.house = house.House(ip=net + ".1", zone=house.zone(("b.test", net + ".99")), retry_first="1h", sender_policy="header",
                                listen_lmtp=[f"{net}.1:{LMTP}"]).start()
        cls.alice, cls.bob = cls.house.account("alice"), cls.house.account("bob")

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def mx(self):
        w = Wire(self.house.ip)
        self.addCleanup(w.close)
        w.hello()
        return w

    def user(self):
        w = Wire(self.house.ip, "submissions", self.house.tls())
        self.addCleanup(w.close)
        w.hello()
        w.login(self.alice, self.house.passwords[self.alice])
        return w

    def swaks(self, *words, code=0):
        run = subprocess.run(["swaks", "--server", self.house.ip, "--from", "x@other.test", "--to", self.bob, "--timeout", "60", *words],
                             capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout

    def test_lmtp(self):
        """RFC 2033: LHLO, and one reply for each recipient that was taken; nobody but those who live here."""
        with smtplib.LMTP(self.house.ip, LMTP) as c:
            self.assertEqual(c.ehlo()[0], 250)
            self.assertEqual(c.docmd("HELO x.test")[0], 500)
            self.assertEqual(c.docmd("LHLO x.test")[0], 250)
            c.docmd("MAIL FROM:<x@other.test>")
            codes = [c.docmd(f"RCPT TO:<{to}>")[0] for to in (self.alice, "nobody@a.test", "who@else.test", self.bob)]
            self.assertEqual(codes, [250, 550, 550, 250])
            self.assertEqual(c.docmd("DATA")[0], 354)
            c.send(b"Subject: lmtp-mark\r\n\r\nx\r\n.\r\n")
            self.assertEqual([c.getreply()[0], c.getreply()[0]], [250, 250])
            self.assertEqual(c.docmd("NOOP")[0], 250)  # two replies, and not three
            c.docmd("MAIL FROM:<x@other.test>")
            for to in (self.alice, self.bob):
                self.assertEqual(c.docmd(f"RCPT TO:<{to}>")[0], 250)
            c.send(b"BDAT 4 LAST\r\na\rb\n")
            self.assertEqual([c.getreply()[0], c.getreply()[0]], [550, 550])
        for user in (self.alice, self.bob):
            self.assertIn(b"with LMTP", self.arrived(user, b"lmtp-mark"))
        self.assertIn("queued as", self.swaks("--protocol", "LMTP", "--port", str(LMTP)))

    def arrived(self, user, mark, seconds=90):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for raw in self.house.imap_letters(user):
                if mark in raw:
                    return raw
            time.sleep(0.1)
        self.fail(f"{mark} did not arrive")

    def test_chunks(self):
        w = self.mx()
        body = b"Subject: chunked\r\n\r\n.\r\n..\r\nQUIT\r\n"
        w.send(b"MAIL FROM:<x@other.test> BODY=8BITMIME\r\nRCPT TO:<alice@a.test>\r\nBDAT 10\r\n" + body[:10] + b"BDAT 3\r\n" + body[10:13]
               + f"BDAT {len(body) - 13} LAST\r\n".encode() + body[13:] + b"NOOP\r\n")
        self.assertEqual([w.reply()[0] for _ in range(6)], [250] * 6)
        self.assertTrue(self.arrived(self.alice, b"chunked").endswith(body))

    def test_a_large_chunk(self):
        w = self.mx()
        body = b"Subject: large chunk\r\n\r\n" + b"0123456789abcdef" * 4 * 40000 + b"\r\n"
        w.send(f"MAIL FROM:<> SIZE={len(body)}\r\nRCPT TO:<alice@a.test>\r\nBDAT {len(body)} LAST\r\n")
        w.send(body)
        self.assertEqual([w.reply()[0] for _ in range(3)], [250] * 3)
        self.assertTrue(self.arrived(self.alice, b"large chunk").endswith(body))

    def send_binary(self, w, body, pieces):
        w.send("MAIL FROM:<x@other.test> BODY=BINARYMIME\r\nRCPT TO:<alice@a.test>\r\nDATA\r\n")
        self.assertEqual([w.reply()[0] for _ in range(3)], [250, 250, 503])
        for at in range(0, len(body), pieces):
            piece = body[at:at + pieces]
            w.send(f"BDAT {len(piece)}{' LAST' if at + pieces >= len(body) else ''}\r\n".encode() + piece)
        return [w.reply() for _ in range(0, len(body), pieces)][-1]

    def test_binary_letters(self):
        """RFC 3030: any octets, small and large, in small and large chunks; mailboxes have text."""
        w = self.mx()
        for size, pieces in ((300, 1), (20000, 7000), (300000, 65536)):
            data = bytes(i * 7 % 256 for i in range(size)) + b"\r"
            body = (f"Subject: binary-{size}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                    "--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n").encode() + data + b"\r\n--b--\r\n"
            code, text = self.send_binary(w, body, pieces)
            self.assertEqual(code, 250, text)
            raw = self.arrived(self.alice, f"binary-{size}".encode())
            self.assertNotIn(b"\0", raw)
            letter = email.message_from_bytes(raw, policy=email.policy.default)
            self.assertEqual(letter.get_payload(1).get_content(), data)
            self.assertEqual(letter.get_payload(0).get_content(), "text")
            self.assertRegex(letter["Received"], text.split()[-1])  # the queue's id found its place
        self.assertEqual(self.send_binary(w, b"Subject: \0\r\n\r\nx\r\n", 100), (554, "5.6.3 It is binary where that cannot become text: send it as text"))

    def test_envelope_is_kept(self):
        w = self.user()
        w.send("MAIL FROM:<alice@a.test> RET=HDRS ENVID=a+2Bb\r\nRCPT TO:<x@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Other+40b.test\r\n"
               "RCPT TO:<bob@a.test> NOTIFY=NEVER\r\nDATA\r\n")
        self.assertEqual([w.reply()[0] for _ in range(4)], [250, 250, 250, 354])
        code, text = w.say("Subject: envelope\r\nTLS-Required: No\r\n\r\nx\r\n.")
        self.assertEqual(code, 250)
        self.house.steps(text.split()[-1], "deferred")
        db = sqlite3.connect(f"file:{self.house.data}/queue/queue.sqlite?mode=ro", uri=True)
        self.addCleanup(db.close)
        row = db.execute("SELECT letter.flags, envid, address, original, notify FROM letter JOIN rcpt USING (qid) WHERE dest = 'b.test'").fetchone()
        self.assertEqual((row[0] & (32 | 64), *row[1:]), (32 | 64, "a+b", "x@b.test", "rfc822;Other@b.test", 2 | 8))

    def letter(self, w, sender, to, body):
        self.assertEqual([w.code(f"MAIL FROM:<{sender}>"), w.code(f"RCPT TO:<{to}>"), w.code("DATA")], [250, 250, 354])
        return w.say(body + "\r\n.")

    def test_as_whom(self):
        w = self.user()
        for field, code in (("From: Bob <bob@a.test>", 550), ("From: alice+x@a.test\r\nSender: bob@a.test", 550), ("From: alice+x@a.test", 250),
                            ("From: =?utf-8?q?A?= <ALICE@a.test>", 250), ("From: a@a.test, " * 2000 + "x@y.test", 552), ("From: ", 250)):
            answer = self.letter(w, self.alice, self.bob, field + "\r\nSubject: as whom\r\n\r\nx")
            self.assertEqual(answer[0], code, (field[:40], answer))

    def test_where_addresses_lead(self):
        m = self.house.imap(self.bob)
        self.assertEqual(m.create("Lists")[0], "OK")
        self.house.admin("domain", "add", "old.test")
        self.house.admin("alias", "add", "@old.test", "@a.test")
        w = self.mx()
        for to, box in (("bob+lists@a.test", "Lists"), ("Bob+Lists@old.test", "Lists"), ("bob+sent@a.test", "INBOX"), ("bob+none@a.test", "INBOX")):
            code, text = self.letter(w, "x@other.test", to, f"Subject: to-{to}\r\n\r\nx")
            self.assertEqual(code, 250)
            self.house.steps(text.split()[-1], "delivered")
            letters = self.house.imap_letters(self.bob, box)
            self.assertTrue(any(f"to-{to}".encode() in raw for raw in letters), (to, box))
        w.code("MAIL FROM:<>")
        self.assertEqual(w.code("RCPT TO:<nobody@old.test>"), 550)
        m.logout()

    def test_swaks(self):
        for mark, words in {
            "swaks-plain": (),
            "swaks-pipelined": ("--pipeline",),
            "swaks-tls": ("--tls",),
            "swaks-login": ("--tls", "--auth", "LOGIN", "--auth-user", self.alice, "--auth-password", self.house.passwords[self.alice], "--from",
                            self.alice, "--port", PORTS["submission"]),
            "swaks-implicit": ("--tlsc", "--auth", "PLAIN", "--auth-user", self.alice, "--auth-password", self.house.passwords[self.alice], "--from",
                               self.alice, "--port", PORTS["submissions"]),
        }.items():
            port = () if "--port" in words else ("--port", PORTS["mx"])
            self.swaks(*map(str, words + port), "--header", f"Subject: {mark}")
            self.arrived(self.bob, mark.encode())
        self.swaks("--port", str(PORTS["mx"]), "--to", "nobody@a.test", code=24)


class Limits(unittest.TestCase):
    """A house that exempts nobody: the limits are met over loopback."""

    def house(self, **settings):
        h = house.House(limits_exempt=["192.0.2.1"], **settings).start()
        self.addCleanup(h.stop)
        h.account("alice")
        return h

    def wire(self, h, hello=True):
        w = Wire(h.ip)
        self.addCleanup(w.close)
        if hello:
            w.hello()
        return w

    def test_rates_and_bans(self):
        h = self.house(mx_processes=1, rate_letters=2, rate_recipients=4, rate_errors=6)
        w = self.wire(h)
        for _ in range(2):
            self.assertEqual(w.code("MAIL FROM:<>"), 250)
            self.assertEqual([w.code("RCPT TO:<alice@a.test>"), w.code("RCPT TO:<alice@a.test>"), w.code("RSET")], [250, 250, 250])
        self.assertEqual(w.say("MAIL FROM:<>")[1][:5], "4.7.1")
        for _ in range(8):
            self.assertEqual(w.code("WHAT"), 500)
        self.assertEqual(w.code("QUIT"), 221)
        deadline = time.monotonic() + 60
        while (answer := self.wire(h, False).reply())[0] == 220 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual((answer[0], answer[1][:5]), (421, "4.7.0"))
        self.assertEqual(h.imap_letters("alice@a.test"), [])  # another process counts for itself

    def test_who_speaks_for_others(self):
        """A balancer with the PROXY protocol, then trusted programs with XCLIENT and XFORWARD."""
        h = self.house(proxy_from=["127.0.0.0/8"])
        for version, words in (("1", ()), ("2", ("--tls",))):
            subprocess.run(["swaks", "--server", h.ip, "--port", str(PORTS["mx"]), "--from", "x@other.test", "--to", "alice@a.test", "--proxy-version", version,
                            "--proxy-family", "TCP4" if version == "1" else "AF_INET", "--proxy-source", f"203.0.113.{version}", "--proxy-source-port", "4242",
                            "--proxy-dest", "192.0.2.9", "--proxy-dest-port", "25", *(("--proxy-protocol", "STREAM", "--proxy-command", "PROXY") if version == "2" else ()),
                            *words], check=True, capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
        w = self.wire(h, False)
        w.send("EHLO no.header\r\n")
        try:
            self.assertEqual(w.reply(), (0, ""))
        except ConnectionResetError:
            pass
        h.stop()
        h.settings.update(proxy_from=[], xclient_from=["127.0.0.0/8"])
        h.start()
        w = self.wire(h)
        self.assertEqual(w.code("XCLIENT ADDR=203.0.113.3 PORT=77 NAME=client.test HELO=ignored"), 220)
        self.assertEqual(w.code("MAIL FROM:<>"), 503)
        self.assertIn("XFORWARD NAME ADDR", w.say("EHLO third.test")[1])
        self.assertEqual(w.code("XFORWARD NAME=origin.test ADDR=198.51.100.7"), 250)
        self.assertEqual([w.code("MAIL FROM:<>"), w.code("RCPT TO:<alice@a.test>"), w.code("DATA")], [250, 250, 354])
        text = w.say("Subject: third\r\n\r\nx\r\n.")[1]
        steps = str(h.steps(text.split()[-1], "delivered"))
        self.assertIn("third.test [203.0.113.3:77]", steps)
        self.assertIn("forwarded for NAME=origin.test ADDR=198.51.100.7", steps)
        subprocess.run(["swaks", "--server", h.ip, "--port", str(PORTS["mx"]), "--from", "x@other.test", "--to", "alice@a.test", "--xclient-addr", "203.0.113.4",
                        "--xclient-name", "client.test"], check=True, capture_output=True, timeout=300, stdin=subprocess.DEVNULL)
        h.wait_for("alice@a.test", 4)
        letters = b"".join(h.imap_letters("alice@a.test"))
        for n in (1, 2, 3, 4):
            self.assertIn(b"([203.0.113.%d])" % n, letters)

    def test_stages(self):
        h = self.house(greeting_delay="1s", bare_newlines="keep")
        w = self.wire(h, False)
        w.send("EHLO early.test\r\n")
        self.assertEqual(w.reply()[0], 554)
        w = self.wire(h, False)
        self.assertEqual(w.reply()[0], 220)
        self.assertEqual(w.code("EHLO mx.a.test"), 250)
        self.assertEqual(w.say("MAIL FROM:<>")[1], "5.7.1 You greet with the name of this server")
        self.assertEqual([w.code("EHLO other.test"), w.code("MAIL FROM:<>"), w.code("RCPT TO:<alice@a.test>"), w.code("DATA")], [250, 250, 250, 354])
        code, text = w.say("From: a@x.test\r\nFrom: b@x.test\r\nMessage-ID: <two@x.test>\r\n\r\nbare\nx\r\n.")
        self.assertEqual(code, 250)
        steps = h.steps(text.split()[-1], "delivered")
        self.assertIn("quarantined by one-from", str(steps))
        self.assertEqual(len(h.imap_letters("alice@a.test", "Junk")), 1)


if __name__ == "__main__":
    unittest.main()
