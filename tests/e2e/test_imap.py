"""IMAP sessions with a real store behind them, asked by Python's imaplib and by raw lines."""
import imaplib
import select
import socket
import ssl
import time
import unittest

import house

LETTER = (b"From: Al <al@a.test>\r\nTo: Bob <bob@b.test>\r\nSubject: =?utf-8?q?caf=C3=A9_time?=\r\nMessage-ID: <x1@a>\r\n"
          b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\npre\r\n--bb\r\n"
          b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nSGVsbG8gV29ybGQgw4kK\r\n--bb\r\n"
          b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: x@y\r\n\r\ninner body\r\n--bb--\r\n")
BIG = b"Subject: big\r\nMessage-ID: <big@a>\r\n\r\n" + (b"y" * 70 + b"\r\n") * 20000


class Imap(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House().start()

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def setUp(self):
        self.user = self.house.account("u" + self._testMethodName[5:].replace("_", ""))
        self.m = self.connect()
        self.m.select("INBOX")

    def tearDown(self):
        self.m.logout()

    def connect(self):
        return self.house.imap(self.user)

    def ok(self, answer):
        self.assertEqual(answer[0], "OK", answer)
        return answer[1]

    def fetch(self, number, items):
        return self.ok(self.m.fetch(number, items))

    def test_sections(self):
        self.ok(self.m.append("INBOX", r"(\Flagged $x)", imaplib.Time2Internaldate(800000000), LETTER))
        rows = {
            "BODY.PEEK[]": LETTER,
            "BODY.PEEK[1]": b"SGVsbG8gV29ybGQgw4kK",
            "BODY.PEEK[1.MIME]": b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            "BODY.PEEK[2]": b"Subject: inner\r\nFrom: x@y\r\n\r\ninner body",
            "BODY.PEEK[2.HEADER]": b"Subject: inner\r\nFrom: x@y\r\n\r\n",
            "BODY.PEEK[2.TEXT]": b"inner body",
            "BODY.PEEK[2.1]": b"inner body",
            "BODY.PEEK[TEXT]<0.10>": b"pre\r\n--bb\r",
            "BODY.PEEK[TEXT]<100000.10>": b"",
            "BODY.PEEK[HEADER.FIELDS (subject FROM x-none)]": b"From: Al <al@a.test>\r\nSubject: =?utf-8?q?caf=C3=A9_time?=\r\n\r\n",
            "BODY.PEEK[2.HEADER.FIELDS.NOT (subject)]": b"From: x@y\r\n\r\n",
            "RFC822.HEADER": LETTER[:LETTER.index(b"\r\n\r\n") + 4],
        }
        for items, want in rows.items():
            self.assertEqual(self.fetch("1", items)[0][1], want, items)
        for items in ("BODY.PEEK[9]", "BODY.PEEK[1.HEADER]", "BODY.PEEK[2.1.1]"):
            self.assertIn(b" NIL)", self.fetch("1", items)[0])
        self.assertEqual(self.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE)"),
                         [b'1 (FLAGS (\\Flagged \\Recent $x) INTERNALDATE "09-May-1995 06:13:20 +0000" RFC822.SIZE 402)'])
        self.assertIn(b'("text" "plain" ("charset" "utf-8") NIL NIL "base64" 20 0 NIL NIL NIL NIL)("message" "rfc822" NIL NIL NIL "7bit" 39 '
                      b'(NIL "inner" ((NIL NIL "x" "y"))', self.fetch("1", "BODYSTRUCTURE")[0])
        self.assertEqual(self.fetch("1", "BODY[]")[0][1], LETTER)
        self.assertIn(b"\\Seen", self.fetch("1", "FLAGS")[0])

    def test_large(self):
        self.ok(self.m.append("INBOX", None, None, BIG))
        self.assertEqual(self.fetch("1", "(BODY[] BODY[TEXT] FLAGS)")[0][1], BIG)
        self.assertEqual(self.fetch("1", "BODY.PEEK[]<1000000.7>")[0][1], BIG[1000000:1000007])
        self.assertEqual(self.ok(self.m.search(None, "BODY", "yyyy")), [b"1"])

    def test_search(self):
        for letter, flags in ((LETTER, r"(\Flagged $x)"), (b"Subject: big\r\nMessage-ID: <b@a>\r\n\r\nnothing\r\n", r"(\Seen)")):
            self.ok(self.m.append("INBOX", flags, imaplib.Time2Internaldate(800000000), letter))
        rows = {"ALL": b"1 2", 'SUBJECT "CAF\xc9"': b"1", 'FROM "AL@"': b"1", "TO bob": b"1", 'BODY "world \xe9"': b"1", "TEXT inner": b"1",
                "BODY cafe": b"", "SEEN": b"2", "KEYWORD $X": b"1", "LARGER 100": b"1", "SINCE 9-May-1995": b"1 2", "BEFORE 9-May-1995": b"",
                "ON 9-May-1995": b"1 2", "SENTON 7-Feb-1994": b"1", "OR SUBJECT big FLAGGED": b"1 2", "NOT (FLAGGED TEXT inner)": b"2",
                "HEADER Message-ID <b@a>": b"2", 'HEADER To ""': b"1", "UID 2:*": b"2", "2,9": b"2", "RECENT": b"1 2", "NEW": b"1"}
        for query, want in rows.items():
            found = self.m.search("UTF-8", query.encode()) if not query.isascii() else self.m.search(None, query)
            self.assertEqual(self.ok(found), [want], query)
        self.assertEqual(self.m.search("KLINGON-8", "ALL")[0], "NO")

    def test_copy_move_expunge(self):
        for _ in range(4):
            self.ok(self.m.append("INBOX", None, None, LETTER))
        self.assertIn(b"TRYCREATE", self.m.copy("1", "Nowhere")[1][0])
        self.ok(self.m.create("Work/Proj"))
        self.assertRegex(self.ok(self.m.copy("1:2", "Work/Proj"))[0], rb"COPYUID \d+ 1:2 1:2")
        self.ok(self.m.uid("MOVE", "2", "Work"))
        self.ok(self.m.store("1,3", "+FLAGS.SILENT", r"(\Deleted)"))
        self.assertEqual(self.ok(self.m.uid("EXPUNGE", "1"))[0], None)
        self.assertEqual(self.ok(self.m.uid("SEARCH", "ALL")), [b"3 4"])
        self.m.response("EXPUNGE")
        self.assertEqual(self.ok(self.m.expunge()), [b"2"])
        self.assertEqual(self.ok(self.m.uid("SEARCH", "ALL")), [b"3"])
        self.assertEqual(self.ok(self.m.status("Work", "(MESSAGES UIDNEXT)")), [b"Work (MESSAGES 1 UIDNEXT 2)"])

    def test_mailboxes(self):
        self.ok(self.m.create("Entw&APw-rfe/a"))
        self.ok(self.m.subscribe("Entw&APw-rfe/a"))
        self.assertIn(b'(\\Noselect) "/" Entw&APw-rfe', self.ok(self.m.lsub('""', "%")))
        self.assertIn(b'(\\HasChildren) "/" Entw&APw-rfe', self.ok(self.m.list('""', "%")))
        self.ok(self.m.rename("Entw&APw-rfe", '"b c"'))
        self.assertEqual(self.ok(self.m.list('"b c/"', "%")), [b'(\\HasNoChildren) "/" "b c/a"'])
        self.ok(self.m.delete('"b c/a"'))
        self.assertEqual(self.m.delete("INBOX")[0], "NO")
        self.assertEqual(self.m.select('"b c/a"')[0], "NO")
        self.assertEqual(self.m.state, "AUTH")

    def test_two_sessions(self):
        other = self.connect()
        other.select("INBOX")
        for _ in range(3):
            self.ok(self.m.append("INBOX", None, None, LETTER))
        self.ok(other.noop())
        self.assertEqual(other.response("EXISTS")[1][-1], b"3")
        self.m.send(b"i IDLE\r\n")
        self.assertTrue(self.m.readline().startswith(b"+"))
        self.ok(other.store("2", "+FLAGS", r"(\Deleted)"))
        self.assertIn(b"* 2 FETCH (UID 2 FLAGS (\\Deleted", self.m.readline())
        self.ok(other.expunge())
        self.assertEqual(self.m.readline(), b"* 2 EXPUNGE\r\n")
        self.m.send(b"DONE\r\n")
        self.assertTrue(self.m.readline().startswith(b"i OK"))
        # No EXPUNGE during FETCH by sequence number; the next NOOP tells it.
        self.ok(self.m.store("1", "+FLAGS", r"(\Deleted)"))
        self.ok(self.m.expunge())
        other.response("EXPUNGE")
        self.ok(other.fetch("1:2", "(UID)"))
        self.assertEqual(other.response("EXPUNGE")[1], [None])
        self.ok(other.noop())
        self.assertEqual(other.response("EXPUNGE")[1], [b"1"])
        other.logout()

    def test_ten_thousand_pipelined_commands(self):
        """All are answered, in order, however little the client reads before it has sent the last."""
        count = 10000
        unsent, got = b"".join(b"p%d NOOP\r\n" % i for i in range(count)), b""
        sock = self.m.sock
        sock.setblocking(False)  # one thread for both directions: a TLS connection is not made for two
        while got.count(b"\r\n") < count:
            sent = received = 0
            try:
                sent = sock.send(unsent[:65536]) if unsent else 0
                unsent = unsent[sent:]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            try:
                more = b"" if sent else sock.recv(65536)
                self.assertTrue(more or sent, "closed after %r" % got[-100:])
                got, received = got + more, len(more)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            if not sent and not received:
                ready = select.select([sock], [sock] if unsent else [], [], 90)
                self.assertNotEqual(ready[:2], ([], []), "no answer after %r" % got[-100:])
        self.assertEqual(got, b"".join(b"p%d OK Done.\r\n" % i for i in range(count)))
        sock.settimeout(60)

    def test_examined_mailboxes_do_not_change(self):
        self.ok(self.m.append("INBOX", None, None, LETTER))
        self.ok(self.m.select("INBOX", True))
        self.fetch("1", "BODY[]")
        self.assertNotIn(b"Seen", self.fetch("1", "FLAGS")[0])
        self.assertEqual(self.m.uid("STORE", "1", "FLAGS", r"(\Seen)")[0], "NO")

    def test_slow_reader(self):
        """A client that asks for much and does not read costs the server little, and gets it all in the end."""
        self.ok(self.m.append("INBOX", None, None, BIG))
        self.m.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
        for i in range(20):
            self.m.send(b"s%d FETCH 1 BODY.PEEK[]\r\n" % i)
        time.sleep(0.5)
        got = 0
        for i in range(20):
            while not (line := self.m.readline()).startswith(b"s%d OK" % i):
                got += len(line)
        self.assertGreater(got, 20 * len(BIG))


if __name__ == "__main__":
    unittest.main()
