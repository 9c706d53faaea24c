"""Which way letters go (names end in .example, for libunbound knows by itself that .test is nowhere): by a name server's answers, by the table of transports; and who shares whose limits."""
import os
import unittest

import house
from house import PORTS
from nameserver import Nameserver
from test_relay import LETTER, Harness

LMTP_PORT = 24024


class Ways(Harness):
    """A house that asks a name server of this file."""
    settings = {}

    def setUp(self):
        self.net = house.network()
        self.sink_ip = self.net + ".9"
        hosts = [f"mx{i}.sink.example" for i in range(4)]
        records = ["sink.example MX 10 mx.sink.example", "mx.sink.example A " + self.sink_ip,
                   "bare.example A " + self.sink_ip, "null.example MX 0 .",
                   "alias.example CNAME sink.example", "alias2.example CNAME bare.example", "viacname.example MX 5 cname.sink.example", "cname.sink.example CNAME mx.sink.example",
                   "xn--bcher-kva.example MX 5 mx.sink.example", "both.example MX 5 both.sink.example", "both.sink.example A " + self.sink_ip, "both.sink.example AAAA ::1",
                   "worse.example MX 20 mx.sink.example", "worse.example MX 5 dead.sink.example", f"dead.sink.example A {self.net}.77", "sick.example MX 5 mx.sink.example"]
        records += [f"equal.example MX 5 {h}" for h in hosts] + [f"{h} A {self.sink_ip}" for h in hosts]
        records += [f"d{i}.example MX 5 mx.sink.example" for i in range(30)]
        self.names = Nameserver(self.net + ".53", records)
        self.addCleanup(self.names.server_close)
        self.addCleanup(self.names.shutdown)
        self.house = house.House("a.test", self.net + ".1", retry_first="300ms", retry_most="1s", queue_lifetime="1h",
                                 dns_server=[self.names.address], **{k: self.filled(v) for k, v in self.settings.items()})
        self.house.start()
        self.alice = self.house.account("alice")

    def filled(self, value):
        return [v.format(ip=self.sink_ip, net=self.net, port=PORTS["mx"], lmtp=LMTP_PORT) for v in value] if isinstance(value, list) else value

    def peers(self, name, *steps):
        return [s["peer"] for s in self.house.steps(f"<{name}@a.test>", *steps) if s["peer"] and s["event"] in ("tried", "relayed")]


class Dns(Ways):
    def test_where_the_names_lead(self):
        sink = self.sink()
        key = self.send(b"names", "bare@bare.example", "alias@alias.example", "alias2@alias2.example", "viacname@viacname.example", "worse@worse.example")
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, ["idn@b\u00fccher.example"], LETTER % (b"idn", b"idn"), mail_options=["SMTPUTF8"])
        self.until(lambda: {"bare", "alias", "alias2", "viacname", "worse", "idn"} <= {r for rcpts, _ in sink.letters for r in rcpts})
        self.assertTrue(any("xn--bcher-kva.example" in r for r in sink.rcpts), sink.rcpts)
        tried = [s["peer"] for s in self.house.steps(key, "relayed") if s["event"] == "tried"]
        self.assertTrue(any("dead.sink.example" in peer for peer in tried), tried)

    def test_ipv6_first(self):
        sink = self.sink()
        self.send(b"both", "x@both.example")
        self.until(lambda: sink.letters)
        peers = self.peers("both", "relayed")
        self.assertIn("[::1]", peers[0])
        self.assertIn(f"[{self.sink_ip}]", peers[-1])

    def test_equal_hosts_are_chosen_at_random(self):
        sink = self.sink(single=True)
        hosts = set()
        for i in range(12):  # all at the same one of four: once in 4 million
            self.send(b"equal%d" % i, "x@equal.example")
            self.until(lambda: len(sink.letters) == i + 1)
            hosts |= {p.split()[0] for p in self.peers(f"equal{i}", "relayed")}
        self.assertGreater(len(hosts), 1)

    def test_what_is_not_there_is_asked_once(self):
        self.send(b"no1", "x@nosuch.example")
        self.assertEqual(self.house.wait_for(self.alice, 1), 1)
        asked = sum(n for (name, _), n in self.names.asked.items() if name == "nosuch.example")
        self.send(b"no2", "y@nosuch.example")
        self.assertEqual(self.house.wait_for(self.alice, 2), 2)
        self.assertEqual(sum(n for (name, _), n in self.names.asked.items() if name == "nosuch.example"), asked)

    def test_a_name_server_that_fails_is_waited_for(self):
        self.names.broken.add("sick.example")
        sink = self.sink()
        key = self.send(b"sick", "x@sick.example")
        steps = self.house.steps(key, "deferred")
        self.assertTrue(any("DNS" in s["reply"] for s in steps), steps)
        self.assertEqual(sink.connections, 0)
        self.names.broken.clear()
        self.until(lambda: sink.letters)


