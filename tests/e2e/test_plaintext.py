"""Passwords without TLS: never by default; with plaintext_login = "loopback" only where both ends are this machine's loopback."""
import base64
import imaplib
import poplib
import smtplib
import socket
import unittest

import house
from house import PORTS


def outer_address():
    """An address of this machine that is not loopback, or None. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError:
            return None


class Plaintext(unittest.TestCase):
    def a_house(self, **settings):
        self.house = house.House("a.test", **settings).start()
        self.addCleanup(self.house.kill)
        self.house.account("alice", "secret")

    def talk(self, service, *lines, source=None):
        """The answers of a service to these lines, sent one after the other in clear."""
        answers = []
        with socket.create_connection((self.house.ip, PORTS[service]), 30, source and (source, 0)) as c:
            f = c.makefile("rb")
            answers.append(f.readline())
            for line in lines:
                c.sendall(line + b"\r\n")
                answer = last = f.readline()
                while last[3:4] == b"-" or last.startswith(b"* "):
                    last = f.readline()
                    answer += last
                answers.append(answer)
        return answers

    def refused(self, source=None):
        plain = base64.b64encode(b"\0alice@a.test\0secret")
        greeting, login, authenticate = self.talk("imap", b"a LOGIN alice@a.test secret", b"b AUTHENTICATE PLAIN " + plain, source=source)
        self.assertIn(b"LOGINDISABLED", greeting)
        self.assertNotIn(b"AUTH=", greeting)
        self.assertTrue(login.startswith(b"a NO [PRIVACYREQUIRED]"), login)
        self.assertTrue(authenticate.startswith(b"b NO [PRIVACYREQUIRED]"), authenticate)
        _, user, password, auth = self.talk("pop3", b"USER alice@a.test", b"PASS secret", b"AUTH PLAIN " + plain, source=source)
        self.assertEqual([user[:4], password[:4], auth[:4]], [b"-ERR"] * 3)
        _, ehlo, auth = self.talk("submission", b"EHLO x.test", b"AUTH PLAIN " + plain, source=source)
        self.assertIn(b"STARTTLS", ehlo)
        self.assertNotIn(b"AUTH", ehlo)
        self.assertTrue(auth.startswith(b"538"), auth)

    def test_never_is_the_default(self):
        self.a_house()
        self.refused()

    def test_loopback(self):
        self.a_house(plaintext_login="loopback")
        m = imaplib.IMAP4(self.house.ip, PORTS["imap"])
        self.assertIn("AUTH=PLAIN", m.capabilities)
        self.assertNotIn("LOGINDISABLED", m.capabilities)
        m.login("alice@a.test", "secret")
        m.logout()
        p = poplib.POP3(self.house.ip, PORTS["pop3"])
        self.assertIn("USER", p.capa())
        p.user("alice@a.test")
        p.pass_("secret")
        p.quit()
        with smtplib.SMTP(self.house.ip, PORTS["submission"]) as s:
            s.login("alice@a.test", "secret")
        with self.assertRaises(imaplib.IMAP4.error):
            with imaplib.IMAP4(self.house.ip, PORTS["imap"]) as m:
                m.login("alice@a.test", "wrong")
        outer = outer_address()
        if not outer:
            self.skipTest("this machine has no other address to come from")
        self.refused(source=outer)  # one end is loopback, the other is not

    def test_other_words_are_no_setting(self):
        h = house.House("a.test", plaintext_login="always").start(wait=False)
        self.assertNotEqual(h.process.wait(30), 0)
        self.assertIn("plaintext_login", h.tail())


if __name__ == "__main__":
    unittest.main()
