"""The relay and the queue against a server that does what a script says: refuses, waits, breaks, lies about TLS."""
import base64
import email
import email.policy

import socket
import socketserver
import threading
import time
import unittest
from collections import Counter

import house
from house import PORTS

LETTER = b"From: alice@a.test\r\nTo: x@sink.test\r\nSubject: %s\r\nMessage-ID: <%s@a.test>\r\n\r\n.dot\r\nbody\r\n"


class Sink(socketserver.ThreadingTCPServer):
    """Every connection is a session; what happens is in the local part of the recipient: ok, perm, temp, break."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128  # a connection that finds no place waits for its greeting for minutes

    def __init__(self, ip, starttls=False, utf8=False, dsn=False, auth=None, lmtp=False, single=False, port=None):
        self.auth, self.lmtp, self.single = auth, lmtp, single  # auth: what AUTH PLAIN must say; single: one letter a connection
        self.peers, self.logins, self.open, self.at_once = set(), [], 0, 0  # at_once: most connections together
        self.mails, self.rcpts, self.utf8, self.dsn = [], [], utf8, dsn  # MAIL and RCPT commands
        self.letters, self.connections, self.tries, self.starttls = [], 0, Counter(), starttls
        self.down, self.most, self.goodbye = False, None, 0  # most: letters on one connection; goodbye: seconds until QUIT is answered
        super().__init__((ip, port or PORTS["mx"]), Session, bind_and_activate=False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a letter does not vanish in it
        self.server_bind()
        self.server_activate()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        sink = self.server
        sink.peers.add(self.client_address[0])
        sink.open += 1
        sink.at_once = max(sink.at_once, sink.open)
        try:
            self.talk()
        except (ConnectionError, OSError):
            pass
        finally:
            self.leave()

    left = False

    def leave(self):
        """Before the client hears of it: it may come again at once."""
        self.server.open -= not self.left
        self.left = True

    def log_in(self, line):
        sink = self.server
        sink.logins.append(base64.b64decode(line.split()[2]))
        self.say("235 2.7.0 welcome" if sink.logins[-1] == sink.auth else "535 5.7.8 no")

    def talk(self):
        sink = self.server
        sink.connections += 1
        if sink.down:
            self.say("421 4.3.2 not now")
            return
        self.say("220 sink.test ESMTP")
        rcpts, taken = [], 0
        while line := self.rfile.readline():
            verb = line.strip().split(b" ")[0].upper().split(b":")[0]
            if verb == (b"EHLO" if sink.lmtp else b"LHLO"):
                self.say("500 5.5.1 not here")
            elif verb == b"AUTH":
                self.log_in(line)
            elif sink.auth and verb == b"MAIL" and sink.auth not in sink.logins:
                self.say("530 5.7.0 who are you")
            elif verb in (b"EHLO", b"LHLO"):
                self.say("250-sink.test\r\n250-PIPELINING\r\n250-SIZE 1000000" + ("\r\n250-STARTTLS" if sink.starttls else "") + ("\r\n250-SMTPUTF8" if sink.utf8 else "") + ("\r\n250-DSN" if sink.dsn else "") + ("\r\n250-AUTH PLAIN" if sink.auth else "") + "\r\n250 ENHANCEDSTATUSCODES")
            elif verb == b"STARTTLS":
                self.say("220 go")
                self.request.sendall(b"this is no TLS at all\r\n" * 10)
                return
            elif verb == b"MAIL" and not sink.mails.append(line.decode()) and taken == sink.most:
                self.say("421 4.7.0 enough letters on this connection")
                return
            elif verb == b"RCPT":
                sink.rcpts.append(line.decode())
                name = line.split(b"<")[1].split(b"@")[0].decode()
                sink.tries[name] += 1
                if name.startswith("slow"):
                    time.sleep(0.5)
                if name.startswith("much"):
                    self.say("552 too many recipients" if sink.tries[name] < 2 else "250 2.1.5 ok")
                    rcpts += [name] if sink.tries[name] > 1 else []
                elif name.startswith("perm"):
                    self.say("550 5.1.1 no such user here")
                elif name.startswith("temp") and sink.tries[name] < 3:
                    self.say("450 4.2.0 grey, come back")
                else:
                    rcpts.append(name)
                    self.say("250 2.1.5 ok")
            elif verb == b"DATA":
                if not rcpts:
                    self.say("554 5.5.1 nobody")
                    continue
                self.say("354 go on")
                if "early" in rcpts:
                    self.say("554 5.7.1 no need to go on")
                    time.sleep(2)
                    return
                body = b""
                while (piece := self.rfile.readline()) not in (b".\r\n", b""):
                    body += piece[1:] if piece.startswith(b".") else piece
                if any(r.startswith("break") and sink.tries[r] < 2 for r in rcpts):
                    return
                sink.letters.append((rcpts, body))
                rcpts, taken = [], taken + 1
                for name in sink.letters[-1][0] if sink.lmtp else [""]:
                    self.say("552 5.2.2 full" if name.startswith("full") else "250 2.0.0 queued as SINK%d" % len(sink.letters))
                if sink.single:
                    return
            elif verb == b"QUIT":
                time.sleep(sink.goodbye)
                self.leave()
                self.say("221 2.0.0 bye")
                return
            else:
                rcpts = [] if verb in (b"MAIL", b"RSET") else rcpts
                self.say("250 2.0.0 ok")


class Harness(unittest.TestCase):
    """A house, and a zone in which sink.test is this file's server."""
    def setUp(self):
        net = house.network()
        self.sink_ip = net + ".9"
        zone = house.zone(("sink.test", self.sink_ip)) + ["null.test. MX 0 .", "bare.test. A " + self.sink_ip,
                                                          "deadfirst.test. MX 5 mx.dead.test.", "deadfirst.test. MX 10 mx.sink.test.",
                                                          "mx.dead.test. A " + net + ".77", "dead.test. MX 5 mx.dead.test.",
                                                          "loop.test. MX 10 mx.a.test.", "noaddress.test. MX 5 mx.nowhere.test.", "nothing.test. TXT x"] + [f"d{i}.test. MX 5 mx.sink.test." for i in range(5)]
        self.house = house.House("a.test", net + ".1", zone, retry_first="300ms", retry_most="1s", queue_lifetime="6s")
        self.house.start()
        self.alice = self.house.account("alice")

    def tearDown(self):
        self.assertEqual(self.house.stop(), 0)

    def send(self, name, *rcpts, text=b""):
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, list(rcpts), LETTER % (name, name) + text)
        return f"<{name.decode()}@a.test>"

    def sink(self, **options):
        sink = Sink(self.sink_ip, **options)
        self.addCleanup(sink.server_close)
        self.addCleanup(sink.shutdown)
        return sink

    def until(self, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertTrue(condition())


class Relay(Harness):
    def reports(self, count):
        self.assertEqual(self.house.wait_for(self.alice, count), count)
        found = [email.message_from_bytes(m, policy=email.policy.default) for m in self.house.imap_letters(self.alice)]
        for r in found:
            self.assertEqual(r.get_content_type(), "multipart/report")
            self.assertEqual(r.get_param("report-type"), "delivery-status")
            self.assertEqual([p.get_content_type() for p in r.iter_parts()], ["text/plain", "message/delivery-status", "text/rfc822-headers"])
            self.assertEqual(r["Auto-Submitted"], "auto-replied")
            self.assertEqual(r.defects, [])
        return found

    def test_each_recipient_has_a_fate_of_its_own(self):
        sink = self.sink()
        key = self.send(b"many", "ok@sink.test", "perm@sink.test", "temp@sink.test", "ok2@sink.test", "x@bare.test", "y@deadfirst.test")
        self.until(lambda: {"ok", "ok2", "temp", "x", "y"} <= {r for rcpts, _ in sink.letters for r in rcpts})
        fates = Counter(r for rcpts, _ in sink.letters for r in rcpts)
        self.assertEqual(set(fates.values()), {1}, fates)
        for _, body in sink.letters:
            self.assertTrue(body.startswith(b"Received:"), body[:100])
            self.assertTrue(body.endswith(b"\r\n.dot\r\nbody\r\n"))
        report, = self.reports(1)
        status = report.get_payload(1).get_payload()
        self.assertEqual(status[1]["Final-Recipient"], "rfc822; perm@sink.test")
        self.assertEqual((status[1]["Action"], status[1]["Status"]), ("failed", "5.1.1"))
        self.assertIn("550 5.1.1 no such user here", status[1]["Diagnostic-Code"])
        self.assertEqual(status[1]["Remote-MTA"], "dns; mx.sink.test")
        self.assertIn("no such user here", report.get_payload(0).get_content())
        self.assertIn("<many@a.test>", report.get_payload(2).as_string())
        steps = self.house.steps(key, "relayed", "bounced", "deferred")
        self.assertTrue({"submitted", "queued", "relayed", "tried", "deferred", "bounced"} <= {s["event"] for s in steps})
        self.assertTrue(any("queued as SINK" in s["reply"] for s in steps))

    def test_connection_is_kept(self):
        sink = self.sink()
        for i in range(10):
            self.send(b"keep%d" % i, "ok@sink.test")
            self.until(lambda: len(sink.letters) > i)
        self.assertLess(sink.connections, 6)

    def test_one_connection_to_the_smarthost_serves_all(self):
        self.house.settings["smarthost"] = f"{self.sink_ip}:{PORTS['mx']}"
        self.house.stop()
        self.house.start()
        sink = self.sink()
        for i in range(5):
            self.send(b"smart%d" % i, f"x@d{i}.test")
            self.until(lambda: len(sink.letters) > i)
        self.assertLess(sink.connections, 4)

    def test_421_on_a_kept_connection_is_no_failure(self):
        sink = self.sink()
        sink.most = 2
        for i in range(7):
            self.send(b"few%d" % i, "ok@sink.test")
            self.until(lambda: len(sink.letters) == i + 1)
        for i in range(7):
            self.assertNotIn("deferred", {s["event"] for s in self.house.steps(f"<few{i}@a.test>", "relayed")})

    def test_an_answer_in_the_middle_of_the_letter(self):
        self.sink()
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, ["early@sink.test"], LETTER % (b"early", b"early") + (b"y" * 98 + b"\r\n") * 9000)
        report, = self.reports(1)
        self.assertEqual(report.get_payload(1).get_payload()[1]["Status"], "5.7.1")

    def send_utf8(self, key, *rcpts, subject="plain"):
        letter = (f"From: alice@a.test\r\nSubject: {subject}\r\nMessage-ID: <{key}@a.test>\r\n\r\nx\r\n").encode()
        with self.house.submit(self.alice) as s:
            s.sendmail(self.alice, list(rcpts), letter, mail_options=["SMTPUTF8", "BODY=8BITMIME"])

    def test_utf8_where_it_is_taken(self):
        sink = self.sink(utf8=True)
        home = self.house.account("j\u00fcrgen")
        self.send_utf8("utf8", "j\u00f6rg@sink.test", home)
        self.send_utf8("header", "ok@sink.test", subject="gr\u00fc\u00dfe")
        self.send_utf8("plain", "ok@sink.test")
        self.until(lambda: len(sink.letters) == 3)
        self.assertEqual(sorted("SMTPUTF8" in m for m in sink.mails), [False, True, True])
        self.house.steps("<utf8@a.test>", "delivered", "relayed")
        self.assertEqual(self.house.pop3(home).stat()[0], 1)

    def test_utf8_where_it_is_not(self):
        sink = self.sink()
        self.send_utf8("plain", "ok@sink.test")  # needs no such server
        self.until(lambda: sink.letters)
        self.send_utf8("utf8", "j\u00f6rg@sink.test", "ok@sink.test")  # nobody else has to suffer
        self.until(lambda: len(sink.letters) == 2)
        self.assertEqual(self.house.wait_for(self.alice, 1), 1)
        report = email.message_from_bytes(self.house.imap_letters(self.alice)[0], policy=email.policy.default)
        self.assertEqual([p.get_content_type() for p in report.iter_parts()],
                         ["text/plain", "message/global-delivery-status", "message/global-headers"])
        status = report.get_payload(1).as_bytes().decode()
        self.assertIn("Status: 5.6.7", status)
        self.assertIn("Final-Recipient: utf-8; j\u00f6rg@sink.test", status)
        self.assertFalse([m for m in sink.mails if "SMTPUTF8" in m])

    def test_552_may_mean_enough(self):
        sink = self.sink()
        self.send(b"much", "ok@sink.test", "much@sink.test")
        self.until(lambda: {"ok", "much"} == {r for rcpts, _ in sink.letters for r in rcpts})

    def test_a_server_that_is_never_silent(self):
        self.house.settings.update(relay_timeout="1s", queue_lifetime="1h")
        self.house.stop()
        self.house.start()
        sink = self.sink()
        key = self.send(b"slow", *(f"slow{i}@sink.test" for i in range(30)))
        steps = self.house.steps(key, "deferred")
        self.assertTrue(any("too long" in s["reply"] for s in steps), steps)
        self.assertEqual(sink.letters, [])

    def test_broken_in_the_middle_comes_again(self):
        sink = self.sink()
        self.send(b"cut", "break@sink.test")
        self.until(lambda: sink.letters)
        self.assertEqual(sink.letters[0][0], ["break"])

    def test_tls_that_fails_is_left_out(self):
        sink = self.sink(starttls=True)
        key = self.send(b"tls", "ok@sink.test")
        self.until(lambda: sink.letters)
        steps = self.house.steps(key, "relayed")
        self.assertTrue(any("once more without" in s["note"] for s in steps), steps)

    def test_what_the_dns_refuses(self):
        self.send(b"dns", "a@null.test", "b@nosuch.test", "c@loop.test", "d@noaddress.test", "e@nothing.test")
        codes = {}
        for r in self.reports(5):
            codes |= {p["Final-Recipient"][8]: p["Status"] for p in r.get_payload(1).get_payload()[1:]}
        self.assertEqual(codes, dict(a="5.1.10", b="5.1.2", c="5.4.6", d="5.4.4", e="5.4.4"))

    def test_silence_ends_with_a_report(self):
        key = self.send(b"silent", "a@dead.test")
        report, = self.reports(1)
        self.assertEqual(report.get_payload(1).get_payload()[1]["Status"], "4.4.1")
        self.assertIn("expired", {s["event"] for s in self.house.steps(key, "expired")})
        self.until(lambda: self.house.admin("queue", "list", "--json").strip() == "[]")

    def test_waits_survive_a_crash(self):
        self.house.settings["queue_lifetime"] = "1h"
        self.house.stop()
        self.house.start()
        for i in range(5):
            self.send(b"wait%d" % i, f"w{i}@sink.test", f"v{i}@sink.test")
        self.house.kill()
        self.house.start()
        listed = self.house.admin("queue", "list")
        self.assertIn("5 letters for 10 recipients", listed)
        sink = self.sink()
        self.house.admin("queue", "retry", "all")
        self.until(lambda: len(sink.letters) >= 5)
        self.assertEqual(sorted(r for rcpts, _ in sink.letters for r in rcpts), sorted(f"{c}{i}" for i in range(5) for c in "wv"))

    def test_a_mailing_on_disk_delays_nobody(self):
        self.house.settings.update(queue_lifetime="1h", rate_sender_letters="0", rate_account_letters="0")
        self.house.stop()
        self.house.start()
        bob = self.house.account("bob")
        with self.house.submit(self.alice) as s:
            for i in range(1200):
                s.sendmail(self.alice, ["mailing@sink.test"], LETTER % (b"mailing", b"mailing%d" % i))
        with self.house.submit(bob) as s:
            s.sendmail(bob, ["friend@sink.test"], LETTER % (b"single", b"single"))
        self.house.kill()
        sink = self.sink()
        self.house.start()
        self.house.admin("queue", "retry", "all")
        self.until(lambda: ["friend"] in [rcpts for rcpts, _ in sink.letters])
        self.assertLess([rcpts for rcpts, _ in sink.letters].index(["friend"]), 300)
        self.until(lambda: len(sink.letters) == 1201)

    def test_queue_verbs(self):
        self.house.settings["queue_lifetime"] = "1h"
        self.house.stop()
        self.house.start()
        self.send(b"one", "a@dead.test")
        self.send(b"two", "b@dead.test", text=b"a long one\r\n" * 2000)
        self.until(lambda: "2 letters" in self.house.admin("queue", "list"))
        for qid in [line.split()[0] for line in self.house.admin("queue", "list").splitlines() if "@a.test" in line]:
            self.assertIn("Message-ID: <", self.house.admin("queue", "show", qid))
        first = self.house.admin("queue", "list").split()[0]
        self.assertIn("Subject: one", self.house.admin("queue", "show", first))
        self.until(lambda: self.house.admin("queue", "remove", first) and "1 letters" in self.house.admin("queue", "list"))
        self.until(lambda: self.house.admin("queue", "remove", "@dead.test") and "empty" in self.house.admin("queue", "list"))
        self.assertNotEqual(self.house.admin("queue", "show", first, check=False).returncode, 0)
        self.assertNotEqual(self.house.admin("queue", "retry", "nonsense", check=False).returncode, 0)

    def test_hold_release_bounce(self):
        self.house.settings["queue_lifetime"] = "1h"
        self.house.stop()
        self.house.start()
        self.send(b"held", "a@dead.test", "ok@sink.test")
        self.send(b"free", "b@dead.test")
        self.until(lambda: "2 letters" in self.house.admin("queue", "list") and "under way" not in self.house.admin("queue", "list"))
        self.assertEqual(self.house.admin("queue", "hold", "from:" + self.alice, "ok@sink.test").strip(), "1 recipient held")
        self.assertIn("  held", self.house.admin("queue", "list", "state:held"))
        self.assertNotIn("dead.test", self.house.admin("queue", "list", "state:held"))
        sink = self.sink()
        self.house.stop()  # it stays held, and is not tried
        self.house.start()
        self.assertIn("0 recipients tried again", self.house.admin("queue", "retry", "@sink.test"))
        self.assertEqual(sink.connections, 0)
        self.assertIn("sink.test", self.house.admin("queue", "stats"))
        self.assertEqual(self.house.admin("queue", "release", "ok@sink.test").strip(), "1 recipient released")
        self.until(lambda: sink.letters)
        self.until(lambda: "2 recipients" in self.house.admin("queue", "list", "reason:unreachable") or
                   "2 recipients returned" in self.house.admin("queue", "bounce", "@dead.test", "older:1s"))
        self.house.admin("queue", "bounce", "@dead.test")
        self.reports(2)
        self.until(lambda: self.house.admin("queue", "list", "--json").strip() == "[]")


if __name__ == "__main__":
    unittest.main()
