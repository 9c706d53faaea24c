"""What was accepted is in its mailbox exactly once, whatever happens: kill -9 of each process and of all, a full disk, a failing fsync."""
import os
import random
import shutil
import smtplib
import subprocess
import threading
import time
import unittest

import house
from house import PORTS

LETTERS = int(os.environ.get("POSTHOUSE_FAULT_LETTERS", "5000"))
KILLS = 60  # then the senders may finish: a slow build on a busy machine shall not be killed faster than it starts
SENDERS = 8


class Senders:
    """Sends numbered letters from several threads; keeps the numbers that got a 250. A broken connection or a 4xx is tried again with a new
    number, so that a letter whose answer was lost is allowed but not required to arrive."""

    def __init__(self, target, count, recipient, size=2000):
        self.house, self.left, self.recipient, self.size = target, count, recipient, size
        self.lock, self.next, self.accepted, self.refused, self.stop = threading.Lock(), 0, set(), {}, False
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(SENDERS)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def join(self, seconds=900):
        deadline = time.monotonic() + seconds
        for t in self.threads:
            t.join(max(0.1, deadline - time.monotonic()))
            if t.is_alive():
                self.stop = True
                raise AssertionError(f"senders did not finish: {len(self.accepted)} accepted, refusals {self.refused}")

    def take(self):
        with self.lock:
            self.next += 1
            return self.next

    def work(self):
        connection = None
        while not self.stop:
            with self.lock:
                if len(self.accepted) >= self.left:
                    break
            number = self.take()
            letter = f"From: x@elsewhere.test\r\nTo: {self.recipient}\r\nSubject: number {number}\r\nMessage-ID: <n{number}@elsewhere.test>\r\nX-Number: {number}\r\n\r\n".encode() + (b"y" * 70 + b"\r\n") * (self.size // 72)
            try:
                if connection is None:
                    connection = smtplib.SMTP(self.house.ip, PORTS["mx"], timeout=60)
                connection.sendmail("x@elsewhere.test", [self.recipient], letter)
                with self.lock:
                    self.accepted.add(number)
            except smtplib.SMTPResponseException as e:
                self.refuse(e.smtp_code)
                connection = None
            except smtplib.SMTPRecipientsRefused as e:
                self.refuse(next(iter(e.recipients.values()))[0])
                connection = None
            except (OSError, smtplib.SMTPException):
                self.refuse("closed")
                connection = None
        if connection:
            connection.close()

    def refuse(self, code):
        with self.lock:
            self.refused[code] = self.refused.get(code, 0) + 1
        time.sleep(0.05)


def numbers(target, user):
    """X-Number of every letter in the INBOX."""
    m = target.imap(user)
    try:
        count = int(m.select("INBOX", readonly=True)[1][0])
        rows = m.fetch(f"1:{count}", "(BODY.PEEK[HEADER.FIELDS (X-NUMBER)])")[1] if count else []
        return [int(row[1].split(b":")[1]) for row in rows if isinstance(row, tuple)]
    finally:
        m.logout()


class Faults(unittest.TestCase):
    def settle(self, target, user, accepted, seconds=120):
        """Waits until every accepted letter is there, then for doubles that might still come."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                have = numbers(target, user)
            except Exception:
                have = []
            if accepted <= set(have) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        time.sleep(1)
        have = numbers(target, user)
        self.assertEqual(sorted(accepted - set(have))[:10], [], "accepted and lost")
        self.assertEqual(sorted(n for n in set(have) if have.count(n) > 1)[:10], [], "delivered twice")

    def test_each_process_killed(self):
        seed = int(os.environ.get("POSTHOUSE_SEED", random.SystemRandom().randrange(1 << 30)))
        dice = random.Random(seed)
        h = house.House(log_level="warn").start()
        bob = h.account("bob")
        senders = Senders(h, LETTERS, bob).start()
        kills = {}
        while any(t.is_alive() for t in senders.threads):
            time.sleep(dice.uniform(0.2, 1.0))
            children = h.children()
            if children and len(senders.accepted) < LETTERS and sum(kills.values()) < KILLS:
                role = dice.choice(sorted(children))
                try:
                    os.kill(children[role], 9)
                    kills[role] = kills.get(role, 0) + 1
                except ProcessLookupError:
                    pass
        senders.join()
        print(f"\ncounted: seed {seed}, accepted {len(senders.accepted)}, kills {kills}, refusals {senders.refused}", flush=True)
        self.settle(h, bob, senders.accepted)
        self.assertEqual(h.stop(), 0)

    def test_all_processes_killed_at_once(self):
        h = house.House(log_level="warn").start()
        bob = h.account("bob")
        senders = Senders(h, LETTERS, bob).start()
        kills = 0
        while any(t.is_alive() for t in senders.threads) and kills < 8:
            time.sleep(random.uniform(0.3, 1.2))
            h.kill()
            kills += 1
            h.start()
        senders.join()
        print(f"\ncounted: accepted {len(senders.accepted)}, kills of everything {kills}, refusals {senders.refused}", flush=True)
        self.settle(h, bob, senders.accepted)
        self.assertEqual(h.stop(), 0)

    def read_with_no_room(self, h, bob, where):
        """What is in the mailbox can be read; that it was cannot be written down."""
        filler = open(os.path.join(where, "filler"), "wb", buffering=0)
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            filler.close()
        m = h.imap(bob)
        m.select("INBOX")
        for n in range(1, 6):
            code, data = m.fetch(str(n), "(RFC822.SIZE BODY[])")
            self.assertEqual(code, "OK", data)
            self.assertGreater(len(data[0][1]), 40000)
        m.logout()
        os.unlink(filler.name)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
    def test_full_disk(self):
        where = house.folder()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "tmpfs", where], capture_output=True, text=True)
        if mounted.returncode:
            self.skipTest("cannot mount a tmpfs here: " + mounted.stderr.strip())
        try:
            h = house.House(where=where, log_level="error").start()
            bob = h.account("bob")
            senders = Senders(h, 100000, bob, size=40000).start()
            deadline = time.monotonic() + 120
            while not {451, 452} & set(senders.refused) and time.monotonic() < deadline:
                time.sleep(0.2)
            time.sleep(2)
            senders.stop = True
            senders.join()
            print(f"\ncounted: accepted {len(senders.accepted)}, refusals {senders.refused}", flush=True)
            self.assertTrue({451, 452} & set(senders.refused), senders.refused)
            self.assertLessEqual(set(senders.refused), {421, 451, 452, "closed"})
            self.read_with_no_room(h, bob, where)
            subprocess.run(["mount", "-o", "remount,size=200m", where], check=True)
            self.settle(h, bob, senders.accepted)
            more = Senders(h, 20, bob)
            more.next = senders.next + 1000
            more.start().join(120)
            self.settle(h, bob, senders.accepted | more.accepted)
            self.assertEqual(h.stop(), 0)
        finally:
            try:
                h.kill()
            except Exception:
                pass
            subprocess.run(["umount", "-l", where])

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("strace"), "injecting faults needs root and strace")
    def test_failing_fsync(self):
        h = house.House(log_level="error").start()
        bob = h.account("bob")
        senders = Senders(h, 100000, bob).start()
        for role in ("queue", "store"):
            time.sleep(1)
            inject = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO", "-p", str(h.children()[role])])
            time.sleep(3)
            inject.terminate()
            inject.wait()
        time.sleep(2)
        good = len(senders.accepted)
        time.sleep(2)
        senders.stop = True
        senders.join()
        print(f"\ncounted: accepted {len(senders.accepted)}, refusals {senders.refused}", flush=True)
        self.assertIn(451, senders.refused)
        self.assertLessEqual(set(senders.refused), {421, 451, 452, "closed"})
        self.assertGreater(len(senders.accepted), good, "letters are accepted again when the disk works again")
        self.settle(h, bob, senders.accepted)
        self.assertEqual(h.stop(), 0)


if __name__ == "__main__":
    unittest.main()
