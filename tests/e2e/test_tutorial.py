"""The letters of any mail tutorial, each as one line of `post`; then what a person does with them: list, read, save, search, flag, throw
away and bring back, watch. The same letters as C programs: docs/cookbook."""
import email
import email.policy
import json
import os
import re
import shlex
import subprocess
import time
import unittest
from pathlib import Path

import house
from house import PORTS

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


class Tutorial(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.house = house.House("a.test", log_level="warn").start()
        cls.alice, cls.bob = cls.house.account("alice"), cls.house.account("bob")
        cls.where = house.folder()
        (cls.where / "plan.txt").write_text("the plan\n")
        (cls.where / "one.png").write_bytes(PNG + b"1")
        (cls.where / "two.png").write_bytes(PNG + b"2")
        config = cls.where / "config" / "post"
        config.mkdir(parents=True)
        for name, user in (("alice", cls.alice), ("bob", cls.bob)):
            (config / f"{name}.conf").write_text(
                f'from = "{name.title()} <{user}>"\nuser = "{user}"\nserver = "{cls.house.ip}"\nca = "{cls.house.certificate()}"\npassword_env = "PASS"\n'
                f'smtp_port = "{PORTS["submission"]}"\nsmtp_tls = "starttls"\nimap_port = "{PORTS["imaps"]}"\npop3_port = "{PORTS["pop3s"]}"\ntls = "tls"\ninsecure = true\n')
        (config / "default").symlink_to("alice.conf")

    @classmethod
    def tearDownClass(cls):
        assert cls.house.stop() == 0, cls.house.tail()

    def environment(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("POST_")}
        return {**clean, "XDG_CONFIG_HOME": str(self.where / "config"), "XDG_STATE_HOME": str(self.where / "state"), "PASS": "correct horse battery", "TZ": "UTC"}

    def post(self, line, input=None, code=0):
        done = subprocess.run([house.POST, *shlex.split(line)], cwd=self.where, env=self.environment(), input=input, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, f"post {line}\n{done.stdout}{done.stderr}")
        return done

    def arrived(self, subject):
        """The letter with that subject in Bob's mailbox, once it is there: its number and itself."""
        deadline = time.monotonic() + 60
        while True:
            found = [x for x in json.loads(self.post("list --account bob --json").stdout) if x["subject"] == subject]
            if found or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self.assertEqual(len(found), 1, subject)
        raw = subprocess.run([house.POST, "fetch", "--account", "bob", str(found[0]["number"])], env=self.environment(), capture_output=True, timeout=120)
        return found[0]["number"], email.message_from_bytes(raw.stdout, policy=email.policy.default)

    def types(self, letter):
        return [p.get_content_type() for p in letter.walk()]

    # -- the letters -----------------------------------------------------------------------------

    def test_plain(self):
        self.post("send --to bob@a.test --subject 'plain' --text 'Grüße, Bob!'")
        number, letter = self.arrived("plain")
        self.assertEqual(self.types(letter), ["text/plain"])
        self.assertEqual(letter.get_content().strip(), "Grüße, Bob!")
        self.assertEqual(letter["From"], "Alice <alice@a.test>")

    def test_kept_and_sent_again(self):
        """Nobody listens at port 1: the letter is kept; the command that is printed sends it and takes it away."""
        told = self.post("send --port 1 --to bob@a.test --subject 'kept' --text 'x' --attach plan.txt", code=69).stderr
        again = [line.split(None, 1)[1] for line in told.splitlines() if line.startswith("  post send")][0]
        draft = Path(shlex.split(again)[-1])
        self.assertEqual(draft.stat().st_mode & 0o777, 0o600)
        self.post(again, code=69)
        self.assertTrue(draft.exists())
        self.post(again.replace("--port 1 ", f"--port {PORTS['submission']} "))
        self.assertFalse(draft.exists())
        self.assertEqual(self.arrived("kept")[1].get_payload(1).get_content(), "the plan\n")

    def test_html(self):
        self.post("send --to bob@a.test --subject 'html' --html '<h1>Hello</h1><p>from <b>Alice</b></p>'")
        number, letter = self.arrived("html")
        self.assertIn("text/html", self.types(letter))
        self.assertIn("Alice", self.post(f"read --account bob {number}").stdout)

    def peak(self, line):
        """KiB of memory at most, and how many bytes came out."""
        child = subprocess.Popen([house.POST, *shlex.split(line)], cwd=self.where, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        count = sum(len(block) for block in iter(lambda: child.stdout.read(1 << 20), b""))
        _, child.returncode, used = os.wait4(child.pid, 0)
        self.assertEqual(child.returncode, 0, line)
        return used.ru_maxrss, count

    def test_large_letter_in_constant_memory(self):
        peaks = {}
        for mib in (1, 64):
            file = self.where / "sparse"
            with open(file, "wb") as f:
                f.truncate(mib << 20)
            built, count = self.peak(f"send --to bob@a.test --subject large --text x --attach {file} --output -")
            self.assertGreater(count, (mib << 20) // 57 * 78)
            self.post(f"send --to bob@a.test --subject large --text x --attach {file} --output large.eml")
            raw, again = self.peak("send --raw large.eml --output -")
            self.assertEqual(again, (self.where / "large.eml").stat().st_size)
            peaks[mib] = (built, raw)
        for small, large in zip(peaks[1], peaks[64]):
            self.assertLess(large, small + 16 * 1024, peaks)

    def test_attachment(self):
        self.post("send --to bob@a.test --subject 'attachment' --text 'see there' --attach plan.txt")
        number, letter = self.arrived("attachment")
        self.assertEqual([p.get_filename() for p in letter.iter_attachments()], ["plan.txt"])
        self.assertIn("[attachment: plan.txt", self.post(f"read --account bob {number}").stdout)
        self.post(f"save --account bob {number} saved")
        self.assertEqual((self.where / "saved" / "plan.txt").read_text(), "the plan\n")

    def test_two_pictures_in_the_text(self):
        self.post("send --to bob@a.test --subject 'pictures' --html '<p><img src=\"cid:one.png\"> and <img src=\"cid:two.png\"></p>' --inline one.png --inline two.png")
        number, letter = self.arrived("pictures")
        related = next(p for p in letter.walk() if p.get_content_type() == "multipart/related")
        html = next(p for p in letter.walk() if p.get_content_type() == "text/html").get_content()
        cids = [p["Content-ID"].strip("<>") for p in related.iter_parts() if p.get_content_maintype() == "image"]
        self.assertEqual(re.findall(r'src="cid:([^"]+)"', html), cids)
        self.assertEqual([p.get_content()[-1:] for p in letter.walk() if p.get_content_maintype() == "image"], [b"1", b"2"])

    def test_alternatives(self):
        self.post("send --to bob@a.test --subject 'alternatives' --text 'for all' --html '<p>for some</p>'")
        number, letter = self.arrived("alternatives")
        self.assertEqual(self.types(letter), ["multipart/alternative", "text/plain", "text/html"])

    def test_starttls_transcript(self):
        done = self.post("send --to bob@a.test --subject 'transcript' --text x --debug")
        lines = done.stderr.splitlines()
        steps = [next(i for i, line in enumerate(lines) if word in line) for word in ("S: 220", "C: EHLO", "S: 250-", "C: STARTTLS", "TLSv1.", "C: AUTH", "C: MAIL FROM", "C: RCPT TO", "C: DATA", "S: 354")]
        self.assertEqual(steps, sorted(steps))
        self.assertNotIn("correct horse", done.stderr)
        self.assertNotIn("Y29ycmVjdCBob3JzZ", done.stderr)  # nor in base64
        self.assertRegex(lines[0], r"^ *\d+ ms ")
        self.arrived("transcript")

    def test_forwarded(self):
        self.post("send --to bob@a.test --subject 'original' --text 'first words' --attach plan.txt --output original.eml")
        self.post("send --to bob@a.test --subject 'Fwd: original' --text 'look at this' --forward original.eml")
        number, letter = self.arrived("Fwd: original")
        inner = next(p for p in letter.walk() if p.get_content_type() == "message/rfc822").get_content()
        self.assertEqual(inner["Subject"], "original")
        self.assertIn("first words", inner.get_body().get_content())

    def test_markdown(self):
        self.post("send --to bob@a.test --subject 'markdown' --markdown '# Hello\n\n*Bob*'")
        number, letter = self.arrived("markdown")
        self.assertIn("<h1>Hello</h1>", letter.get_body(("html",)).get_content())
        self.assertIn("# Hello", letter.get_body(("plain",)).get_content())

    def test_stop_after(self):
        """Each step is told and nothing is sent."""
        steps = ["connect", "ehlo", "auth", "mail", "rcpt", "data"]
        for i, step in enumerate(steps):
            out = self.post(f"send --to bob@a.test --subject 'stopped' --text x --stop-after {step}").stdout
            told = [line.split()[0] for line in out.splitlines()]
            self.assertEqual(told, steps[:3] + ["data"] if step == "data" else steps[:i + 1], out)
        self.assertIn("rcpt    550", self.post("send --to no-such@a.test --text x --stop-after rcpt", code=69).stdout)
        self.assertNotIn("stopped", self.post("list --account bob").stdout)

    # -- what is done with them ------------------------------------------------------------------

    def test_shown_part_by_part(self):
        """Fetched by POP3 and by IMAP, and shown again part by part: the same."""
        self.post("send --to bob@a.test --subject 'parts' --text 'the text' --html '<p>the html</p>' --attach plan.txt")
        self.arrived("parts")
        shown = []
        for protocol in ("pop3", "imap"):
            place = self.where / f"by-{protocol}"
            self.post(f"fetch --account bob --{protocol} --maildir {place} --quiet")
            file = next(f for f in place.glob("*/*") if b"Subject: parts" in f.read_bytes())
            tree = json.loads(self.post(f"tree --json {file}").stdout)
            shown.append([(p["type"] + "/" + p["subtype"]).lower() for p in tree["parts"]])
            text = self.post(f"read {file}").stdout
            self.assertIn("the text", text)
            self.assertIn("[attachment: plan.txt", text)
        self.assertEqual(shown[0], ["multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/plain"])
        self.assertEqual(shown[0], shown[1])

    def test_to_the_trash_and_back(self):
        self.post("send --to bob@a.test --subject 'rubbish' --text x")
        number, _ = self.arrived("rubbish")
        gone = json.loads(self.post(f"delete --account bob --json {number}").stdout)
        self.assertEqual((gone["moved"], gone["mailbox"]), (1, "Trash"))
        self.assertIn("rubbish", self.post("list --account bob --mailbox trash").stdout)
        self.assertNotIn("rubbish", self.post("list --account bob").stdout)
        self.post(f"move --account bob --mailbox Trash {gone['numbers']} inbox")
        number, _ = self.arrived("rubbish")
        self.post(f"delete --account bob --forever {number}")
        self.assertNotIn("rubbish", self.post("list --account bob --mailbox Trash").stdout)
        self.post(f"delete --account bob {number}", code=65)

    def test_flag_and_search(self):
        """Only what is named is changed, though its numbers have gaps."""
        for i in range(4):
            self.post(f"send --to bob@a.test --subject 'needle {i}' --text 'Nadel im Heuhaufen'")
        numbers = [self.arrived(f"needle {i}")[0] for i in range(4)]
        self.post(f"flag --account bob {numbers[0]} {numbers[2]} --add flagged --add todo")
        found = json.loads(self.post("search --account bob --flagged --subject needle --json").stdout)
        self.assertEqual([f["number"] for f in found], [numbers[0], numbers[2]])
        self.post(f"flag --account bob {numbers[0]} --remove flagged")
        found = json.loads(self.post("search --account bob --flagged --subject needle --json").stdout)
        self.assertEqual([f["number"] for f in found], [numbers[2]])
        self.assertEqual(len(json.loads(self.post("search --account bob Heuhaufen --json").stdout)), 4)
        self.post("search --account bob", code=64)
        told = self.post("watch --account bob --all --count 2 --json").stdout
        self.assertEqual(len(told.splitlines()), 2)

    def test_reply(self):
        self.post("send --to bob@a.test --subject 'question' --text 'Are you there?'")
        number, question = self.arrived("question")
        self.post(f"reply --account bob {number} --text 'I am.' --attach plan.txt")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [x for x in json.loads(self.post("list --account alice --json").stdout) if x["subject"] == "Re: question"]
            if found:
                break
            time.sleep(0.05)
        raw = self.post(f"fetch --account alice {found[0]['number']}").stdout
        answer = email.message_from_string(raw, policy=email.policy.default)
        self.assertEqual(answer["In-Reply-To"], question["Message-ID"])
        self.assertEqual(answer["To"], "Alice <alice@a.test>")
        text = answer.get_body(("plain",)).get_content()
        self.assertIn("I am.", text)
        self.assertIn("> Are you there?", text)
        self.assertEqual([p.get_filename() for p in answer.iter_attachments()], ["plan.txt"])
        self.post(f"reply --account bob {number} --text x --dry-run")

    def test_setup(self):
        """The login is tried before anything is saved; the password is in a file of its own."""
        env = {**self.environment(), "XDG_CONFIG_HOME": str(self.where / "fresh")}
        words = [house.POST, "setup", self.bob, "--display", "Bob", "--smtp", f"starttls://{self.house.ip}:{PORTS['submission']}", "--imap", f"tls://{self.house.ip}:{PORTS['imaps']}",
                 "--insecure", "--password-file", "-"]
        for password, code in (("wrong", 77), ("correct horse battery", 0)):
            done = subprocess.run(words, env=env, input=password + "\n", capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            self.assertEqual((self.where / "fresh").exists(), code == 0)
        secret = self.where / "fresh" / "post" / f"{self.bob}.password"
        self.assertEqual(secret.stat().st_mode & 0o777, 0o600)
        listed = subprocess.run([house.POST, "list", "--json"], env=env, capture_output=True, text=True, timeout=120)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        json.loads(listed.stdout)
        found = subprocess.run([house.POST, "setup", "me@gmail.com", "--no-lookup", "--no-test", "--password-env", "PASS"], env=env, capture_output=True, text=True, timeout=120)
        self.assertIn("imap.gmail.com:993", found.stdout)
        self.assertIn("app password", found.stdout)

    def test_probe(self):
        for protocol, port, tls, offers in (("smtp", "submission", "starttls", "AUTH"), ("imap", "imaps", "tls", "AUTH=PLAIN"), ("pop3", "pop3", "starttls", "UIDL")):
            page = json.loads(self.post(f"probe {self.house.ip} --port {PORTS[port]} --protocol {protocol} --tls {tls} --json").stdout)[0]
            self.assertTrue(any(o.startswith(offers) for o in page["offers"]), page)
            self.assertTrue(page["tls"].startswith("TLSv1."), page)
            self.assertFalse(page["verified"])
            alone = json.loads(self.post(f"probe {self.house.ip} --port {PORTS[port]} --json").stdout)[0]  # what is spoken there is found out
            self.assertEqual((alone["name"], alone["offers"]), (protocol, page["offers"]))
        self.assertIn("STARTTLS", self.post(f"probe {self.house.ip} --port {PORTS['submission']} --protocol smtp").stdout)

    def test_watch(self):
        watching = subprocess.Popen([house.POST, "watch", "--account", "bob", "--count", "1", "--run", 'printf "ran for %s\\n" "$POST_SUBJECT"'],
                                    env=self.environment(), stdout=subprocess.PIPE, text=True)
        deadline, sent = time.monotonic() + 60, 0
        while watching.poll() is None and time.monotonic() < deadline:  # it may not be listening yet when the first arrives
            self.post(f"send --to bob@a.test --subject 'watched $(touch danger) {sent}' --text x")
            sent += 1
            time.sleep(0.5)
        out = watching.communicate(timeout=60)[0]
        self.assertEqual(watching.returncode, 0)
        self.assertIn("ran for watched $(touch danger)", out)
        self.assertFalse((self.where / "danger").exists())


if __name__ == "__main__":
    unittest.main()
