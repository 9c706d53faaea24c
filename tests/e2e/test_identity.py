"""Logins that others vouch for: access tokens of an identity provider (OAUTHBEARER, XOAUTH2), certificates of clients (EXTERNAL).

Keys, tokens and certificates are made by the openssl program.
"""
import base64
import hashlib
import hmac
import imaplib
import json
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
import unittest
from concurrent import futures

import house
from house import PORTS
from test_access import PASSWORD, Wire, b64

ISSUER, AUDIENCE = "https://login.a.test/realms/mail", "posthouse"


def openssl(*words, input=None):
    return subprocess.run(["openssl", *map(str, words)], input=input, capture_output=True, check=True, timeout=120).stdout


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """An identity provider with two keys."""

    def __init__(self, where):
        self.where = where
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", where / "rsa.pem")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", where / "ec.pem")

    def keys(self):
        n = openssl("rsa", "-in", self.where / "rsa.pem", "-noout", "-modulus").decode().strip().split("=")[1]
        point = openssl("ec", "-in", self.where / "ec.pem", "-pubout", "-outform", "DER")[-64:]
        return {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "n": url64(bytes.fromhex(n)), "e": "AQAB"},
                         {"kty": "RSA", "kid": "sealing", "use": "enc", "alg": "RSA-OAEP", "n": url64(bytes.fromhex(n)), "e": "AQAB"},
                         {"kty": "OKP", "kid": "three", "crv": "Ed25519", "x": url64(bytes(32))},
                         {"kty": "EC", "kid": "two", "crv": "P-256", "x": url64(point[:32]), "y": url64(point[32:])}]}

    def sign(self, alg, text):
        if alg == "none":
            return b""
        if alg == "HS256":  # the public key as a shared secret: RFC 8725 2.1
            return hmac.new(openssl("rsa", "-in", self.where / "rsa.pem", "-pubout"), text, hashlib.sha256).digest()
        if alg == "ES256":
            der = openssl("dgst", "-sha256", "-sign", self.where / "ec.pem", input=text)
            parts, at = [], 2
            for _ in range(2):
                n = der[at + 1]
                parts.append(der[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"))
                at += 2 + n
            return b"".join(parts)
        padding = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32") if alg == "PS256" else ()
        return openssl("dgst", "-sha256", *padding, "-sign", self.where / "rsa.pem", input=text)

    def token(self, alg="RS256", header=(), **claims):
        head = {"alg": alg, "typ": "at+jwt", "kid": "two" if alg == "ES256" else "one", **dict(header)}
        body = {"iss": ISSUER, "aud": ["account", AUDIENCE], "exp": time.time() + 300, "email": "Alice@A.test", "email_verified": True, **claims}
        body = {k: v for k, v in body.items() if v is not None}
        text = f"{url64(json.dumps(head).encode())}.{url64(json.dumps(body).encode())}"
        return f"{text}.{url64(self.sign(alg, text.encode()))}"


def bearer(user, token):
    answer = yield b"n," + (b"a=" + user.encode() if user else b"") + b",\1host=a.test\1auth=Bearer " + token.encode() + b"\1\1"
    assert json.loads(answer)["status"] == "invalid_token", answer
    yield b"\1"


def xoauth2(user, token):
    answer = yield b"user=" + user.encode() + b"\1auth=Bearer " + token.encode() + b"\1\1"
    assert json.loads(answer)["status"] == "invalid_token", answer
    yield b""


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        where = house.folder()
        cls.provider = Provider(where)
        cls.keys = where / "keys.json"
        cls.keys.write_text(json.dumps(cls.provider.keys()))
        cls.house = house.House("a.test", oauth_keys=str(cls.keys), oauth_issuer=ISSUER, oauth_audience=AUDIENCE, rate_account_login_errors=0).start()
        cls.user = cls.house.account("alice", PASSWORD)
        cls.house.account("bob", PASSWORD)

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def answer(self, protocol, mechanism, token, user=None):
        w = Wire(self.house.ip, protocol)
        self.addCleanup(w.close)
        self.assertIn(mechanism.encode(), w.offered)
        line = w.auth(mechanism, {"OAUTHBEARER": bearer, "XOAUTH2": xoauth2}[mechanism](self.user if user is None else user, token))
        good = w.is_in(line)
        if good:
            w.quit()
        return good, line

    def test_every_protocol_and_algorithm(self):
        for protocol in ("imap", "pop3", "smtp"):
            for mechanism in ("OAUTHBEARER", "XOAUTH2"):
                for alg in ("RS256", "PS256", "ES256"):
                    with self.subTest(protocol=protocol, mechanism=mechanism, alg=alg):
                        good, line = self.answer(protocol, mechanism, self.provider.token(alg))
                        self.assertTrue(good, line)

    def test_the_token_alone_tells_who(self):
        self.assertTrue(self.answer("imap", "OAUTHBEARER", self.provider.token(), user="")[0])

    def test_the_longest_token(self):
        for protocol in ("imap", "pop3", "smtp"):
            token = self.provider.token(groups="x" * 5600)
            self.assertTrue(7900 < len(token) <= 8192, len(token))
            for mechanism in ("OAUTHBEARER", "XOAUTH2"):
                with self.subTest(protocol=protocol, mechanism=mechanism):
                    good, line = self.answer(protocol, mechanism, token)
                    self.assertTrue(good, line)

    def test_what_is_refused(self):
        now = time.time()
        whole = self.provider.token()
        head, body, signature = whole.split(".")
        bad = dict(expired=self.provider.token(exp=now - 120), endless=self.provider.token(exp=None), early=self.provider.token(nbf=now + 600),
                   issuer=self.provider.token(iss=ISSUER + "/"), audience=self.provider.token(aud="webshop"), nobody=self.provider.token(aud=None),
                   unverified=self.provider.token(email_verified=False), nameless=self.provider.token(email=None),
                   number=self.provider.token(email=7), none=self.provider.token("none"), shared=self.provider.token("HS256"),
                   other_key=self.provider.token(header={"kid": "nine"}), wrong_kind=self.provider.token(header={"kid": "two"}),
                   sealing=self.provider.token(header={"kid": "sealing"}), identity=self.provider.token(header={"typ": "logout+jwt"}),
                   extended=self.provider.token(header={"crit": ["b64"], "b64": False}),
                   changed=".".join((head, url64(json.dumps({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 99, "email": "bob@a.test"}).encode()), signature)),
                   cut=whole[:-4], no_jwt="abc", dots="..", stranger=self.provider.token(email="eve@a.test"))

        def attempt(name):
            return name, self.answer("imap", "XOAUTH2", bad[name], user="eve@a.test" if name == "stranger" else None)
        with futures.ThreadPoolExecutor(8) as pool:  # each is answered after a second
            for name, (good, line) in pool.map(attempt, bad):
                self.assertFalse(good, name)
                self.assertIn(b"[AUTHENTICATIONFAILED]", line, name)
        log = self.house.log.read_text()
        for why in ("it has expired", "another issuer", "another audience", "an algorithm that is not taken", "its signature is wrong", "not in oauth_keys"):
            self.assertIn(why, log)
        for token in (*bad.values(), whole):
            self.assertNotIn(token[-40:] if len(token) > 40 else "\0", log)

    def test_nobody_acts_for_another(self):
        self.assertEqual(self.answer("imap", "OAUTHBEARER", self.provider.token(), user="bob@a.test"),
                         (False, b"a NO [AUTHORIZATIONFAILED] You cannot act for another user."))

    def test_curl_and_post(self):
        token = self.provider.token("ES256")
        for url in (f"imaps://{self.house.ip}:{PORTS['imaps']}/INBOX", f"pop3s://{self.house.ip}:{PORTS['pop3s']}/"):
            for way in ("OAUTHBEARER", "XOAUTH2"):
                for bearer_token, code in ((token, 0), (token[:-6] + "AAAAAA", 67)):
                    run = subprocess.run(["curl", "-sk", url, "-u", self.user, "--oauth2-bearer", bearer_token, "--login-options", f"AUTH={way}"],
                                         capture_output=True, text=True, timeout=120)
                    self.assertEqual(run.returncode, code, (url, way, run))
        run = subprocess.run([house.POST, "mailboxes", "--server", self.house.ip, "--port", str(PORTS["imaps"]), "--tls", "tls", "--user", self.user, "--oauth",
                              "--password-file", "-", "--insecure"], input=token + "\n", capture_output=True, text=True, timeout=120)
        self.assertIn("INBOX", run.stdout, run.stderr)


class Keys(unittest.TestCase):
    """The provider's keys as a file that changes."""

    def setUp(self):
        self.where = house.folder()
        self.provider = Provider(self.where)
        self.file = self.where / "keys.json"
        self.file.write_text(json.dumps(self.provider.keys()))
        self.house = house.House("a.test", oauth_keys=str(self.file), oauth_issuer=ISSUER, oauth_audience=AUDIENCE)
        self.addCleanup(self.house.kill)

    def is_in(self, token):
        w = Wire(self.house.ip, "imap")
        self.addCleanup(w.close)
        return w.is_in(w.auth("XOAUTH2", xoauth2("alice@a.test", token)))

    def test_new_keys_come_by_reload(self):
        self.house.start()
        self.house.account("alice")
        old = self.provider.token("ES256")
        self.assertTrue(self.is_in(old))
        other = self.where / "other"
        other.mkdir()
        new = Provider(other)
        self.file.write_text("{")
        self.house.admin("reload")
        deadline = time.monotonic() + 60
        while "trust-refused" not in self.house.log.read_text():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertTrue(self.is_in(old))  # what was there stays
        self.file.write_text(json.dumps(new.keys()))
        self.house.admin("reload")
        deadline = time.monotonic() + 60
        while not self.is_in(new.token("ES256")):
            self.assertLess(time.monotonic(), deadline)
        self.assertFalse(self.is_in(old))
        self.assertEqual(self.house.stop(), 0)

    def refused(self, *words):
        self.house.start(wait=False)
        self.assertEqual(self.house.process.wait(60), 78, self.house.tail())
        for word in words:
            self.assertIn(word, self.house.tail())

    def test_mistakes_are_told_before(self):
        """By check-config, also in the other files that a configuration names."""
        bad = self.where / "bad.pem"
        bad.write_text("no certificate")
        good = dict(oauth_keys=str(self.file), oauth_issuer=ISSUER, oauth_audience=AUDIENCE)
        tries = ((good, None), ({**good, "oauth_audience": ""}, "needs oauth_issuer and oauth_audience"), ({**good, "oauth_keys": "/nowhere"}, "/nowhere"),
                 ({**good, "oauth_keys": str(bad)}, "oauth_keys: not JSON"), (dict(tls_client_ca=str(bad)), "tls_client_ca: there is no certificate"),
                 (dict(relay_ca=str(bad)), "relay_ca: there is no certificate"), (dict(tls_certificate="/nowhere", tls_key="/nowhere"), "/nowhere"),
                 (dict(tls_certificate=str(bad)), "belong together"))
        for settings, why in tries:
            with self.subTest(why):
                self.house.config.write_text("".join(house.setting(k, v) for k, v in settings.items()))
                run = self.house.admin("check-config", self.house.config, check=False)
                self.assertEqual(run.returncode, 78 if why else 0, run)
                self.assertIn(why or "", run.stderr)

    def test_mistakes_are_told_at_start_up(self):
        with self.subTest("not a set"):
            self.file.write_text('{"kty": "RSA"}')
            self.refused("oauth_keys", "not a set of keys")
        with self.subTest("shared secrets are no keys"):
            self.file.write_text('{"keys": [{"kty": "oct", "k": "AAAA"}]}')
            self.refused("oauth_keys", "no RSA or EC key")
        with self.subTest("not there"):
            self.file.unlink()
            self.refused("oauth_keys", str(self.file))
        with self.subTest("for anyone"):
            self.house.settings["oauth_audience"] = ""
            self.refused("needs oauth_issuer and oauth_audience")


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.where = house.folder()
        for name in ("ours", "theirs"):
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={name} authority", "-keyout", cls.where / f"{name}.key",
                    "-out", cls.where / f"{name}.pem")
        cls.alice = cls.issue("alice", "ours", "email:alice@a.test,email:bob@a.test")
        cls.stranger = cls.issue("stranger", "ours", "email:eve@a.test")
        cls.nameless = cls.issue("nameless", "ours", "DNS:alice.a.test")
        cls.theirs = cls.issue("theirs-alice", "theirs", "email:alice@a.test")
        cls.house = house.House("a.test", tls_client_ca=str(cls.where / "ours.pem")).start()
        for name in ("alice", "bob"):
            cls.house.account(name, PASSWORD)

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    @classmethod
    def issue(cls, name, authority, names):
        request, extra, file = (cls.where / f"{name}.{end}" for end in ("csr", "ext", "pem"))
        key = cls.where / f"{name}.key"
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extra.write_text(f"subjectAltName={names}\nextendedKeyUsage=clientAuth\n")
        openssl("x509", "-req", "-in", request, "-CA", cls.where / f"{authority}.pem", "-CAkey", cls.where / f"{authority}.key", "-CAcreateserial",
                "-days", "30", "-extfile", extra, "-out", file)
        return file, key

    def context(self, pair):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if pair:
            context.load_cert_chain(*pair)
        return context

    def imap(self, pair, context=None):
        m = imaplib.IMAP4_SSL(self.house.ip, PORTS["imaps"], ssl_context=context or self.context(pair), timeout=60)
        self.addCleanup(m.shutdown)
        return m

    def test_the_certificate_lets_in(self):
        m = self.imap(self.alice)
        self.assertIn("AUTH=EXTERNAL", m.capabilities)
        self.assertEqual(m.authenticate("EXTERNAL", lambda _: b"")[0], "OK")
        m = self.imap(self.alice)
        self.assertEqual(m.authenticate("EXTERNAL", lambda _: b"alice@a.test")[0], "OK")
        with smtplib.SMTP(self.house.ip, PORTS["submission"], timeout=60) as s:
            s.ehlo()
            self.assertNotIn("EXTERNAL", s.esmtp_features.get("auth", ""))
            s.starttls(context=self.context(self.alice))
            s.ehlo()
            self.assertIn("EXTERNAL", s.esmtp_features["auth"])
            self.assertEqual(s.docmd("AUTH", "EXTERNAL =")[0], 235)

    def test_curl(self):
        for url in (f"imaps://{self.house.ip}:{PORTS['imaps']}/INBOX", f"pop3s://{self.house.ip}:{PORTS['pop3s']}/"):
            run = subprocess.run(["curl", "-sk", url, "-u", "alice@a.test:", "--login-options", "AUTH=EXTERNAL", "--cert", self.alice[0], "--key", self.alice[1]],
                                 capture_output=True, text=True, timeout=120)
            self.assertEqual(run.returncode, 0, run)

    def test_nobody_else(self):
        m = self.imap(self.alice)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHORIZATIONFAILED"):
            m.authenticate("EXTERNAL", lambda _: b"bob@a.test")
        m = self.imap(self.stranger)
        with self.assertRaisesRegex(imaplib.IMAP4.error, "AUTHENTICATIONFAILED"):
            m.authenticate("EXTERNAL", lambda _: b"")

    def test_other_certificates_are_as_none(self):
        for pair in (self.theirs, self.nameless, None):
            m = self.imap(pair)
            self.assertNotIn("AUTH=EXTERNAL", m.capabilities)
            with self.assertRaisesRegex(imaplib.IMAP4.error, "CANNOT"):
                m.authenticate("EXTERNAL", lambda _: b"alice@a.test")
            self.assertEqual(m.login("alice@a.test", PASSWORD)[0], "OK")

    def test_a_resumed_session_is_of_the_same_client(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(self.alice)
            context.maximum_version = version
            session = None
            for resumed in (False, True):
                with context.wrap_socket(socket.create_connection((self.house.ip, PORTS["imaps"]), 60), session=session) as s:
                    f = s.makefile("rwb")
                    f.readline()
                    f.write(b"a AUTHENTICATE EXTERNAL =\r\n")
                    f.flush()
                    self.assertTrue(f.readline().startswith(b"a OK"))
                    self.assertEqual(s.session_reused, resumed)
                    session = s.session

    def test_other_authorities_end_it(self):
        """After a reload sessions of the old authorities are not resumed, and their certificates let nobody in."""
        h = house.House("a.test", tls_client_ca=str(shutil.copy(self.where / "ours.pem", self.where / "changing.pem"))).start()
        self.addCleanup(h.kill)
        h.account("alice")
        context = self.context(self.alice)
        m = imaplib.IMAP4_SSL(h.ip, PORTS["imaps"], ssl_context=context, timeout=60)
        self.assertIn("AUTH=EXTERNAL", m.capabilities)
        m.logout()
        shutil.copy(self.where / "theirs.pem", self.where / "changing.pem")
        h.admin("reload")
        deadline = time.monotonic() + 60
        while "AUTH=EXTERNAL" in m.capabilities:
            self.assertLess(time.monotonic(), deadline)
            m = imaplib.IMAP4_SSL(h.ip, PORTS["imaps"], ssl_context=context, timeout=60)
            m.shutdown()
        m = imaplib.IMAP4_SSL(h.ip, PORTS["imaps"], ssl_context=self.context(self.theirs), timeout=60)
        self.assertEqual(m.authenticate("EXTERNAL", lambda _: b"")[0], "OK")
        m.shutdown()
        self.assertEqual(h.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
