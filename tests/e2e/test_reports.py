"""What a sender is told: failures, delays, success (RFC 3461, 3464), and what REQUIRETLS forbids (RFC 8689)."""
import email
import email.policy
import smtplib

import test_relay
from house import PORTS
from test_relay import LETTER

SUCCESS = "NOTIFY=SUCCESS"
REPORT = (b"From: postmaster@sink.test\r\nTo: alice@a.test\r\nSubject: report\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; "
          b"boundary=b\r\n\r\n--b\r\n\r\nwhat became of it\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.sink.test\r\n\r\n"
          b"Final-Recipient: rfc822; ok@sink.test\r\nAction: %b\r\nStatus: %b\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: %b\r\n\r\n--b--\r\n")
RECEIPT = (b"From: ok@sink.test\r\nTo: alice@a.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n"
           b"--b\r\n\r\nread\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; ok@sink.test\r\nOriginal-Message-ID: %b\r\n"
           b"Disposition: manual-action/MDN-sent-manually; %b\r\n\r\n--b--\r\n")


class Reports(test_relay.Harness):
    def submit(self, name, to, *rcpt_options, mail_options=()):
        with self.house.submit(self.alice) as s:
            s.ehlo()
            s.sendmail(self.alice, [to], LETTER % (name, name), mail_options=list(mail_options), rcpt_options=list(rcpt_options))
        return f"<{name.decode()}@a.test>"

    def report(self, count=1):
        """The newest of the reports to alice, and what it says of its first recipient."""
        self.assertEqual(self.house.wait_for(self.alice, count), count)
        r = email.message_from_bytes(self.house.imap_letters(self.alice)[-1], policy=email.policy.default)
        self.assertEqual(r.get_content_type(), "multipart/report")
        self.assertEqual(r.defects, [])
        letter, rcpt, *_ = r.get_payload(1).get_payload()
        return r, letter, rcpt

    def quiet(self, key, *wanted):
        """The letter is done, and alice heard nothing of it."""
        self.house.steps(key, *wanted)
        self.until(lambda: self.house.admin("queue", "list", "--json").strip() == "[]")
        self.assertEqual(self.house.imap_letters(self.alice), [])

    def test_delivered(self):
        bob = self.house.account("bob")
        key = self.submit(b"yes", bob, SUCCESS, "ORCPT=rfc822;Bob+40a.test", mail_options=["ENVID=QQ+2B1", "RET=HDRS"])
        r, letter, rcpt = self.report()
        self.assertEqual((rcpt["Action"], rcpt["Status"][0]), ("delivered", "2"))
        self.assertEqual(letter["Original-Envelope-Id"], "QQ+1")
        self.assertEqual(rcpt["Original-Recipient"], "rfc822;Bob@a.test")
        self.assertEqual([p.get_content_type() for p in r.iter_parts()], ["text/plain", "message/delivery-status", "text/rfc822-headers"])
        self.assertIn("was delivered to", r.get_payload(0).get_content())
        self.assertTrue({"delivered", "reported"} <= {s["event"] for s in self.house.steps(key, "reported")})

    def test_handed_on_to_a_server_without_reports(self):
        sink = self.sink()
        self.submit(b"on", "ok@sink.test", SUCCESS)
        _, _, rcpt = self.report()
        self.assertEqual((rcpt["Action"], rcpt["Remote-MTA"]), ("relayed", "dns; mx.sink.test"))
        self.assertNotIn("NOTIFY", sink.rcpts[0])

    def test_handed_on_to_a_server_with_reports(self):
        sink = self.sink(dsn=True)
        key = self.submit(b"on", "ok@sink.test", SUCCESS, "ORCPT=rfc822;Ok@sink.test", mail_options=["ENVID=77", "RET=FULL"])
        self.quiet(key, "relayed")
        self.assertIn("NOTIFY=SUCCESS", sink.rcpts[0])
        self.assertIn("ORCPT=rfc822;Ok@sink.test", sink.rcpts[0])
        self.assertIn("ENVID=77", sink.mails[0])
        self.assertIn("RET=FULL", sink.mails[0])

    def test_an_alias_of_several_is_expanded(self):
        """RFC 3461 5.2.7.3 (c): success is told of the alias, the rest of those behind it."""
        sink, bob = self.sink(dsn=True), self.house.account("bob")
        self.house.admin("alias", "add", "team@a.test", bob, "ok@sink.test")
        key = self.submit(b"team", "team@a.test", "NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;Team@a.test")
        r, _, rcpt = self.report()
        self.assertEqual((rcpt["Action"], rcpt["Status"][0], rcpt["Final-Recipient"]), ("expanded", "2", "rfc822; team@a.test"))
        self.assertEqual(rcpt["Original-Recipient"], "rfc822;Team@a.test")
        self.assertEqual(len(list(r.get_payload(1).get_payload())), 2)  # of the letter, and of the alias
        self.house.steps(key, "relayed", "delivered", "reported")
        self.until(lambda: self.house.admin("queue", "list", "--json").strip() == "[]")
        self.assertEqual((self.house.wait_for(bob, 1), len(self.house.imap_letters(self.alice))), (1, 1))
        self.assertIn("NOTIFY=FAILURE ", sink.rcpts[0] + " ")
        self.assertIn("ORCPT=rfc822;Team@a.test", sink.rcpts[0])

    def test_only_what_was_asked_for(self):
        self.sink()
        self.quiet(self.submit(b"never", "perm@sink.test", "NOTIFY=NEVER"), "bounced")
        self.quiet(self.submit(b"success", "perm@sink.test", SUCCESS), "bounced")
        self.submit(b"failure", "perm@sink.test", "NOTIFY=FAILURE")
        self.assertEqual(self.report()[2]["Action"], "failed")

    def test_the_whole_letter_comes_back(self):
        self.sink()
        self.submit(b"whole", "perm@sink.test", mail_options=["RET=FULL"])
        r, _, _ = self.report()
        self.assertEqual(r.get_payload(2).get_content_type(), "message/rfc822")
        self.assertIn(".dot", r.get_payload(2).get_payload(0).get_payload())

    def test_a_letter_that_is_kept_packed(self):
        sink = self.sink()
        text = b"".join(b"line %d\r\n" % i for i in range(3000))
        for to, options in (("ok@sink.test", ["RET=HDRS"]), ("perm@sink.test", ["RET=HDRS"]), ("perm@sink.test", ["RET=FULL"])):
            with self.house.submit(self.alice) as s:
                s.ehlo()
                s.sendmail(self.alice, [to], LETTER % (b"packed", options[0].encode()) + text, mail_options=options)
        self.assertEqual(self.house.wait_for(self.alice, 2), 2)
        self.until(lambda: sink.letters)
        self.assertTrue(sink.letters[0][1].endswith(text))
        self.assertNotIn(b"Return-Path", sink.letters[0][1])
        headers, whole = sorted(self.house.imap_letters(self.alice), key=len)
        self.assertIn(b"Subject: packed", headers)
        self.assertNotIn(b"line 7\r\n", headers)
        self.assertIn(text, whole)

    def hear(self, key, action, status, times=1):
        """A report of another house about the letter, as often as that house likes to send it."""
        text = REPORT % (action.encode(), status.encode(), key.encode())
        for _ in range(times):
            with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
                s.sendmail("", [self.alice], text)

    def test_a_report_that_comes_twice_is_heard_once(self):
        sink = self.sink()
        key = self.submit(b"twice", "ok@sink.test")
        self.until(lambda: sink.letters)
        self.hear(key, "relayed", "2.0.0", times=3)
        self.hear(key, "failed", "5.1.1", times=2)
        self.assertEqual(self.house.wait_for(self.alice, 5), 5)
        heard = lambda: [s["event"] for s in self.house.steps(key) if s["process"] == "heard" and s["event"] != "queued"]
        self.until(lambda: len(heard()) >= 2)
        self.assertEqual(heard(), ["relayed", "bounced"])

    def test_a_receipt_of_the_reader(self):
        sink = self.sink()
        key = self.submit(b"shown", "ok@sink.test")
        self.until(lambda: sink.letters)
        for said in (b"deleted", b"displayed", b"displayed"):
            with smtplib.SMTP(self.house.ip, PORTS["mx"]) as s:
                s.sendmail("", [self.alice], RECEIPT % (key.encode(), said))
        steps = self.house.steps(key, "fetched")
        self.assertEqual([(s["recipient"], s["host"]) for s in steps if s["event"] == "fetched"], [("ok@sink.test", "sink.test")])

    def test_a_delay_is_told_once(self):
        self.house.settings.update(queue_lifetime="1h", delay_notice="1s")
        self.house.stop()
        self.house.start()
        key = self.submit(b"late", "a@dead.test")
        silent = self.submit(b"silent", "b@dead.test", "NOTIFY=FAILURE")
        r, _, rcpt = self.report()
        self.assertEqual((rcpt["Action"], rcpt["Final-Recipient"]), ("delayed", "rfc822; a@dead.test"))
        self.assertTrue(rcpt["Will-Retry-Until"])
        self.assertIn("need not send it again", r.get_payload(0).get_content())
        self.house.stop()
        self.house.start()
        later = self.submit(b"later", "c@dead.test")  # when this one is told, every older one was looked at again
        self.report(2)
        told = [k for k in (key, silent, later) if "reported" in {s["event"] for s in self.house.steps(k)}]
        self.assertEqual(told, [key, later])

    def test_requiretls_is_never_broken(self):
        sink = self.sink()
        self.submit(b"tls", "ok@sink.test", mail_options=["REQUIRETLS"])
        _, _, rcpt = self.report()
        self.assertEqual((rcpt["Action"], rcpt["Status"]), ("failed", "5.7.10"))
        self.assertEqual(sink.letters, [])
