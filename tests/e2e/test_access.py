"""Logins: every SASL mechanism against foreign and our own clients, app passwords, bans, limits of an account."""
import base64
import hashlib
import hmac
import imaplib
import os
import poplib
import smtplib
import socket
import ssl
import subprocess
import time
import unittest

import house
from house import PORTS

PASSWORD = "correct horse battery"
ALL = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN")


def b64(data):
    return base64.b64encode(data)


class Wire:
    """One connection inside TLS to one of the three protocols, as far as logins go."""

    def __init__(self, ip, protocol, version=None):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.maximum_version = version
        self.protocol = protocol
        port = PORTS[{"imap": "imaps", "pop3": "pop3s", "smtp": "submissions"}[protocol]]
        self.sock = context.wrap_socket(socket.create_connection((ip, port), 90))
        self.file = self.sock.makefile("rb")
        self.line()
        if protocol == "smtp":
            self.offered = self.ask(b"EHLO x.test", b"250 ")
        else:
            self.offered = self.ask(b"c CAPABILITY" if protocol == "imap" else b"CAPA", b"c " if protocol == "imap" else b".")

    def line(self):
        return self.file.readline().rstrip(b"\r\n")

    def ask(self, line, end):
        self.sock.sendall(line + b"\r\n")
        lines = [self.line()]
        while not lines[-1].startswith(end):
            if not lines[-1]:
                raise EOFError(lines)
            lines.append(self.line())
        return b"\n".join(lines)

    def auth(self, mechanism, steps):
        """Answers challenges by what `steps` yields; the server's last line."""
        self.sock.sendall({"imap": b"a AUTHENTICATE ", "pop3": b"AUTH ", "smtp": b"AUTH "}[self.protocol] + mechanism.encode() + b"\r\n")
        answer = next(steps)
        while True:
            line = self.line()
            more = {"imap": b"+ ", "pop3": b"+ ", "smtp": b"334 "}[self.protocol]
            if not line.startswith(more) and line != more.strip():
                return line
            challenge = base64.b64decode(line[len(more):])
            if answer is None:
                answer = steps.send(challenge)
            self.sock.sendall(b64(answer) + b"\r\n")
            answer = None

    def is_in(self, line):
        return line.startswith({"imap": b"a OK", "pop3": b"+OK", "smtp": b"235"}[self.protocol])

    def quit(self):
        self.sock.sendall({"imap": b"z LOGOUT", "pop3": b"QUIT", "smtp": b"QUIT"}[self.protocol] + b"\r\n")
        self.file.read()  # to the end

    def close(self):
        self.file.close()
        self.sock.close()


def scram(name, user, password, sock=None, flag=b"n"):
    """RFC 5802, by the standard library alone: yields the client's messages and checks the server's proof."""
    algorithm = "sha256" if "256" in name else "sha1"
    plus = name.endswith("-PLUS")
    header = (b"p=tls-unique" if plus else flag) + b",,"
    binding = header + (sock.get_channel_binding("tls-unique") if plus else b"")
    bare = b"n=" + user.encode() + b",r=" + os.urandom(12).hex().encode()
    first = yield header + bare
    values = dict(part.split(b"=", 1) for part in first.split(b","))
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), base64.b64decode(values[b"s"]), int(values[b"i"]))
    key = hmac.new(salted, b"Client Key", algorithm).digest()
    without = b"c=" + b64(binding) + b",r=" + values[b"r"]
    signed = bare + b"," + first + b"," + without
    signature = hmac.new(hashlib.new(algorithm, key).digest(), signed, algorithm).digest()
    last = yield without + b",p=" + b64(bytes(a ^ b for a, b in zip(key, signature)))
    server = hmac.new(hmac.new(salted, b"Server Key", algorithm).digest(), signed, algorithm).digest()
    assert last == b"v=" + b64(server), last
    yield b""


def plain(user, password):
    yield b"\0" + user.encode() + b"\0" + password.encode()


