"""The journey as a picture: well-formed, every step in it, and nothing that a stranger said is markup."""
import smtplib
import unittest
import xml.etree.ElementTree as xml

import house
import test_relay

SVG = "{http://www.w3.org/2000/svg}"


class Picture(unittest.TestCase):
    def test_every_step_is_drawn_and_text_stays_text(self):
        net = house.network()
        sink = test_relay.Sink(f"{net}.9")
        self.addCleanup(sink.server_close)
        self.addCleanup(sink.shutdown)
        h = house.House("a.test", f"{net}.1", house.zone(("a.test", f"{net}.1"), ("sink.test", f"{net}.9"))).start()
        self.addCleanup(h.stop)
        alice = h.account("alice")
        s = h.submit(alice)
        s.mail(alice)
        hostile = "\"x<b>&'</text>]]>\"@sink.test"
        for rcpt in (hostile, "temp@sink.test", "perm@sink.test"):
            self.assertEqual(s.docmd("RCPT", f"TO:<{rcpt}>")[0], 250)
        self.assertEqual(s.data(test_relay.LETTER % (b"picture", b"picture"))[0], 250)
        s.quit()
        steps = h.steps("<picture@a.test>", "submitted", "relayed", "bounced", "deferred")
        self.assertTrue({"submitted", "relayed", "bounced", "deferred"} <= {e["event"] for e in steps})
        # both are read from the stopped house, so that no step comes between them
        h.stop()
        steps = h.steps("<picture@a.test>")
        root = xml.fromstring(h.admin("trace", "--svg", "<picture@a.test>"))
        self.assertEqual(root.tag, SVG + "svg")
        drawn = [g for g in root.iter(SVG + "g") if g.get("class") == "step"]
        self.assertEqual([g.find(f".//{SVG}tspan").text for g in drawn], [e["event"] for e in steps])
        self.assertEqual({e.tag for e in root.iter()}, {SVG + t for t in ("svg", "title", "style", "rect", "text", "g", "path", "circle", "tspan")})
        self.assertTrue(any(hostile in "".join(g.itertext()) for g in drawn))
        self.assertTrue(any("550 5.1.1 no such user here" in "".join(g.itertext()) and "550 550" not in "".join(g.itertext()) for g in drawn))
        lanes = {t.text for t in root.iter(SVG + "text") if t.get("class") == "p"}
        self.assertEqual(lanes, {e["process"] for e in steps})


REPORT = """From: <postmaster@far.test>
To: <{to}>
Subject: delivered
Message-ID: <report{number}@far.test>
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

It is there.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.far.test

Final-Recipient: rfc822; bob@far.test
Action: delivered
Status: 2.0.0
Last-Attempt-Date: Sun, 22 Nov 2026 12:00:00 +0000

--b
Content-Type: text/rfc822-headers

From: alice@a.test
Message-ID: <{about}>

--b--
"""


class Reports(unittest.TestCase):
    """What another house reports is a step of the journey it is about, marked as heard; of nothing else."""

    def test_a_report_that_comes_back(self):
        net = house.network()
        sink = test_relay.Sink(f"{net}.9")
        self.addCleanup(sink.server_close)
        self.addCleanup(sink.shutdown)
        h = house.House("a.test", f"{net}.1", house.zone(("a.test", f"{net}.1"), ("far.test", f"{net}.9"))).start()
        self.addCleanup(h.stop)
        alice, mallory = h.account("alice"), h.account("mallory")
        with h.submit(alice) as s:
            s.sendmail(alice, ["bob@far.test"], test_relay.LETTER % (b"out", b"out"))
        h.steps("<out@a.test>", "relayed")
        with smtplib.SMTP(h.ip, house.PORTS["mx"]) as s:
            for number, (sender, to, about) in enumerate((("", mallory, "out@a.test"), ("x@far.test", alice, "out@a.test"), ("", alice, "unknown@a.test"),
                                                          ("", alice, "out@a.test"))):
                s.sendmail(sender, [to], REPORT.format(to=to, number=number, about=about).replace("\n", "\r\n"))
        steps = h.steps("<out@a.test>", "delivered")
        heard = [(e["event"], e["host"], e.get("recipient")) for e in steps if e["process"] == "heard" and e["event"] == "delivered"]
        self.assertEqual(heard, [("delivered", "mx.far.test", "bob@far.test")])
        self.assertIn("its delivery report says so", next(e["note"] for e in steps if e["event"] == "delivered"))
        self.assertNotEqual(h.admin("trace", "<unknown@a.test>", check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