class Sites(Ways):
    settings = dict(relay_connections=3)

    def test_domains_of_one_server_share_its_places(self):
        sink = self.sink()
        for i in range(12):
            self.send(b"site%d" % i, f"slow@d{i}.example")
        self.until(lambda: len(sink.letters) == 12)
        self.assertLessEqual(sink.at_once, 3)
        self.assertLess(sink.connections, 12)  # and its connections

    def test_a_place_that_becomes_free_is_waited_for(self):
        sink = self.sink()
        sink.goodbye = 0.3
        with self.house.submit(self.alice) as s:
            for i in range(400):  # a connection ends after 100 letters
                s.sendmail(self.alice, [f"n{i}@d1.example"], LETTER % (b"place%d" % i, b"place%d" % i))
        self.until(lambda: len(sink.letters) >= 400)
        self.assertEqual({r for rcpts, _ in sink.letters for r in rcpts}, {f"n{i}" for i in range(400)})
        self.assertEqual(len(sink.letters), 400)
        self.assertLessEqual(sink.at_once, 3)
        self.assertGreater(sink.connections, 3)


class Transports(Ways):
    settings = dict(transports=["from:bob@a.test * smtp:{ip}:{port} user=bob password=/nowhere tls=may", "sink.example smtp source={net}.5",
                                ".lm.example lmtp:{ip}:{lmtp}", "closed.example error:550 5.1.2 this house has closed",
                                "from:@a.test paced.example smtp:{ip}:{port} rate=60", "from:carol@a.test * smtp:{ip}:{port} tls=encrypt"])

    def setUp(self):
        self.secret = house.folder() / "password"
        self.secret.write_text("pass word\n")
        self.secret.chmod(0o600)
        self.settings = dict(transports=[row.replace("/nowhere", str(self.secret)) for row in type(self).settings["transports"]])
        super().setUp()

    def send_as(self, user, name, *rcpts):
        with self.house.submit(user) as s:
            s.sendmail(user, list(rcpts), LETTER % (name, name))

    def test_login(self):
        bob = self.house.account("bob")
        sink = self.sink(auth=b"\0bob\0pass word", single=True)
        self.send_as(bob, b"login", "anyone@wherever.example", "other@elsewhere.example")
        self.until(lambda: len([r for rcpts, _ in sink.letters for r in rcpts]) == 2)
        self.assertEqual(set(sink.logins), {sink.auth})
        sink.auth = b"\0bob\0another"
        sink.logins.clear()
        self.send_as(bob, b"again", "x@wherever.example")
        steps = self.house.steps("<again@a.test>", "deferred")
        self.assertTrue(any("login of" in s["reply"] for s in steps), steps)
        self.assertNotIn("pass word", self.house.tail(10000))

    def test_source_lmtp_error(self):
        sink, boxes = self.sink(), self.sink(lmtp=True, port=LMTP_PORT)
        self.send(b"source", "ok@sink.example")
        self.send(b"lmtp", "one@x.lm.example", "full@x.lm.example", "perm@x.lm.example", "two@x.lm.example")
        self.send(b"closed", "x@closed.example")
        self.until(lambda: sink.letters and boxes.letters)
        self.assertEqual(sink.peers, {self.net + ".5"})
        self.assertEqual(boxes.letters[0][0], ["one", "full", "two"])
        self.assertEqual(self.house.wait_for(self.alice, 2), 2)
        reports = b"".join(self.house.imap_letters(self.alice))
        for text in (b"full@x.lm.example", b"perm@x.lm.example", b"this house has closed"):
            self.assertIn(text, reports)
        for text in (b"one@x.lm.example", b"two@x.lm.example"):
            self.assertNotIn(b"Final-Recipient: rfc822; " + text, reports)

    def test_tls_and_rate(self):
        sink = self.sink()
        carol = self.house.account("carol")
        self.send_as(carol, b"carol", "x@bare.example")  # it has no TLS: waits
        self.assertTrue(any("TLS" in s["reply"] for s in self.house.steps("<carol@a.test>", "deferred")))
        for i in range(7):  # five at once, then one a second
            self.send(b"rate%d" % i, f"r{i}@paced.example")
        self.until(lambda: len(sink.letters) == 7)
        self.assertEqual(sorted(r for rcpts, _ in sink.letters for r in rcpts), [f"r{i}" for i in range(7)])

    def test_a_password_for_everyone_to_read(self):
        self.house.stop()
        os.chmod(self.secret, 0o644)
        with self.assertRaises(RuntimeError) as error:
            self.house.start()
        self.assertIn("chmod 600", str(error.exception))
        os.chmod(self.secret, 0o600)
        self.house.start()
        bad = self.house.config.with_suffix(".bad")
        bad.write_text('transports = {"b.test smtp:"}\n')
        self.assertIn("is not smtp", self.house.admin("check-config", bad, check=False).stderr)


del Harness, Ways
if __name__ == "__main__":
    unittest.main()