def login(user, password):
    challenge = yield user.encode()
    assert challenge == b"Password:", challenge
    yield password.encode()


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test").start()
        cls.user = cls.house.account("alice", PASSWORD)

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def wire(self, protocol, version=ssl.TLSVersion.TLSv1_2):
        w = Wire(self.house.ip, protocol, version)
        self.addCleanup(w.close)
        return w

    def steps(self, w, mechanism, password=PASSWORD, user=None):
        user = user or self.user
        if mechanism == "PLAIN":
            return plain(user, password)
        return login(user, password) if mechanism == "LOGIN" else scram(mechanism, user, password, w.sock)

    def test_every_mechanism_in_every_protocol(self):
        for protocol in ("imap", "pop3", "smtp"):
            for mechanism in ALL:
                with self.subTest(protocol=protocol, mechanism=mechanism):
                    w = self.wire(protocol)
                    self.assertIn(mechanism.encode(), w.offered)
                    answer = w.auth(mechanism, self.steps(w, mechanism))
                    self.assertTrue(w.is_in(answer), answer)
                    w.quit()

    def test_wrong_passwords_and_strangers(self):
        for protocol, mechanism, user in (("imap", "SCRAM-SHA-256-PLUS", None), ("pop3", "SCRAM-SHA-1", None), ("smtp", "SCRAM-SHA-256", "nobody@a.test")):
            w = self.wire(protocol)
            answer = w.auth(mechanism, self.steps(w, mechanism, "wrong", user))
            expected = {"imap": b"a NO [AUTHENTICATIONFAILED]", "pop3": b"-ERR [AUTH]", "smtp": b"535 5.7.8"}[protocol]
            self.assertTrue(answer.startswith(expected), answer)

    def test_a_downgrade_is_seen(self):
        """RFC 5802 6: a client that could bind, and was told that we can not, has been lied to."""
        w = self.wire("imap")
        answer = w.auth("SCRAM-SHA-256", scram("SCRAM-SHA-256", self.user, PASSWORD, flag=b"y"))
        self.assertFalse(w.is_in(answer), answer)

    def test_what_the_connection_permits(self):
        with socket.create_connection((self.house.ip, PORTS["imap"]), 60) as c:
            greeting = c.makefile("rb").readline()
        self.assertIn(b"LOGINDISABLED", greeting)
        self.assertNotIn(b"AUTH=", greeting)
        w = self.wire("imap")
        with socket.create_connection((self.house.ip, PORTS["pop3"]), 60) as c:
            self.assertNotIn(b"<", c.makefile("rb").readline())
        for unknown in (b"EXTERNAL", b"OAUTHBEARER", b"XOAUTH2", b"CRAM-MD5"):
            self.assertNotIn(unknown, w.offered)
        self.assertTrue(w.ask(b"x AUTHENTICATE OAUTHBEARER", b"x ").startswith(b"x NO [CANNOT]"))

    def test_a_client_that_gives_up_may_begin_again(self):
        for protocol, more in (("imap", b"+ "), ("pop3", b"+ "), ("smtp", b"334")):
            w = self.wire(protocol)
            w.ask({"imap": b"b AUTHENTICATE SCRAM-SHA-1", "pop3": b"AUTH SCRAM-SHA-1", "smtp": b"AUTH SCRAM-SHA-1"}[protocol], more)
            w.ask(b64(b"n,,n=alice@a.test,r=abc"), more)
            w.ask(b"*", {"imap": b"b BAD", "pop3": b"-ERR", "smtp": b"501"}[protocol])
            answer = w.auth("SCRAM-SHA-256", self.steps(w, "SCRAM-SHA-256"))
            self.assertTrue(w.is_in(answer), answer)
            w.quit()

    def test_gsasl(self):
        """libgsasl's own program, under TLS 1.3: tls-exporter. (By IMAP alone: its SMTP says STARTTLS before EHLO.)"""
        tries = (("--imap", "imap", "SCRAM-SHA-256-PLUS", PASSWORD), ("--imap", "imap", "SCRAM-SHA-256-PLUS", "wrong"),
                 ("--imap", "imap", "SCRAM-SHA-1-PLUS", PASSWORD), ("--imap", "imap", "SCRAM-SHA-256", PASSWORD))
        ca = self.house.where / "certificate.pem"
        with socket.create_connection((self.house.ip, PORTS["imaps"]), 60) as c:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with context.wrap_socket(c) as t:
                ca.write_text(ssl.DER_cert_to_PEM_cert(t.getpeercert(True)))
        for protocol, port, mechanism, password in tries:
            run = subprocess.run(["gsasl", protocol, "--connect", f"{self.house.ip}:{PORTS[port]}", "--starttls", "--x509-ca-file", ca, "--mechanism",
                                  mechanism, "--authentication-id", self.user, "--password", password, *([] if mechanism.endswith("-PLUS") else ["--no-cb"])], input="", text=True, capture_output=True, timeout=120)
            self.assertEqual("authentication finished" in run.stderr + run.stdout and run.returncode == 0, password == PASSWORD,
                             f"{protocol} {mechanism} {run.returncode} {run.stdout}{run.stderr}")

    def test_app_passwords(self):
        made = self.house.admin("account", "app-password", "add", self.user, "old telephone", "--scope", "imap", "--expires", "90d").strip()
        self.assertRegex(self.house.admin("account", "app-password", "list", self.user), r"old telephone\timap\tmade .*\texpires .*\tused never")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with imaplib.IMAP4_SSL(self.house.ip, PORTS["imaps"], ssl_context=context) as m:
            m.login(self.user, made)
        self.assertNotIn("used never", self.house.admin("account", "app-password", "list", self.user))
        p = poplib.POP3_SSL(self.house.ip, PORTS["pop3s"], context=context)
        p.user(self.user)
        with self.assertRaises(poplib.error_proto):
            p.pass_(made)
        p.close()
        self.house.admin("account", "app-password", "remove", self.user, "old telephone")
        with imaplib.IMAP4_SSL(self.house.ip, PORTS["imaps"], ssl_context=context) as m:
            with self.assertRaises(imaplib.IMAP4.error):
                m.login(self.user, made)


