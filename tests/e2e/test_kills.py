"""Every letter is accounted for while processes die and the next server fails in every way: 4xx, 5xx, a closed connection, a stall, a slow answer
at each step. Each is delivered, reported to its sender, or still queued; the mailbox here gets it exactly once. The long form: tests/torture/kills.py."""
import asyncio
import json
import os
import random
import re
import smtplib
import threading
import time
import unittest
from collections import Counter

import house
from house import PORTS

KILLS = int(os.environ.get("POSTHOUSE_RANDOM_KILLS", "15"))
SEED = int(os.environ.get("POSTHOUSE_SEED", random.SystemRandom().randrange(1 << 30)))
SENDERS = 4
FAILING = 0.04  # of all answers; a letter needs six good ones
AHEAD = 200  # letters that the next server has not seen yet; with more they get none, else most would only expire


class WildSink:
    """An SMTP server whose answers are thrown with dice. `taken`: how often it got the whole of each recipient's letter; `seen`: recipients that
    it was asked for."""

    def __init__(self, ip, seed):
        self.ip, self.dice, self.taken, self.seen, self.faults = ip, random.Random(seed), {}, set(), {}
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(60)

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self.session, self.ip, PORTS["mx"]))
        self.loop.call_soon(started.set)
        self.loop.run_forever()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)

    async def session(self, reader, writer):
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def say(self, writer, text):
        """Writes the answer, or another one, or none. True when it was the good one."""
        fault = self.dice.choice(["4xx", "5xx", "close", "stall", "slow"]) if self.dice.random() < FAILING else None
        if fault:
            self.faults[fault] = self.faults.get(fault, 0) + 1
        if fault == "close":
            raise ConnectionError
        if fault == "stall":
            await asyncio.sleep(self.dice.uniform(0.2, 2))
            raise ConnectionError
        if fault == "slow":
            for byte in text.encode() + b"\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.01)
            return True
        writer.write({"4xx": b"451 4.3.0 the dice say later", "5xx": b"554 5.3.0 the dice say no"}.get(fault, text.encode()) + b"\r\n")
        await writer.drain()
        return fault is None

    async def talk(self, reader, writer):
        rcpts = []
        await self.say(writer, "220 wild.test ESMTP")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"RCPT":
                name = re.search(rb"<(.*)@", line).group(1).decode()
                self.seen.add(name)
                if await self.say(writer, "250 2.1.5 ok"):
                    rcpts.append(name)
            elif verb == b"DATA":
                if not await self.say(writer, "354 go on"):
                    continue
                while (await reader.readline()) not in (b".\r\n", b""):
                    pass
                if reader.at_eof():
                    return
                for name in rcpts:  # before the answer: what becomes of that, the other side may never know
                    self.taken[name] = self.taken.get(name, 0) + 1
                if not await self.say(writer, "250 2.0.0 queued as WILD%d" % len(self.taken)):
                    for name in rcpts:
                        self.taken[name] -= 1
                rcpts = []
            elif verb == b"QUIT":
                return
            else:
                rcpts = [] if verb in (b"MAIL", b"RSET") else rcpts
                await self.say(writer, "250-wild.test\r\n250 PIPELINING" if verb == b"EHLO" else "250 2.0.0 ok")


