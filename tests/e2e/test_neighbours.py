"""A house between foreign neighbours: Postfix -> Posthouse -> Postfix on loopback, both ways, over TLS."""
import shutil
import smtplib
import time
import unittest

import house
import postfix
from house import PORTS

LETTER = "From: Ann <ann@{0}>\r\nTo: {1}\r\nSubject: through the house\r\nMessage-ID: <{2}@{0}>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nFirst.\r\n.dot\r\nGr\u00fc\u00dfe\r\n"


@unittest.skipIf(postfix.missing(), postfix.missing() or "")
class BetweenPostfixes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        net = house.network()
        places = [("p.test", f"{net}.1"), ("b.test", f"{net}.2"), ("q.test", f"{net}.3")]
        cls.house = house.House("b.test", f"{net}.2", house.zone(*places)).start()
        cls.house.admin("domain", "add", "b.test")
        cls.house.admin("alias", "add", "to-q@b.test", "bob@q.test")
        cls.house.admin("alias", "add", "to-p@b.test", "bob@p.test")
        cls.bob = cls.house.account("bob")
        tls = house.folder()
        for name in ("cert", "key"):
            source = next((cls.house.data / "tls").glob(f"*{name}*"))
            shutil.copy(source, tls / f"{name}.pem")
        more = f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {tls}/cert.pem\nsmtpd_tls_key_file = {tls}/key.pem"
        route = {"b.test": (f"{net}.2", PORTS["mx"])}
        cls.p = postfix.Postfix("p.test", f"{net}.1", route, more=more)
        cls.q = postfix.Postfix("q.test", f"{net}.3", route, more=more)

    @classmethod
    def tearDownClass(cls):
        cls.p.stop()
        cls.q.stop()
        assert cls.house.stop() == 0, cls.house.tail()

    def through(self, start, alias, end, name):
        letter = LETTER.format(start.domain, alias, name)
        with smtplib.SMTP(start.ip, start.port) as s:
            s.sendmail(f"ann@{start.domain}", [alias], letter.encode(), mail_options=["BODY=8BITMIME"])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for path in end.letters():
                arrived = path.read_bytes()
                if f"<{name}@".encode() in arrived:
                    self.assertTrue(arrived.replace(b"\r\n", b"\n").endswith(letter.encode().replace(b"\r\n", b"\n")), arrived)
                    self.assertIn(b"ESMTPS", arrived)
                    return
            time.sleep(0.05)
        self.fail(f"did not arrive\nposthouse: {self.house.tail()}\nfirst: {start.log()}\nlast: {end.log()}")

    def test_postfix_house_postfix(self):
        self.through(self.p, "to-q@b.test", self.q, "forth")
        everything = self.house.steps("<forth@p.test>", "relayed")
        steps = {s["event"]: s for s in everything if s["process"] != "heard"}
        self.assertIn("TLS", steps["received"]["tls"])
        self.assertIn("TLS", steps["relayed"]["tls"])
        self.assertIn("queued as", steps["relayed"]["reply"])
        before, behind = [s for s in everything if s["process"] == "heard"]  # what the neighbours told
        self.assertEqual((before["event"], behind["event"]), ("received", "queued"))
        self.assertIn("p.test", before["host"])
        self.assertIn("id ", before["note"])
        self.assertIn(steps["relayed"]["reply"].split("queued as ")[1].split()[0], behind["note"])
        self.assertIn("q.test", behind["host"])
        picture = self.house.admin("trace", "--svg", "<forth@p.test>")
        self.assertIn(before["host"], picture)

    def test_and_back(self):
        self.through(self.q, "to-p@b.test", self.p, "back")

    def test_postfix_to_mailbox(self):
        with smtplib.SMTP(self.p.ip, self.p.port) as s:
            s.sendmail("ann@p.test", [self.bob], b"Subject: to a mailbox\r\n\r\nx\r\n")
        self.assertEqual(self.house.wait_for(self.bob, 1), 1)


if __name__ == "__main__":
    unittest.main()
