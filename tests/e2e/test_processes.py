"""The processes of a house: what each is refused, restart of those that die, reload, stop, and a parent that is killed."""
import json
import os
import signal
import smtplib
import ssl
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import house

ROLES = {"mx", "access", "relay", "resolver", "queue", "store", "keeper", "indexer"}
EX_UNAVAILABLE, EX_CONFIG = 69, 78


def until(what, seconds=90):
    """Waits for something that is to come true soon."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true in {seconds} s")
        time.sleep(0.01)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Probe(unittest.TestCase):
    def probe(self, **more):
        done = subprocess.run([house.POSTHOUSE, "probe"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, **more)
        lines = done.stdout.splitlines()
        self.assertEqual([line for line in lines if not line.endswith(" refused")], [], done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual({line.split()[0] for line in lines}, ROLES)
        self.assertGreaterEqual(len(lines), 14 * len(ROLES))

    def test_everything_is_refused(self):
        self.probe()

    @unittest.skipIf(os.geteuid() != 0, "needs root to become somebody else")
    def test_everything_is_refused_to_an_ordinary_user(self):
        with tempfile.TemporaryDirectory() as top:
            os.chmod(top, 0o755)
            copy = Path(top) / "posthouse"
            copy.write_bytes(house.POSTHOUSE.read_bytes())
            copy.chmod(0o755)
            done = subprocess.run([copy, "probe"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, user=65534, group=65534,
                                  extra_groups=[])
        self.assertEqual([line for line in done.stdout.splitlines() if not line.endswith(" refused")], [])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Processes(unittest.TestCase):
    def setUp(self):
        self.house = house.House()

    def one(self, role):
        return next(p for p in self.house.status()["processes"] if p["process"] == role)

    def greet(self):
        """Both ends of a conversation with mx, which answers when the processes behind it do."""
        return smtplib.SMTP(self.house.ip, house.PORTS["mx"], timeout=60)

    def test_start_and_stop(self):
        begin = time.monotonic()
        self.house.start()
        seconds = time.monotonic() - begin
        if b"__asan_init" not in house.POSTHOUSE.read_bytes():
            self.assertLess(seconds, 2)  # 0.1 s on a quiet machine
        status = self.house.status()
        self.assertEqual(status["state"], "ready")
        self.assertEqual({p["process"] for p in status["processes"]}, ROLES)
        self.assertEqual({p["state"] for p in status["processes"]}, {"ready"})
        cores = len(os.sched_getaffinity(0))
        roles = [p["process"] for p in status["processes"]]
        self.assertEqual((roles.count("mx"), roles.count("access")), (min(max(cores // 4, 1), 4), min(max(cores // 2, 1), 8)))
        for p in status["processes"]:
            self.assertGreater(p["counters"]["memory_kib"], 100, p)
            self.assertTrue(alive(p["pid"]))
        if os.geteuid() == 0:
            uids = {Path(f"/proc/{p['pid']}/status").read_text().split("Uid:")[1].split()[0] for p in status["processes"]}
            self.assertEqual(len(uids), len(ROLES), uids)
            self.assertNotIn("0", uids)
        self.assertIn("smtp", (self.house.data / "ready").read_text())
        self.assertEqual(os.stat(self.house.data / "control.sock").st_mode & 0o777, 0o600)
        human = self.house.admin("status")
        self.assertIn("resolver", human)
        self.house.admin("stop")
        self.assertEqual(self.house.process.wait(30), 0)
        self.assertFalse(any(alive(p["pid"]) for p in status["processes"]))
        self.assertFalse((self.house.data / "ready").exists())
        self.assertFalse((self.house.data / "control.sock").exists())
        self.assertEqual(self.house.admin("status", check=False).returncode, EX_UNAVAILABLE)

    def test_children_do_not_inherit_the_environment(self):
        os.environ["A_TOKEN_OF_THE_SHELL"] = "opensesame"
        self.addCleanup(os.environ.pop, "A_TOKEN_OF_THE_SHELL")
        self.house.start()
        for p in self.house.status()["processes"]:
            self.assertNotIn(b"opensesame", Path(f"/proc/{p['pid']}/environ").read_bytes())
        self.assertEqual(self.house.stop(), 0)

    def test_an_address_book_that_is_a_link_is_not_followed(self):
        folder = self.house.data / "house"
        folder.mkdir(parents=True, exist_ok=True)
        target = self.house.data / "made-by-a-link"
        (folder / "house.sqlite").symlink_to(target)
        done = self.house.admin("domain", "add", "l.test", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not a plain file", done.stderr)
        self.assertFalse(target.exists())

    def test_whoever_dies_is_started_anew(self):
        self.house.start()
        parent = self.house.process.pid
        for role in sorted(ROLES):
            old = self.one(role)["pid"]
            os.kill(old, signal.SIGKILL)
            until(lambda: self.one(role)["state"] == "ready" and self.one(role)["pid"] != old)
            self.assertEqual(self.one(role)["restarts"], 1)
            self.greet().quit()
        self.assertEqual(self.house.process.pid, parent)
        again = self.one("queue")["pid"]
        begin = time.monotonic()
        os.kill(again, signal.SIGKILL)
        seen = []
        until(lambda: seen.append(self.one("queue")) or seen[-1]["state"] == "ready" and seen[-1]["pid"] != again)
        self.assertEqual([p for p in seen if p.get("pid") == 0 or (p["state"] == "down") == ("pid" in p)], [])
        self.assertGreater(time.monotonic() - begin, 0.2, "the second time it waits")
        self.assertEqual(self.house.stop(), 0)

    def test_a_killed_parent_takes_all_with_it(self):
        self.house.start()
        children = list(self.house.children().values())
        self.assertEqual(len(children), len(ROLES))
        for _ in range(3):
            os.kill(self.house.process.pid, signal.SIGKILL)
            self.house.process.wait()
            self.house.start()  # at once: no port, lock or database is in the way
            self.greet().quit()
            self.assertFalse(any(alive(pid) for pid in children))
            children = list(self.house.children().values())
        self.assertEqual(self.house.stop(), 0)

    def test_reload_drops_no_connection(self):
        self.house.start()
        s = self.greet()
        s.ehlo()
        self.assertEqual(s.esmtp_features["size"], str(50 << 20))
        self.house.config.write_text("".join(house.setting(k, v) for k, v in {**self.house.settings, "max_message_size": "3M"}.items()))
        self.house.admin("reload")
        self.assertEqual(s.noop()[0], 250)
        with self.greet() as t:
            t.ehlo()
            self.assertEqual(t.esmtp_features["size"], str(3 << 20))
        self.house.config.write_text("nonsense = 1\n")
        done = self.house.admin("reload", check=False)
        self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
        self.assertIn("nonsense", self.house.tail())
        self.house.process.send_signal(signal.SIGHUP)
        self.assertEqual(s.noop()[0], 250)
        s.quit()
        self.assertEqual(self.house.stop(), 0)

    def test_a_new_certificate_is_taken_without_restart(self):
        self.house.start()
        before = self.house.certificate().read_bytes()
        for file in (self.house.data / "tls").iterdir():
            file.unlink()
        self.house.admin("reload")
        self.assertNotEqual(self.house.certificate().read_bytes(), before)
        with self.greet() as s:
            s.starttls(context=self.house.tls())  # trusts the new one alone
            self.assertEqual(s.noop()[0], 250)
        self.assertEqual(self.house.stop(), 0)

    def test_a_session_of_one_process_is_resumed_by_another(self):
        self.house.settings.update(mx_processes=2)
        self.house.start()
        context = self.house.tls()

        def resumed(session):
            with self.greet() as s:
                s.ehlo()
                self.assertEqual(s.docmd("STARTTLS")[0], 220)
                s.sock = context.wrap_socket(s.sock, session=session)
                s.file = None
                s.noop()  # the ticket of TLS 1.3 comes with the first answer
                return s.sock.session_reused, s.sock.session

        first, session = resumed(None)
        self.assertFalse(first)
        begin = time.monotonic()
        while True:
            self.assertTrue(resumed(session)[0])
            served = [p["counters"]["connections"] for p in self.house.status()["processes"] if p["process"] == "mx"]
            if min(served) > 0:
                break
            self.assertLess(time.monotonic() - begin, 60, served)
        self.assertEqual(len(served), 2)
        os.kill(self.one("mx")["pid"], signal.SIGKILL)  # who is started anew knows the secret, too
        until(lambda: all(p["state"] == "ready" for p in self.house.status()["processes"]))
        self.assertTrue(resumed(session)[0])
        self.house.admin("reload")
        self.assertFalse(resumed(session)[0])
        self.assertTrue(resumed(resumed(None)[1])[0])
        self.assertEqual(self.house.stop(), 0)

    def test_a_slow_keeper_signs_again_when_it_can(self):
        self.house.start()
        keeper = self.one("keeper")["pid"]
        os.kill(keeper, signal.SIGSTOP)
        try:
            with self.assertRaises((ssl.SSLError, OSError)), self.greet() as s:
                s.starttls(context=self.house.tls())  # 5 s: the signature is not waited for any longer
        finally:
            os.kill(keeper, signal.SIGCONT)

        def works():
            try:
                with self.greet() as s:
                    s.starttls(context=self.house.tls())
                    return s.noop()[0] == 250
            except OSError:
                return False
        until(works)
        self.assertEqual(self.one("keeper")["pid"], keeper)
        self.assertEqual(self.house.stop(), 0)

    @unittest.skipIf(os.geteuid() != 0, "an ordinary user has no choice of users")
    def test_reload_does_not_move_a_process_to_another_user_or_folder(self):
        self.house.start()

        def uid(pid):
            return Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]
        old = self.one("store")["pid"]
        was = uid(old)
        more = {**self.house.settings, "user": "nobody", "data": str(self.house.data / "elsewhere")}
        self.house.config.write_text("".join(house.setting(k, v) for k, v in more.items()))
        self.house.admin("reload")
        self.assertIn("restart-needed", self.house.tail())
        os.kill(old, signal.SIGKILL)
        until(lambda: self.one("store")["state"] == "ready" and self.one("store")["pid"] not in (0, old))
        self.assertEqual(uid(self.one("store")["pid"]), was)
        self.assertEqual(self.house.stop(), 0)

    def test_one_that_hangs_does_not_hold_up_the_end(self):
        self.house.start()
        os.kill(self.one("store")["pid"], signal.SIGSTOP)
        begin = time.monotonic()
        self.assertEqual(self.house.stop(), 0)
        self.assertLess(time.monotonic() - begin, 20)
        self.assertIn("drain-limit", self.house.tail())

    def test_settings_on_the_command_line(self):
        out = self.house.admin("config", "--set", "max_hops=77", "--set", "hostname=x.test")
        self.assertIn("max_hops = 77\n", out)
        self.assertIn('hostname = "x.test"\n', out)
        self.house.config.write_text(out)
        self.assertEqual(self.house.admin("config", "--config", self.house.config), out)
        done = self.house.admin("config", "--set", "max_hops=7", "--set", "hostnam=x", check=False)
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertIn("10 to 1000", done.stderr)
        self.assertIn('did you mean "hostname"', done.stderr)

    def test_status_is_json_for_programs(self):
        self.house.start()
        status = json.loads(self.house.admin("status", "--json"))
        self.assertEqual(status["pid"], self.house.process.pid)
        self.assertEqual({one["service"] for one in status["listen"]}, {"smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps"})
        self.assertEqual(self.house.stop(), 0)


if __name__ == "__main__":
    unittest.main()
