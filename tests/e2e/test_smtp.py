"""SMTP as strangers and users meet it: raw dialogues against mx and submission."""
import base64
import os
import signal
import socket
import time
import unittest
from collections import Counter

import house
from wire import Wire


class Smtp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House(max_message_size="100K", max_connections_per_address=40, session_timeout="20s").start()
        cls.alice, cls.bob = cls.house.account("alice"), cls.house.account("bob")

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def mx(self):
        w = Wire(self.house.ip)
        self.addCleanup(w.close)
        w.hello()
        return w

    def user(self, name=None, service="submission"):
        w = Wire(self.house.ip, service, self.house.tls() if service == "submissions" else None)
        self.addCleanup(w.close)
        w.hello()
        if service == "submission":
            w.starttls(self.house.tls())
            w.say("EHLO client.test")
        if name:
            secret = base64.b64encode(f"\0{name}\0{self.house.passwords[name]}".encode()).decode()
            self.assertEqual(w.code("AUTH PLAIN " + secret), 235)
        return w

    def letter(self, w, body, sender="x@other.test", to=None):
        self.assertEqual(w.code(f"MAIL FROM:<{sender}>"), 250)
        self.assertEqual(w.code(f"RCPT TO:<{to or self.alice}>"), 250)
        self.assertEqual(w.code("DATA"), 354)
        w.send(body)
        return w.reply()

    def test_never_an_open_relay(self):
        w = self.mx()
        self.assertEqual(w.code("MAIL FROM:<x@other.test>"), 250)
        for to in ("y@foreign.test", "y%foreign.test@other.test", "@a.test:y@foreign.test", '"y@foreign.test"@other.test', "y@[127.0.0.1]"):
            self.assertEqual(w.code(f"RCPT TO:<{to}>"), 550, to)
        self.assertTrue(w.say("RCPT TO:<nobody@a.test>")[1].startswith("5.1.1"))
        self.assertTrue(w.say("RCPT TO:<y@foreign.test>")[1].startswith("5.7.1"))
        self.assertEqual(w.code("DATA"), 554)

    def test_smuggling(self):
        for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r\n\x00.\r\n"):
            w = self.mx()
            inner = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\nsmuggled\r\n"
            code, text = self.letter(w, b"Subject: outer\r\n\r\nx" + end + inner + b".\r\n")
            if b"\x00" in end:
                self.assertEqual(code, 250)
            else:
                self.assertEqual((code, text[:5]), (550, "5.6.0"), end)
            self.assertEqual(w.code("NOOP"), 250)  # one answer and no more

    def test_pipelined_in_one_packet(self):
        w = Wire(self.house.ip)
        self.addCleanup(w.close)
        w.send("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<alice@a.test>\r\nRCPT TO:<nobody@a.test>\r\nRCPT TO:<bob@a.test>\r\nDATA\r\n"
               "Subject: pipelined\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n")
        self.assertEqual([w.reply()[0] for _ in range(11)], [220, 250, 250, 250, 550, 250, 354, 250, 250, 250, 221])
        self.assertEqual(w.reply(), (0, ""))

    def test_half_closed(self):
        w = Wire(self.house.ip)
        self.addCleanup(w.close)
        w.send("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\nSubject: half\r\n\r\nx\r\n.\r\n")
        w.socket.shutdown(socket.SHUT_WR)
        self.assertEqual([w.reply()[0] for _ in range(6)], [220, 250, 250, 250, 354, 250])

    def test_loop(self):
        w = self.mx()
        code, text = self.letter(w, "Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000\r\n" * 60 + "Subject: loop\r\n\r\nx\r\n.\r\n")
        self.assertEqual((code, text[:5]), (554, "5.4.6"))

    def test_size(self):
        w = self.mx()
        self.assertEqual(w.code("MAIL FROM:<x@other.test> SIZE=200000"), 552)
        code, _ = self.letter(w, "Subject: big\r\n\r\n" + "x" * 70 * 1500 + "\r\n.\r\n")
        self.assertEqual(code, 552)
        sizes = (2000, 4096, 20000, 60000, 65000, 65536, 66000, 90000)  # as it is, packed, and in a memory file
        letters = {size: f"Subject: {size}\r\n\r\n" + "".join(f"{size} line {i} " + "x" * (i % 50) + "\r\n" for i in range(size // 40)) for size in sizes}
        for letter in letters.values():
            code, text = self.letter(w, letter + ".\r\n")
            self.assertEqual(code, 250, text)
        self.house.wait_for(self.alice, len(sizes))
        kept = b"\0".join(self.house.imap_letters(self.alice)) + b"\0"
        for size, letter in letters.items():
            self.assertIn(letter.encode() + b"\0", kept, size)

    def test_letters_share_a_room(self):
        small = house.House("c.test", house.network() + ".1", mx_processes=1, max_message_size="400K", max_letters_memory="800K").start()
        self.addCleanup(small.stop)
        to = small.account("carol")
        open_ones = []
        for i in range(3):  # each is large enough, all three together are too large
            w = Wire(small.ip)
            self.addCleanup(w.close)
            w.hello()
            self.assertEqual([w.code(c) for c in ("MAIL FROM:<>", f"RCPT TO:<{to}>", "DATA")], [250, 250, 354])
            w.send("Subject: x\r\n\r\n" + ("y" * 78 + "\r\n") * 4000)
            w.send("z\r\n")
            open_ones.append(w)
        late = Wire(small.ip)
        self.addCleanup(late.close)
        late.hello()
        deadline = time.monotonic() + 90
        while late.code("MAIL FROM:<> SIZE=350000") == 250 and time.monotonic() < deadline:
            late.code("RSET")
            time.sleep(0.2)
        code, text = late.say("MAIL FROM:<> SIZE=350000")
        self.assertEqual((code, text[:5]), (452, "4.3.1"))
        answers = Counter((code, text[:5]) for code, text in map(lambda w: w.say("."), open_ones))
        self.assertEqual((answers[250, "2.0.0"], answers[452, "4.3.1"]), (2, 1), answers)
        self.assertEqual(late.code("MAIL FROM:<> SIZE=350000"), 250)  # and it was given back

    def test_nothing_behind_starttls(self):
        w = self.mx()
        w.send("STARTTLS\r\nMAIL FROM:<evil@a.test>\r\n")
        self.assertEqual(w.reply()[0], 554)
        self.assertEqual(w.reply(), (0, ""))

    def test_limits(self):
        w = self.mx()
        answers = [w.code("NONSENSE") for _ in range(20)]
        self.assertEqual(set(answers), {500})
        w.send("NONSENSE\r\n")
        self.assertEqual([w.reply()[0], w.reply()[0]], [500, 421])
        w = Wire(self.house.ip)
        self.addCleanup(w.close)
        w.reply()
        self.assertEqual(w.code("GET / HTTP/1.1"), 500)
        self.assertEqual(w.reply(), (0, ""))

    def greetings(self, ip):
        wires = [Wire(ip) for _ in range(41)]
        for w in wires:
            self.addCleanup(w.close)
        return [w.reply()[0] for w in wires]

    def test_too_many_from_one_address(self):
        strict = house.House("d.test", house.network() + ".1", mx_processes=1, max_connections_per_address=40, limits_exempt=[]).start()
        self.addCleanup(strict.stop)
        self.assertEqual(self.greetings(strict.ip), [220] * 40 + [421])
        self.assertEqual(self.greetings(self.house.ip), [220] * 41)  # this machine is exempt

    def test_submission_needs_tls_and_a_login(self):
        w = Wire(self.house.ip, "submission")
        self.addCleanup(w.close)
        self.assertNotIn("AUTH", w.hello()[1])
        self.assertEqual(w.code("AUTH PLAIN AGEAYg=="), 538)
        self.assertEqual(w.code("MAIL FROM:<alice@a.test>"), 530)
        w.starttls(self.house.tls())
        self.assertEqual(w.code("MAIL FROM:<alice@a.test>"), 503)
        self.assertIn(" PLAIN LOGIN", w.say("EHLO client.test")[1])
        self.assertEqual(w.code("MAIL FROM:<alice@a.test>"), 530)
        self.assertEqual(w.code("XTRACE <x@y>"), 530)

    def test_submission_sender(self):
        for service in ("submission", "submissions"):
            w = self.user(self.alice, service)
            self.assertEqual(w.say(f"MAIL FROM:<{self.bob}>")[1][:5], "5.7.1")
            code, text = self.letter(w, "Subject: mine\r\n\r\nx\r\n.\r\n", self.alice, self.bob)
            self.assertEqual((code, text[:24]), (250, "2.0.0 Ok: queued as " + text[20:24]))

    def test_submission_hides_bcc(self):
        w = self.user(self.alice)
        code, _ = self.letter(w, "Subject: hidden\r\nBcc: secret@a.test,\r\n\tother@a.test\r\nTo: x@y.test\r\n\r\nBcc: body\r\n.\r\n", self.alice, self.bob)
        self.assertEqual(code, 250)
        raw = self.wait_for_letter(b"Subject: hidden")
        self.assertNotIn(b"secret", raw)
        self.assertTrue(raw.endswith(b"Subject: hidden\r\nTo: x@y.test\r\n\r\nBcc: body\r\n"), raw)

    def test_wrong_passwords(self):
        w = self.user()
        wrong = base64.b64encode(b"\0alice@a.test\0wrong").decode()
        for _ in range(4):
            self.assertEqual(w.code("AUTH PLAIN " + wrong), 535)
        w.send(f"AUTH PLAIN {wrong}\r\n")
        self.assertEqual([w.reply()[0], w.reply()[0]], [535, 421])

    def test_what_is_stored(self):
        w = self.user(self.alice)
        body = "Subject: trace me\r\nX-Odd:   kept  as it is \r\n\r\n..dots\r\nline\r\n"
        code, text = self.letter(w, body + ".\r\n", self.alice, self.bob)
        self.assertEqual(code, 250)
        qid = text.split()[-1]
        raw = self.wait_for_letter(b"trace me")
        self.assertTrue(raw.endswith(body.replace("..dots", ".dots").encode()), raw)
        head = raw[:-len(body) + 1].decode()
        self.assertTrue(head.startswith("Return-Path: <alice@a.test>\r\nReceived: from client.test ([127."), head)
        for part in ("with ESMTPSA", "TLSv1.3 TLS_", f"id {qid}", "for <bob@a.test>;", "\r\nDate: ", "\r\nMessage-ID: <"):
            self.assertIn(part, head)

    def wait_for_letter(self, mark, seconds=90):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for raw in self.house.imap_letters(self.bob):
                if mark in raw:
                    return raw
            time.sleep(0.1)
        self.fail("it did not arrive")

    def test_zz_parts_that_die(self):
        """Keeper and queue are killed under a session: a temporary failure, and then it works again."""
        for role, line in (("keeper", "RCPT TO:<alice@a.test>"), ("queue", "DATA")):
            w = self.mx()
            w.code("MAIL FROM:<x@other.test>")
            if role == "queue":
                self.assertEqual(w.code("RCPT TO:<alice@a.test>"), 250)
            pid = self.house.children()[role]
            os.kill(pid, signal.SIGSTOP)
            w.send(line + "\r\n" + ("Subject: x\r\n\r\nx\r\n.\r\n" if role == "queue" else ""))
            if role == "queue":
                self.assertEqual(w.reply()[0], 354)
            time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)
            code, text = w.reply()
            self.assertEqual((code, text[:5]), (451, "4.3.2"))
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline:
                w.code("RSET")
                w.code("MAIL FROM:<x@other.test>")
                if w.code("RCPT TO:<alice@a.test>") == 250 and w.code("DATA") == 354:
                    break
                time.sleep(0.1)
            w.send("Subject: again\r\n\r\nx\r\n.\r\n")
            self.assertEqual(w.reply()[0], 250, role)


if __name__ == "__main__":
    unittest.main()