class Submitters:
    """Each thread submits letters to bob here, and most of them to one recipient at wild.test, too, until it is told to stop. `local` and `remote`: those
    whose recipient here and there was accepted."""

    def __init__(self, target, sink, user, bob):
        self.house, self.sink, self.user, self.bob = target, sink, user, bob
        self.lock, self.next, self.local, self.remote, self.refused, self.stop = threading.Lock(), 0, set(), set(), 0, False
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(SENDERS)]
        for t in self.threads:
            t.start()

    def work(self):
        session = None
        while not self.stop:
            with self.lock:
                self.next += 1
                number = self.next
            letter = f"From: {self.user}\r\nTo: {self.bob}\r\nSubject: {number}\r\nMessage-ID: <k{number}@a.test>\r\nX-Number: {number}\r\n\r\nbody\r\n"
            try:
                session = session or self.house.submit(self.user)
                there = [f"n{number}@wild.test"] if len(self.remote) - len(self.sink.seen) < AHEAD else []
                refused = session.sendmail(self.user, [self.bob] + there, letter)  # some of them, maybe
                with self.lock:
                    self.local |= {number} if self.bob not in refused else set()
                    self.remote |= {number} if there and there[0] not in refused else set()
            except (OSError, smtplib.SMTPException):
                self.refused += 1
                if session:
                    session.close()
                session = None
                time.sleep(0.05)
        if session:
            session.close()

    def join(self):
        self.stop = True
        for t in self.threads:
            t.join(180)
            assert not t.is_alive(), "a sender is stuck"


class Kills(unittest.TestCase):
    def kill(self, target, dice):
        """One process of the house, or (one time in twenty) all of it."""
        if dice.random() < 0.05:
            target.kill()
            target.start()
            return "all"
        children = target.children()
        role = dice.choice(sorted(children)) if children else None
        try:
            if role:
                os.kill(children[role], 9)
            return role
        except ProcessLookupError:
            return None

    def until_idle(self, target, seconds=300):
        """Waits until the queue holds nothing: all is delivered or reported by then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = target.admin("queue", "stats", "--json", check=False)
            if run.returncode == 0 and not json.loads(run.stdout):
                return
            time.sleep(0.3)

    def queued(self, target):
        return {int(n) for n in re.findall(r"n(\d+)@wild\.test", target.admin("queue", "list", "--json"))}

    def test_every_letter_is_accounted_for(self):
        dice = random.Random(SEED)
        net = house.network()
        sink = WildSink(net + ".9", SEED)
        self.addCleanup(sink.stop)
        h = house.House("a.test", net + ".1", house.zone(("wild.test", net + ".9")), log_level="warn", retry_first="300ms", retry_most="1s",
                        queue_lifetime="20s").start()
        alice, bob = h.account("alice"), h.account("bob")
        senders = Submitters(h, sink, alice, bob)
        kills = {}
        while sum(kills.values()) < KILLS:
            time.sleep(dice.uniform(0.05, 0.6))
            role = self.kill(h, dice)
            if role:
                kills[role] = kills.get(role, 0) + 1
        senders.join()
        self.until_idle(h)
        queued = self.queued(h)
        mine = [int(n) for letter in h.imap_letters(bob) for n in re.findall(rb"X-Number: (\d+)", letter)[:1]]
        failed = [int(n) for letter in h.imap_letters(alice) for n in re.findall(rb"Final-Recipient: rfc822; ?n(\d+)@wild\.test", letter)]
        taken = {int(name[1:]) for name, times in sink.taken.items() if times > 0}
        print(f"\ncounted: seed {SEED}, kills {kills}, accepted {len(senders.local)} for here and {len(senders.remote)} for there, refused {senders.refused}, faults of the sink {sink.faults}, "
              f"taken {len(taken)}, reported {len(failed)}, queued {len(queued)}, taken more than once {sum(1 for t in sink.taken.values() if t > 1)}", flush=True)
        self.assertEqual(sorted(senders.local - set(mine))[:10], [], "accepted and not in the mailbox here")
        self.assertEqual(sorted(n for n, times in Counter(mine).items() if times > 1)[:10], [], "in the mailbox twice")
        self.assertEqual(sorted(senders.remote - taken - set(failed) - queued)[:10], [], "neither delivered nor reported nor queued")
        self.assertEqual(sorted(n for n, times in Counter(failed).items() if times > 1)[:10], [], "reported twice")
        self.assertGreater(len(senders.local & senders.remote), 0)
        self.assertEqual(h.stop(), 0)


if __name__ == "__main__":
    unittest.main()