class Apop(unittest.TestCase):
    """RFC 1939 7, for programs without TLS and SASL: by passwords made for it alone, where it is switched on."""

    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test", pop3_apop=True).start()
        cls.user = cls.house.account("alice", PASSWORD)
        cls.secret = cls.house.admin("account", "app-password", "add", cls.user, "old printer", "--scope", "apop").strip()

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def connect(self):
        p = poplib.POP3(self.house.ip, PORTS["pop3"], timeout=60)
        self.addCleanup(p.close)
        return p

    def test_python(self):
        p = self.connect()
        self.assertTrue(p.apop(self.user, self.secret).startswith(b"+OK"))
        p.quit()
        self.assertNotIn("used never", self.house.admin("account", "app-password", "list", self.user))

    def test_curl(self):
        for secret, code in ((self.secret, 0), (self.secret + "x", 67)):
            run = subprocess.run(["curl", "-s", f"pop3://{self.house.ip}:{PORTS['pop3']}/", "-u", f"{self.user}:{secret}", "--login-options", "AUTH=+APOP"],
                                 capture_output=True, text=True, timeout=120)
            self.assertEqual(run.returncode, code, run)

    def test_fetchmail(self):
        rc = self.house.where / "fetchmailrc"
        rc.write_text(f"poll {self.house.ip} service {PORTS['pop3']} protocol APOP user '{self.user}' password '{self.secret}' sslproto '' no sslcertck\n")
        rc.chmod(0o700)
        run = subprocess.run(["fetchmail", "-f", rc, "--check", "--idfile", self.house.where / "ids", "--pidfile", self.house.where / "pid"],
                             capture_output=True, text=True, timeout=120, env={**os.environ, "FETCHMAILHOME": str(self.house.where)})
        self.assertEqual(run.returncode, 1, run)  # logged in; there is no mail

    def test_no_other_password_and_nowhere_else(self):
        for user, secret in ((self.user, PASSWORD), (self.user, self.secret + "x"), ("nobody@a.test", self.secret)):
            with self.assertRaisesRegex(poplib.error_proto, "AUTH"):
                self.connect().apop(user, secret)
        context = self.house.tls()
        p = poplib.POP3_SSL(self.house.ip, PORTS["pop3s"], context=context)
        p.user(self.user)
        with self.assertRaisesRegex(poplib.error_proto, "AUTH"):
            p.pass_(self.secret)
        p.close()
        with imaplib.IMAP4_SSL(self.house.ip, PORTS["imaps"], ssl_context=context) as m:
            with self.assertRaises(imaplib.IMAP4.error):
                m.login(self.user, self.secret)

    def test_a_digest_is_good_once(self):
        stamps = {self.connect().welcome.split()[-1] for _ in range(20)}
        self.assertEqual(len(stamps), 20)
        p = self.connect()
        heard = hashlib.md5(p.welcome.split()[-1] + self.secret.encode()).hexdigest()
        self.assertTrue(p._shortcmd(f"APOP {self.user} {heard}").startswith(b"+OK"))
        with self.assertRaisesRegex(poplib.error_proto, "AUTH"):
            self.connect()._shortcmd(f"APOP {self.user} {heard}")

    def test_scopes(self):
        run = self.house.admin("account", "app-password", "add", self.user, "both", "--scope", "apop,imap", check=False)
        self.assertEqual(run.returncode, 64, run)
        self.house.admin("account", "app-password", "add", self.user, "gone", "--scope", "apop", "--expires", "2020-01-01")
        self.assertRegex(self.house.admin("account", "app-password", "list", self.user), r"old printer\tapop\tmade")


