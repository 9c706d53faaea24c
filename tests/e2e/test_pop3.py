"""POP3 as poplib sees it: locking, deletion, stable unique-ids, large letters, pipelining, and processes that die under a session."""
import os
import poplib
import signal
import smtplib
import socket
import time
import unittest

import house
from house import PORTS


class Pop3(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test").start()
        cls.alice = cls.house.account("alice")

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def mailbox(self, name, *letters):
        """A new account that holds these letters."""
        user = self.house.account(name)
        with self.house.submit(self.alice) as s:
            for letter in letters:
                s.sendmail(self.alice, [user], letter)
        self.house.wait_for(user, len(letters))
        return user

    def until(self, attempt, seconds=90):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return attempt()
            except (OSError, EOFError, poplib.error_proto):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def test_deletion_and_unique_ids(self):
        user = self.mailbox("dele", *(b"Subject: %d\r\n\r\nx\r\n" % i for i in range(5)))
        p = self.house.pop3(user)
        ids = [line.split()[1] for line in p.uidl()[1]]
        self.assertEqual(len(set(ids)), 5)
        p.dele(2)
        p.dele(4)
        p.rset()
        p.dele(1)
        p.dele(3)
        with self.assertRaises(poplib.error_proto):
            p.retr(3)
        p.close()  # without QUIT nothing is removed (RFC 1939 6)
        p = self.until(lambda: self.house.pop3(user))
        self.assertEqual(p.stat()[0], 5)
        p.dele(1)
        p.dele(3)
        p.quit()
        p = self.house.pop3(user)  # at once: QUIT has given the lock back
        self.assertEqual([line.split()[1] for line in p.uidl()[1]], [ids[1], ids[3], ids[4]])
        self.assertEqual(p.top(1, 0)[1][-1], b"")
        p.quit()

    def test_one_session_an_account(self):
        user = self.mailbox("lock", b"Subject: x\r\n\r\n")
        p = self.house.pop3(user)
        with self.assertRaisesRegex(poplib.error_proto, r"\[IN-USE\]"):
            self.house.pop3(user)
        self.assertEqual(p.noop(), b"+OK")
        p.quit()
        self.house.pop3(user).quit()

    def test_large_letter(self):
        line = b"." + b"0123456789" * 7 + b"\r\n"
        letter = b"Subject: large\r\n\r\n" + line * 200000
        user = self.mailbox("large", letter)
        p = self.house.pop3(user)
        got = b"\r\n".join(p.retr(1)[1]) + b"\r\n"
        self.assertEqual(len(got), int(p.list(1).split()[2]))
        self.assertTrue(got.endswith(letter.split(b"\r\n", 1)[1]))
        p.quit()

    def test_pipelining(self):
        user = self.mailbox("pipe", b"Subject: 1\r\n\r\none\r\n", b"Subject: 2\r\n\r\ntwo\r\n")
        with socket.create_connection((self.house.ip, PORTS["pop3s"]), 60) as plain, self.house.tls().wrap_socket(plain) as s:
            s.sendall(b"CAPA\r\nUSER %b\r\nPASS %b\r\nSTAT\r\nRETR 1\r\nTOP 2 0\r\nDELE 1\r\nLIST\r\nQUIT\r\n" % (
                user.encode(), self.house.passwords[user].encode()))
            got = b""
            while chunk := s.recv(65536):
                got += chunk
        self.assertEqual(got.count(b"+OK"), 10)
        self.assertIn(b"\r\none\r\n.\r\n", got)
        self.assertNotIn(b"\r\ntwo\r\n", got)

    def requests(self):
        """How many messages the access processes have sent to others until now."""
        return sum(p["counters"]["messages_out"] for p in self.house.status()["processes"] if p["process"].startswith("access"))

    def test_letters_one_after_the_other_are_asked_for_in_pages(self):
        """To the last one, wherever a page ends: how many are asked for at a time is the server's."""
        user = self.house.account("pages")
        box = self.house.imap(user)
        box.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for count in (1, 2, 9, 10, 300):
            box.select()
            for n in range(int(box.select()[1][0]), count):
                box.append("INBOX", None, None, b"Subject: %d\r\n\r\ntext\r\n" % n)
            p = self.until(lambda: self.house.pop3(user))
            before = self.requests()
            for n in range(count):
                self.assertEqual(p.retr(n + 1)[1][0], b"Subject: %d" % n)
            self.assertLess(self.requests() - before, 2 + count.bit_length() + 10)
            p.quit()
        box.logout()

    def test_no_password_in_the_clear(self):
        p = poplib.POP3(self.house.ip, PORTS["pop3"], timeout=60)
        self.assertIn("STLS", p.capa())
        self.assertNotIn("USER", p.capa())
        with self.assertRaises(poplib.error_proto):
            p.user(self.alice)
        p.stls(context=self.house.tls())
        self.assertIn("PLAIN", p.capa()["SASL"])
        p.user(self.alice)
        p.pass_(self.house.passwords[self.alice])
        p.quit()

    def test_processes_that_die(self):
        user = self.mailbox("dies", b"Subject: x\r\n\r\nx\r\n")
        for role in ("store", "keeper", "access", "queue"):
            p = self.house.pop3(user)
            p.dele(1)
            os.kill(self.house.children()[role], signal.SIGKILL)
            try:
                p.noop()
                p.close()
            except (OSError, EOFError, poplib.error_proto):
                pass
            p = self.until(lambda: self.house.pop3(user))
            self.assertEqual(p.stat()[0], 1, role)
            p.quit()

    def test_removed_account_is_put_out(self):
        user = self.mailbox("gone", b"Subject: x\r\n\r\n")
        p = self.house.pop3(user)
        self.house.admin("account", "remove", user, "--erase")
        deadline = time.monotonic() + 90
        with self.assertRaises((OSError, EOFError, poplib.error_proto)):
            while time.monotonic() < deadline:
                p.noop()
                time.sleep(0.05)
        with self.assertRaises(poplib.error_proto):
            self.house.pop3(user)
        with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
            s.ehlo()
            s.mail("x@elsewhere.test")
            self.assertEqual(s.rcpt(user)[0], 550)


if __name__ == "__main__":
    unittest.main()