class Memory(unittest.TestCase):
    """A client that comes again costs no hash, and what is remembered is void with what it was about."""

    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test", plaintext_login="loopback").start()
        cls.user = cls.house.account("alice", PASSWORD)

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def hashed(self):
        keeper = next(p for p in self.house.status()["processes"] if p["process"] == "keeper")
        return keeper["counters"]["passwords_hashed"]

    def log_in(self, password):
        """True when it is let in."""
        m = imaplib.IMAP4(self.house.ip, PORTS["imap"])
        try:
            m.login(self.user, password)
            return True
        except imaplib.IMAP4.error:
            return False
        finally:
            m.logout()

    def test_a_hundred_logins_are_one_hash(self):
        before = self.hashed()
        self.assertTrue(all(self.log_in(PASSWORD) for _ in range(100)))
        self.assertEqual(self.hashed() - before, 1)
        self.assertFalse(self.log_in(PASSWORD + "x"))  # and for a wrong one the memory is no help
        self.assertEqual(self.hashed() - before, 2)

    def test_a_new_password_empties_it(self):
        self.assertTrue(self.log_in(PASSWORD))
        self.house.admin("account", "passwd", self.user, "--password-file", "-", input="another long one\n")
        self.assertFalse(self.log_in(PASSWORD))
        before = self.hashed()
        self.assertTrue(self.log_in("another long one"))
        self.assertTrue(self.log_in("another long one"))
        self.assertEqual(self.hashed() - before, 1)
        self.house.admin("account", "passwd", self.user, "--password-file", "-", input=PASSWORD + "\n")
        self.assertFalse(self.log_in("another long one"))
        self.assertTrue(self.log_in(PASSWORD))

    def test_an_app_password_is_not_hashed_and_ends_at_once(self):
        made = self.house.admin("account", "app-password", "add", self.user, "telephone").strip()
        before = self.hashed()
        self.assertTrue(self.log_in(made))
        self.assertTrue(self.log_in(made))
        self.assertEqual(self.hashed(), before)
        self.house.admin("account", "app-password", "remove", self.user, "telephone")
        self.assertFalse(self.log_in(made))


class Limits(unittest.TestCase):
    def test_wrong_passwords_shut_an_address_out_of_every_protocol(self):
        h = house.House("a.test", plaintext_login="loopback", access_processes=3, mx_processes=2, limits_exempt=[], rate_login_errors=4, rate_account_login_errors=0).start()
        self.addCleanup(h.kill)
        h.account("alice", PASSWORD)
        before = imaplib.IMAP4(h.ip, PORTS["imap"])
        self.addCleanup(before.shutdown)
        for _ in range(2):
            m = imaplib.IMAP4(h.ip, PORTS["imap"])
            for _ in range(2):
                with self.assertRaises(imaplib.IMAP4.error):
                    m.login("alice@a.test", "wrong")
            m.shutdown()
        m = imaplib.IMAP4(h.ip, PORTS["imap"])
        with self.assertRaises(imaplib.IMAP4.error):
            m.login("alice@a.test", "wrong")
        m.shutdown()
        for _ in range(12):  # whichever process it comes to
            with self.assertRaisesRegex(poplib.error_proto, "Too many errors from your address"):
                poplib.POP3(h.ip, PORTS["pop3"])
            for port in "submission", "mx":
                with self.assertRaises(smtplib.SMTPConnectError):
                    smtplib.SMTP(h.ip, PORTS[port])
        with self.assertRaises(imaplib.IMAP4.error):  # one that was let in before knows the password too late
            before.login("alice@a.test", PASSWORD)

    def test_sessions_of_one_account(self):
        h = house.House("a.test", plaintext_login="loopback", max_connections_per_account=2).start()
        self.addCleanup(h.kill)
        h.account("alice", PASSWORD)
        open_ones = [imaplib.IMAP4(h.ip, PORTS["imap"]) for _ in range(3)]
        for m in open_ones[:2]:
            m.login("alice@a.test", PASSWORD)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "LIMIT"):
            open_ones[2].login("alice@a.test", PASSWORD)
        open_ones[0].logout()
        deadline = time.monotonic() + 90
        while open_ones[2].state == "NONAUTH":  # the keeper hears of the end a moment later
            try:
                open_ones[2].login("alice@a.test", PASSWORD)
            except imaplib.IMAP4.error:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)
        for m in open_ones[1:]:
            m.shutdown()


if __name__ == "__main__":
    unittest.main(verbosity=2)
